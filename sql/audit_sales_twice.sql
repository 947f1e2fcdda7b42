SELECT 'ticket ' || ticket_seq || ' was sold under the keys ' || min(seq) || ' and ' || max(seq) AS key_twice
FROM idempotency_keys
WHERE request LIKE '["register",%'
GROUP BY ticket_seq
HAVING count(*) > 1;
