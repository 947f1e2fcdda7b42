SELECT public_sale FROM events WHERE id = :id;
