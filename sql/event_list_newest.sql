SELECT id, total_spots,
       available_spots + (SELECT coalesce(sum(spots), 0) FROM tickets
                          WHERE event_id = events.id AND status = 'reserved' AND expires_at <= :now)
FROM events
WHERE status = 'on_sale'
ORDER BY id DESC
LIMIT :limit;
