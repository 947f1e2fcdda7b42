-- What an event has free, its line, and the number and balance of its last ledger row.
SELECT e.available_spots, e.changes, l.available_spots, e.waiting, l.waiting
FROM events AS e
LEFT JOIN ledger AS l ON l.event_id = e.id AND l.n = e.changes
WHERE e.id = :event_id;
