-- The events that have an expired hold: steps from event to event along the index tickets_held
-- instead of reading every hold.
WITH RECURSIVE held (event_id) AS (
    SELECT min(event_id) FROM tickets WHERE status = 'reserved'
    UNION ALL
    SELECT (SELECT min(event_id) FROM tickets WHERE status = 'reserved' AND event_id > held.event_id)
    FROM held WHERE held.event_id IS NOT NULL
)
SELECT event_id FROM held
WHERE event_id IS NOT NULL
  AND (SELECT min(expires_at) FROM tickets WHERE event_id = held.event_id AND status = 'reserved') <= :now;
