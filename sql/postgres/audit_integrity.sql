-- Indexes that PostgreSQL does not keep, and constraints that it has not checked.
SELECT 'the index ' || c.relname || ' is not valid' AS sentence
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready)
UNION ALL
SELECT 'the constraint ' || conname || ' is not validated'
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND NOT convalidated;
