INSERT OR FAIL INTO tickets (ticket_id, event_id, email, status, created_at, expires_at)
VALUES (:ticket_id, :event_id, :email, 'reserved', :now, :expires_at);
