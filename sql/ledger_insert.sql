INSERT OR FAIL INTO ledger (at, event_id, ticket_id, kind, spots)
VALUES (:now, :event_id, :ticket_id, :kind, :spots);
