UPDATE events SET status = 'cancelled' WHERE id = :id AND status = 'on_sale';
