-- Tickets of one event that were live together for one address: the later one was reserved by an
-- earlier ledger row than the one that ended the other.
SELECT 'tickets ' || earlier || ' and ' || seq || ' of event ' || event_id || ' were live together for one address' AS live_twice
FROM (SELECT t.seq, t.event_id, l.began,
             lag(t.seq) OVER holder AS earlier, lag(l.ended) OVER holder AS earlier_ended
      FROM tickets AS t
      JOIN (SELECT ticket_seq, min(n) AS began,
                   coalesce(max(CASE WHEN kind IN ('expired', 'cancelled') THEN n END), 9000000000000000000) AS ended
            FROM ledger
            WHERE ticket_seq IS NOT NULL
            GROUP BY ticket_seq) AS l ON l.ticket_seq = t.seq
      WINDOW holder AS (PARTITION BY t.event_id, t.email_folded ORDER BY l.began)) AS held
WHERE earlier_ended > began;
