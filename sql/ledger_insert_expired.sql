-- One row for each of the longest expired holds of an event, behind row :n with its balance.
INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party, waiting)
SELECT :event_id, :n + row_number() OVER ended, :now, 'expired', seq, spots,
       :available_spots + CAST(sum(spots) OVER ended AS bigint), spots, :waiting
FROM (SELECT seq, expires_at, spots FROM tickets
      WHERE event_id = :event_id AND status = 'reserved' AND expires_at <= :now
      ORDER BY expires_at, seq
      LIMIT :limit) AS expired
WINDOW ended AS (ORDER BY expires_at, seq);
