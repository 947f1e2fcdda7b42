INSERT INTO tickets (seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at)
VALUES (:seq, :ticket_id, :event_id, :email, :email_folded, :status, :created_at, :expires_at, :confirmed_at, :cancelled_at, :cancel_reason, :checked_in_at);
