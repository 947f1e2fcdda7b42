-- All that decides whether this address gets spots, in one statement and so in one snapshot: the
-- event and its last ledger row's balance, the live ticket that the address may have, and, if there
-- may be too few spots, when the first hold ends or has ended.
SELECT e.available_spots, e.changes, l.available_spots, e.waiting, l.waiting,
       e.status, e.sales_open_at, e.sales_close_at, e.hold_ms, e.party_max, e.waiting_max,
       t.seq, t.status, t.expires_at, t.spots,
       CASE WHEN e.available_spots < e.party_max OR e.waiting > 0 THEN
           (SELECT min(expires_at) FROM tickets WHERE event_id = e.id AND status = 'reserved')
       END
FROM events AS e
LEFT JOIN ledger AS l ON l.event_id = e.id AND l.n = e.changes
LEFT JOIN tickets AS t ON t.event_id = e.id AND t.email_folded = :email_folded AND t.status <> 'cancelled'
WHERE e.id = :event_id;
