-- One row for each of the longest expired holds of an event, behind row :n with its balance.
INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots)
SELECT :event_id, :n + row_number() OVER (ORDER BY expires_at, seq), :now, 'expired', seq, 1,
       :available_spots + row_number() OVER (ORDER BY expires_at, seq)
FROM (SELECT seq, expires_at FROM tickets
      WHERE event_id = :event_id AND status = 'reserved' AND expires_at <= :now
      ORDER BY expires_at, seq
      LIMIT :limit) AS expired;
