-- Tickets with an id from :first to :last, which begins with the time of its sale.
SELECT ticket_id, event_id FROM tickets WHERE ticket_id BETWEEN :first AND :last;
