-- The one ticket that stands between this address and another for the event, if any.
SELECT seq, ticket_id, event_id, email, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at
FROM tickets
WHERE event_id = :event_id AND email = :email AND status <> 'cancelled';
