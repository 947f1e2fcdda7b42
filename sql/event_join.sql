UPDATE events SET joined = joined + 1 WHERE id = :id;
