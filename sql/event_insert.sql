INSERT INTO events (name, total_spots, available_spots, changes, starts_at, sales_open_at, sales_close_at, hold_ms, created_at, owner_key_id,
                    party_max, hold_max_ms, public_sale, waiting_max, payment_url)
VALUES (:name, :total_spots, :total_spots, 1, :starts_at, :sales_open_at, :sales_close_at, :hold_ms, :now, :owner_key_id,
        :party_max, :hold_max_ms, :public_sale, :waiting_max, :payment_url);
