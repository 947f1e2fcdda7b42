SELECT id, total_spots, available_spots, status FROM events ORDER BY id;
