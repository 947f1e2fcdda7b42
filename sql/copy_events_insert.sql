INSERT INTO events (id, name, total_spots, available_spots, status, changes, starts_at, sales_open_at, sales_close_at, hold_ms, created_at, owner_key_id)
VALUES (:id, :name, :total_spots, :available_spots, :status, :changes, :starts_at, :sales_open_at, :sales_close_at, :hold_ms, :created_at, :owner_key_id);
