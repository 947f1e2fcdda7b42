SELECT idempotency_key, ticket_seq FROM idempotency_keys ORDER BY idempotency_key;
