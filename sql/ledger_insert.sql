INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party, payment_ref, waiting)
VALUES (:event_id, :n, :now, :kind, :ticket_seq, :spots, :available_spots, :party, :payment_ref, :waiting);
