-- What an event has free, and the number and balance of its last ledger row.
SELECT e.available_spots, e.changes, l.available_spots
FROM events AS e
LEFT JOIN ledger AS l ON l.event_id = e.id AND l.n = e.changes
WHERE e.id = :event_id;
