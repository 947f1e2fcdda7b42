-- One row for each live ticket of an event that is called off, behind row :n with its balance. A
-- hold that has expired is not live.
INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
SELECT event_id, :n + row_number() OVER live, :now, 'cancelled', seq, spots,
       :available_spots + sum(spots) OVER live, spots
FROM tickets
WHERE event_id = :event_id AND status <> 'cancelled' AND (status <> 'reserved' OR expires_at > :now)
WINDOW live AS (ORDER BY seq);
