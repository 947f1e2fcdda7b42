-- available_spots counts a hold that has expired as free, swept or not, unless there is a line: then
-- its spots are the line's. Without an owner to look
-- for, everybody's events.
SELECT id, name, total_spots,
       available_spots
       + CASE WHEN waiting > 0 THEN 0
              ELSE (SELECT CAST(coalesce(sum(spots), 0) AS bigint) FROM tickets
                    WHERE event_id = events.id AND status = 'reserved' AND expires_at <= :now)
         END,
       status, starts_at, sales_open_at, sales_close_at, hold_ms, created_at,
       party_max, hold_max_ms, public_sale, waiting, waiting_max, payment_url
FROM events
WHERE id > :after AND (owner_key_id = :owner_key_id OR :owner_key_id IS NULL)
ORDER BY id
LIMIT :limit;
