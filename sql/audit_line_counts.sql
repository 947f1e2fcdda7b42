-- What is counted of each line, and the window in which it is served, as they would be counted anew.
SELECT 'block ' || b.block || ' of the line of event ' || b.event_id || ' counts ' || b.waiting || ' in line' AS line
FROM line_blocks AS b
WHERE b.waiting <> (SELECT count(*) FROM tickets
                    WHERE event_id = b.event_id AND status = 'waiting'
                      AND place >= b.block * 512 AND place < (b.block + 1) * 512)
UNION ALL
SELECT 'event ' || e.id || ' has ' || e.waiting || ' in line, and counts others'
FROM events AS e
WHERE e.waiting <> (SELECT coalesce(sum(waiting), 0) FROM line_blocks WHERE event_id = e.id)
UNION ALL
SELECT 'place ' || place || ' in the line of event ' || event_id || ' is not in the order of joining'
FROM (SELECT t.place, l.event_id, l.n, lag(l.n) OVER (PARTITION BY l.event_id ORDER BY t.place) AS before
      FROM ledger AS l JOIN tickets AS t ON t.seq = l.ticket_seq
      WHERE l.kind = 'waiting') AS placed
WHERE before > n
UNION ALL
SELECT 'event ' || e.id || ' has another sales window than its ledger'
FROM events AS e
LEFT JOIN sales_windows AS w ON w.event_id = e.id AND w.n = (SELECT max(n) FROM sales_windows WHERE event_id = e.id)
WHERE e.sales_open_at IS DISTINCT FROM w.sales_open_at OR e.sales_close_at IS DISTINCT FROM w.sales_close_at;
