UPDATE events SET available_spots = available_spots + :spots WHERE id = :id;
