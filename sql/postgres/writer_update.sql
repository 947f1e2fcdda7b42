UPDATE writers SET batch = :batch, at = now() WHERE id = :id;
