-- All that decides whether this address gets a spot, in one statement and so in one snapshot: the
-- event and its last ledger row's balance, the live ticket that the address may have, and, if no
-- spot is free, when the first hold ends or has ended.
SELECT e.status, e.available_spots, e.changes, l.available_spots, e.sales_open_at, e.sales_close_at, e.hold_ms,
       t.seq, t.status, t.expires_at,
       CASE WHEN e.available_spots = 0 THEN
           (SELECT min(expires_at) FROM tickets WHERE event_id = e.id AND status = 'reserved')
       END
FROM events AS e
LEFT JOIN ledger AS l ON l.event_id = e.id AND l.n = e.changes
LEFT JOIN tickets AS t ON t.event_id = e.id AND t.email_folded = :email_folded AND t.status <> 'cancelled'
WHERE e.id = :event_id;
