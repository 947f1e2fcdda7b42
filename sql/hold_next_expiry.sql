SELECT min(expires_at) FROM tickets WHERE event_id = :event_id AND status = 'reserved';
