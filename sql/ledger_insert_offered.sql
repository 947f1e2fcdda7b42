-- One row for each of those at the head of the line who fit into what is free, one after the other,
-- behind row :n with its balance. (Each takes a spot at least.)
INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party, waiting)
SELECT :event_id, :n + row_number() OVER line, :now, 'offered', seq, -spots, :available_spots - taken, spots,
       :waiting - row_number() OVER line
FROM (SELECT seq, place, spots, CAST(sum(spots) OVER (ORDER BY place) AS bigint) AS taken
      FROM (SELECT seq, place, spots FROM tickets
            WHERE event_id = :event_id AND status = 'waiting'
            ORDER BY place
            LIMIT :available_spots) AS first) AS head
WHERE taken <= :available_spots
WINDOW line AS (ORDER BY place);
