SELECT ticket_seq, request, answer FROM idempotency_keys WHERE idempotency_key = :idempotency_key;
