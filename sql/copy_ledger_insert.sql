INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots)
VALUES (:event_id, :n, :at, :kind, :ticket_seq, :spots, :available_spots);
