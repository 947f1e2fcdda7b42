-- One row for each live ticket of an event that is called off, behind row :n with its balance. A
-- hold that has expired is not live. The line goes first, so that nobody stands in it when spots
-- come free.
INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party, waiting)
SELECT event_id, :n + row_number() OVER live, :now, 'cancelled', seq,
       CASE status WHEN 'waiting' THEN 0 ELSE spots END,
       :available_spots + CAST(sum(CASE status WHEN 'waiting' THEN 0 ELSE spots END) OVER live AS bigint), spots,
       :waiting - sum(CASE status WHEN 'waiting' THEN 1 ELSE 0 END) OVER live
FROM tickets
WHERE event_id = :event_id AND status <> 'cancelled' AND (status <> 'reserved' OR expires_at > :now)
WINDOW live AS (ORDER BY CASE status WHEN 'waiting' THEN 0 ELSE 1 END, seq);
