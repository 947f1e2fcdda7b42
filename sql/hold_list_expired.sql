SELECT seq, ticket_id FROM tickets
WHERE event_id = :event_id AND status = 'reserved' AND expires_at <= :now
ORDER BY expires_at
LIMIT :limit;
