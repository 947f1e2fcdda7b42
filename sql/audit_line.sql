-- The ledgers of events that ever had a line, in order, with the sales window that a row begins.
SELECT l.event_id, l.n, l.at, l.kind, l.ticket_seq, l.spots, l.available_spots, l.party,
       w.n, w.sales_open_at, w.sales_close_at
FROM ledger AS l
LEFT JOIN sales_windows AS w ON w.event_id = l.event_id AND w.n = l.n
WHERE l.event_id IN (SELECT event_id FROM ledger WHERE kind = 'waiting')
ORDER BY l.event_id, l.n;
