-- How long an offer holds, if offers may be made now.
SELECT hold_ms FROM events
WHERE id = :event_id AND status = 'on_sale'
  AND (sales_open_at IS NULL OR sales_open_at <= :now) AND (sales_close_at IS NULL OR sales_close_at > :now);
