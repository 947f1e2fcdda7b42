SELECT nextval((SELECT pg_get_serial_sequence('tickets', 'seq'))::regclass) FROM generate_series(1, :count::bigint);
