-- Without a seq the table gives it one.
INSERT INTO tickets (seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at, spots)
VALUES (:seq, :ticket_id, :event_id, :email, :email_folded, 'reserved', :now, :expires_at, :spots);
