INSERT INTO idempotency_keys (seq, key_digest, request, body, event_id, ticket_seq)
VALUES (:seq, :key_digest, :request, :body, :event_id, :ticket_seq);
