-- A page of an event's tickets in the order of their sale, of one status or of any. A hold that has
-- expired is cancelled, swept or not.
SELECT seq, ticket_id, event_id, email, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at
FROM tickets
WHERE event_id = :event_id AND seq > :after
  AND (:status IS NULL OR :status = iif(status = 'reserved' AND expires_at <= :now, 'cancelled', status))
ORDER BY seq
LIMIT :limit;
