SELECT public_sale FROM events WHERE id = (SELECT event_id FROM tickets WHERE ticket_id = :ticket_id);
