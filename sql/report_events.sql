-- One event, or those that most has happened to; and how many there are in all.
SELECT id, name, status, count(*) OVER ()
FROM events
WHERE :event_id IS NULL OR id = :event_id
ORDER BY changes DESC, id
LIMIT :limit;
