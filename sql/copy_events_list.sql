SELECT id, id, name, total_spots, available_spots, status, changes, starts_at, sales_open_at, sales_close_at, hold_ms, created_at, owner_key_id, party_max, hold_max_ms, public_sale, waiting, waiting_max, joined
FROM events
WHERE id > :after
ORDER BY id
LIMIT :limit;
