-- available_spots counts a hold that has expired as free, swept or not. Without an owner to look
-- for, everybody's events.
SELECT id, name, total_spots,
       available_spots + (SELECT coalesce(sum(spots), 0) FROM tickets
                          WHERE event_id = events.id AND status = 'reserved' AND expires_at <= :now),
       status, starts_at, sales_open_at, sales_close_at, hold_ms, created_at,
       party_max, hold_max_ms, public_sale, payment_url
FROM events
WHERE id > :after AND (owner_key_id = :owner_key_id OR :owner_key_id IS NULL)
ORDER BY id
LIMIT :limit;
