SELECT seq, seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at, spots, checked_in_spots, payment_ref, place, offered_at
FROM tickets
WHERE seq > :after
ORDER BY seq
LIMIT :limit;
