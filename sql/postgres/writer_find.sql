-- Waits for a transaction of this writer that is not yet decided.
SELECT batch FROM writers WHERE id = :id FOR UPDATE;
