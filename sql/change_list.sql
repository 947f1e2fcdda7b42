-- What has happened to an event behind row :after of its ledger, in order.
SELECT l.n, l.at, l.kind, t.ticket_id, l.spots, l.available_spots, l.waiting
FROM ledger AS l
LEFT JOIN tickets AS t ON t.seq = l.ticket_seq
WHERE l.event_id = :event_id AND l.n > :after
ORDER BY l.n
LIMIT :limit;
