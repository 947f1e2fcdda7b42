SELECT status, available_spots, sales_open_at, sales_close_at, hold_ms FROM events WHERE id = :id;
