UPDATE tickets SET checked_in_at = coalesce(checked_in_at, :now), checked_in_spots = checked_in_spots + :spots
WHERE seq = :seq AND status = 'confirmed' AND checked_in_spots + :spots <= spots;
