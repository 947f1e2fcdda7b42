-- available_spots counts a hold that has expired as free, swept or not.
SELECT id, name, total_spots,
       available_spots + (SELECT coalesce(sum(spots), 0) FROM tickets
                          WHERE event_id = events.id AND status = 'reserved' AND expires_at <= :now),
       status, starts_at, sales_open_at, sales_close_at, hold_ms, created_at,
       party_max, hold_max_ms, public_sale, payment_url
FROM events
WHERE id = :id;
