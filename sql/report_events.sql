-- One event, or those that most has happened to; and how many there are in all.
SELECT id, name, status, count(*) OVER ()
FROM events
WHERE id = :event_id OR :event_id IS NULL
ORDER BY changes DESC, id
LIMIT :limit;
