SELECT seq, ticket_id, event_id, email, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at
FROM tickets
ORDER BY seq;
