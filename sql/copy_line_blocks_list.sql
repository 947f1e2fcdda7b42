SELECT block + 1, event_id, block, waiting
FROM line_blocks
WHERE event_id = :event_id AND block >= :after
ORDER BY block
LIMIT :limit;
