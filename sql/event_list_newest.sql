SELECT id, total_spots,
       available_spots
       + CASE WHEN waiting > 0 THEN 0
              ELSE (SELECT CAST(coalesce(sum(spots), 0) AS bigint) FROM tickets
                    WHERE event_id = events.id AND status = 'reserved' AND expires_at <= :now)
         END,
       waiting
FROM events
WHERE status = 'on_sale'
ORDER BY id DESC
LIMIT :limit;
