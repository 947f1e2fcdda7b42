SELECT n, event_id, n, sales_open_at, sales_close_at
FROM sales_windows
WHERE event_id = :event_id AND n > :after
ORDER BY n
LIMIT :limit;
