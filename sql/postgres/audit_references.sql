-- Rows that point to rows that are not there, as they can only where somebody has turned the checks off.
SELECT 'event ' || id || ' points to no row of api_keys' AS sentence
FROM events WHERE owner_key_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM api_keys AS k WHERE k.id = owner_key_id)
UNION ALL
SELECT 'ticket ' || seq || ' points to no row of events'
FROM tickets AS t WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = t.event_id)
UNION ALL
SELECT 'ledger row ' || n || ' of event ' || event_id || ' points to no row of events'
FROM ledger AS l WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = l.event_id)
UNION ALL
SELECT 'line block ' || block || ' of event ' || event_id || ' points to no row of events'
FROM line_blocks AS b WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = b.event_id)
UNION ALL
SELECT 'the sales window from ledger row ' || n || ' of event ' || event_id || ' on points to no row of ledger'
FROM sales_windows AS w WHERE NOT EXISTS (SELECT 1 FROM ledger AS l WHERE l.event_id = w.event_id AND l.n = w.n);
