SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM api_keys);
