SELECT 'keys ' || min(seq) || ' and ' || max(seq) || ' are one' AS key_twice
FROM idempotency_keys
GROUP BY key_digest
HAVING count(*) > 1;
