-- Each event, and what the rows of its ledger come to.
SELECT CASE WHEN e.id IS NULL THEN 'event ' || l.event_id || ' of the ledger is missing'
       END AS missing,
       CASE WHEN e.available_spots <> l.free
            THEN 'event ' || e.id || ' has ' || e.available_spots || ' spots free, its ledger says ' || l.free
            WHEN e.waiting <> l.waiting
            THEN 'event ' || e.id || ' has ' || e.waiting || ' in line, its ledger says ' || l.waiting
            WHEN e.changes <> l.changes
            THEN 'event ' || e.id || ' counts ' || e.changes || ' changes, its ledger ' || l.changes
       END AS event_balance,
       CASE WHEN e.total_spots <> l.capacity
            THEN 'event ' || e.id || ' has ' || e.total_spots || ' spots in all, its ledger says ' || l.capacity
       END AS event_capacity,
       CASE WHEN (e.status = 'cancelled') <> (l.ended > 0)
            THEN 'event ' || e.id || ' is ' || e.status || ', its ledger says otherwise'
       END AS event_status
FROM (SELECT event_id, max(n) AS changes, sum(spots) AS free,
             sum(CASE WHEN kind = 'waiting' THEN 1
                      WHEN kind = 'offered' OR kind = 'cancelled' AND spots = 0 THEN -1
                      ELSE 0 END) AS waiting,
             sum(CASE WHEN kind IN ('created', 'changed') THEN spots ELSE 0 END) AS capacity,
             sum(CASE WHEN kind = 'event_cancelled' THEN 1 ELSE 0 END) AS ended
      FROM ledger
      GROUP BY event_id) AS l
LEFT JOIN events AS e ON e.id = l.event_id
WHERE e.id IS NULL
   OR e.available_spots <> l.free OR e.waiting <> l.waiting OR e.changes <> l.changes OR e.total_spots <> l.capacity
   OR (e.status = 'cancelled') <> (l.ended > 0)
UNION ALL
SELECT 'event ' || id || ' is not in the ledger', NULL, NULL, NULL
FROM events
WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE event_id = events.id);
