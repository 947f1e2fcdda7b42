SELECT nextval(pg_get_serial_sequence('tickets', 'seq')) FROM generate_series(1, :count::bigint);
