-- Everything that happened to an event, in no order: its ledger, and the end of each hold that waits
-- to be swept. Of what is given back, whether it was confirmed before, and who cancelled it;
-- of what is confirmed, whether it was offered to somebody in line.
SELECT l.at, l.kind, l.spots, l.available_spots, l.party,
       CASE WHEN t.confirmed_at <= l.at THEN t.confirmed_at END, t.cancel_reason,
       t.offered_at
FROM ledger AS l
LEFT JOIN tickets AS t ON l.kind IN ('confirmed', 'cancelled', 'reduced') AND t.seq = l.ticket_seq
WHERE l.event_id = :event_id
UNION ALL
SELECT expires_at, 'expired', spots, NULL, spots, NULL, NULL, NULL
FROM tickets
WHERE event_id = :event_id AND status = 'reserved' AND expires_at <= :now;
