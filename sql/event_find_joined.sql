SELECT joined FROM events WHERE id = :id;
