SELECT seq, seq, key_digest, request, body, event_id, ticket_seq
FROM idempotency_keys
WHERE seq > :after
ORDER BY seq
LIMIT :limit;
