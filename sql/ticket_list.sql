-- A page of an event's tickets in the order of their sale, which is that of its ledger, of one status
-- or of any. A hold that has expired is cancelled, swept or not.
SELECT t.seq, t.ticket_id, t.event_id, t.email, t.status, t.created_at, t.expires_at, t.confirmed_at, t.cancelled_at, t.cancel_reason, t.checked_in_at,
       t.spots, t.checked_in_spots, t.payment_ref, t.place, t.offered_at, l.n
FROM ledger AS l
JOIN tickets AS t ON t.seq = l.ticket_seq
WHERE l.event_id = :event_id AND l.n > :after AND l.kind IN ('reserved', 'waiting')
  AND (:status = CASE WHEN t.status = 'reserved' AND t.expires_at <= :now THEN 'cancelled' ELSE t.status END
       OR :status IS NULL)
ORDER BY l.n
LIMIT :limit;
