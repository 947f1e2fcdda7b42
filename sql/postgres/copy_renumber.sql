-- The next rows get numbers behind those that were copied.
SELECT setval(pg_get_serial_sequence('events', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM events), false),
       setval(pg_get_serial_sequence('tickets', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM tickets), false),
       setval(pg_get_serial_sequence('idempotency_keys', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM idempotency_keys), false);
