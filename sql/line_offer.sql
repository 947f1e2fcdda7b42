-- To the same as ledger_insert_offered.
UPDATE tickets SET status = 'reserved', offered_at = :now, expires_at = :expires_at
WHERE seq IN (
    SELECT seq
    FROM (SELECT seq, place, spots, CAST(sum(spots) OVER (ORDER BY place) AS bigint) AS taken
      FROM (SELECT seq, place, spots FROM tickets
            WHERE event_id = :event_id AND status = 'waiting'
            ORDER BY place
            LIMIT :available_spots) AS first) AS head
    WHERE taken <= :available_spots);
