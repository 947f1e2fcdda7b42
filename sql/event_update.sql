-- A new capacity changes what is available by as much.
UPDATE events
SET name = :name,
    total_spots = total_spots + :spots, available_spots = available_spots + :spots, changes = changes + 1,
    starts_at = :starts_at, sales_open_at = :sales_open_at, sales_close_at = :sales_close_at,
    hold_ms = :hold_ms, party_max = :party_max, hold_max_ms = :hold_max_ms, public_sale = :public_sale,
    waiting_max = :waiting_max, payment_url = :payment_url
WHERE id = :id;
