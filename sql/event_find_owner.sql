SELECT owner_key_id FROM events WHERE id = :id;
