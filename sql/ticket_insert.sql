INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
VALUES (:ticket_id, :event_id, :email, :email_folded, 'reserved', :now, :expires_at);
