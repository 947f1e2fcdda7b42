-- Each ledger row by itself and with the rows before it.
SELECT CASE WHEN n <> before + 1 THEN 'ledger row ' || n || ' of event ' || event_id || ' follows row ' || before
       END AS ledger_gap,
       CASE WHEN kind NOT IN ('created', 'changed', 'event_cancelled', 'waiting', 'offered', 'reserved', 'confirmed', 'extended', 'reduced', 'checked_in', 'expired', 'cancelled')
            THEN 'ledger row ' || n || ' of event ' || event_id || ' is of no kind'
            WHEN (ticket_seq IS NULL) <> (kind IN ('created', 'changed', 'event_cancelled'))
            THEN 'ledger row ' || n || ' of event ' || event_id || ' names a ticket where none belongs, or none'
       END AS ledger_kind,
       CASE WHEN spots <> due
            THEN 'ledger row ' || n || ' of event ' || event_id || ' (' || kind || ') moves ' || spots || ' spots'
       END AS ledger_spots,
       CASE WHEN (before = 0) <> (kind = 'created')
            THEN 'ledger row ' || n || ': event ' || event_id || ' does not begin once, as created'
       END AS event_start,
       CASE WHEN free < 0 OR free > capacity
            THEN 'event ' || event_id || ' after ledger row ' || n || ': ' || free || ' of ' || capacity || ' free'
            WHEN free <> available_spots
            THEN 'ledger row ' || n || ' of event ' || event_id || ' leaves ' || available_spots || ' spots free, the rows up to it ' || free
            WHEN in_line <> waiting
            THEN 'ledger row ' || n || ' of event ' || event_id || ' leaves ' || waiting || ' in line, the rows up to it ' || in_line
       END AS running_sum,
       CASE WHEN ended > 0 AND kind <> 'expired'
            THEN 'ledger row ' || n || ': event ' || event_id || ' goes on after it was cancelled'
       END AS transition
FROM (SELECT event_id, n, kind, ticket_seq, spots, available_spots, waiting,
             CASE kind WHEN 'reserved' THEN -coalesce(party, 0)
                       WHEN 'offered' THEN -coalesce(party, 0)
                       WHEN 'expired' THEN coalesce(party, 0)
                       WHEN 'reduced' THEN CASE spots WHEN 0 THEN 0 ELSE coalesce(party, 0) END
                       WHEN 'cancelled' THEN CASE spots WHEN 0 THEN 0 ELSE coalesce(party, 0) END
                       WHEN 'created' THEN abs(spots) WHEN 'changed' THEN spots ELSE 0 END AS due,
             coalesce(lag(n) OVER rows_so_far, 0) AS before,
             sum(spots) OVER rows_so_far AS free,
             sum(CASE WHEN kind = 'waiting' THEN 1
                      WHEN kind = 'offered' OR kind = 'cancelled' AND spots = 0 THEN -1
                      ELSE 0 END) OVER rows_so_far AS in_line,
             sum(CASE WHEN kind IN ('created', 'changed') THEN spots ELSE 0 END) OVER rows_so_far AS capacity,
             sum(CASE WHEN kind = 'event_cancelled' THEN 1 ELSE 0 END) OVER rows_so_far
             - CASE WHEN kind = 'event_cancelled' THEN 1 ELSE 0 END AS ended
      FROM ledger
      WINDOW rows_so_far AS (PARTITION BY event_id ORDER BY n)) AS told
WHERE n <> before + 1
   OR ticket_seq IS NULL AND kind NOT IN ('created', 'changed', 'event_cancelled')
   OR ticket_seq IS NOT NULL AND kind NOT IN ('waiting', 'offered', 'reserved', 'confirmed', 'extended', 'reduced', 'checked_in', 'expired', 'cancelled')
   OR spots <> due
   OR (before = 0) <> (kind = 'created')
   OR free < 0 OR free > capacity OR free <> available_spots OR in_line <> waiting
   OR ended > 0 AND kind <> 'expired';
