-- One row for each live ticket of an event that is called off.
INSERT OR FAIL INTO ledger (at, event_id, ticket_id, kind, spots)
SELECT :now, event_id, ticket_id, 'cancelled', 1 FROM tickets
WHERE event_id = :event_id AND status <> 'cancelled';
