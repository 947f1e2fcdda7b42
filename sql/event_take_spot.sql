UPDATE events SET available_spots = available_spots - 1 WHERE id = :id AND available_spots > 0;
