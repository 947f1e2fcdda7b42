UPDATE events SET available_spots = available_spots - :spots, changes = changes + 1
WHERE id = :id AND available_spots >= :spots;
