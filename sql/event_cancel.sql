UPDATE events
SET status = 'cancelled', available_spots = available_spots + :spots, waiting = 0, changes = changes + :changes
WHERE id = :id AND status = 'on_sale';
