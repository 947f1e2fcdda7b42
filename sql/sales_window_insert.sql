INSERT INTO sales_windows (event_id, n, sales_open_at, sales_close_at)
VALUES (:event_id, :n, :sales_open_at, :sales_close_at);
