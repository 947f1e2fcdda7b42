-- The first in line whose party fits into what is free: steps from size to size, and looks at the
-- first of each.
WITH RECURSIVE sizes (spots) AS (
    SELECT min(spots) FROM tickets WHERE event_id = :event_id AND status = 'waiting'
    UNION ALL
    SELECT (SELECT min(spots) FROM tickets
            WHERE event_id = :event_id AND status = 'waiting' AND spots > sizes.spots)
    FROM sizes WHERE sizes.spots < :available_spots
), firsts (place) AS (
    SELECT (SELECT min(place) FROM tickets
            WHERE event_id = :event_id AND status = 'waiting' AND spots = sizes.spots)
    FROM sizes WHERE sizes.spots <= :available_spots
)
SELECT seq, spots, place FROM tickets
WHERE event_id = :event_id AND status = 'waiting' AND place = (SELECT min(place) FROM firsts);
