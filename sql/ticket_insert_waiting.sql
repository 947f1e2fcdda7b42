INSERT INTO tickets (seq, ticket_id, event_id, email, email_folded, status, created_at, spots, place)
VALUES (:seq, :ticket_id, :event_id, :email, :email_folded, 'waiting', :now, :spots,
        (SELECT joined + 1 FROM events WHERE id = :event_id));
