INSERT INTO idempotency_keys (idempotency_key, ticket_seq, request, answer)
VALUES (:idempotency_key, :ticket_seq, :request, :answer);
