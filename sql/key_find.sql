-- The first answer to a key, and the ticket that it was about as it is now.
SELECT k.request, k.body, k.event_id, t.ticket_id, t.status, t.expires_at
FROM idempotency_keys AS k
LEFT JOIN tickets AS t ON t.seq = k.ticket_seq
WHERE k.key_digest = :key_digest;
