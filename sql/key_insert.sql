INSERT INTO idempotency_keys (key_digest, request, body, event_id, ticket_seq)
VALUES (:key_digest, :request, :body, :event_id, :ticket_seq);
