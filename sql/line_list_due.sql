-- The events whose line has something to be offered, or a hold that has ended.
SELECT id FROM events
WHERE waiting > 0 AND status = 'on_sale'
  AND (sales_open_at IS NULL OR sales_open_at <= :now) AND (sales_close_at IS NULL OR sales_close_at > :now)
  AND ((SELECT min(expires_at) FROM tickets WHERE event_id = events.id AND status = 'reserved') <= :now
       OR (SELECT min(spots) FROM tickets WHERE event_id = events.id AND status = 'waiting') <= available_spots)
ORDER BY id;
