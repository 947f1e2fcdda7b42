-- Everything in the schema but what PostgreSQL makes by itself, one line each.
SELECT string_agg(object, E'\n' ORDER BY object COLLATE "C") AS objects
FROM (SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
             || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || CASE WHEN a.attidentity <> '' THEN ' identity' ELSE '' END AS object
      FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relname IN ('api_keys', 'events', 'tickets', 'idempotency_keys', 'ledger', 'readiness', 'writers', 'lastseat')
      UNION ALL
      SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'p', 'u', 'f')
      UNION ALL
      SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = current_schema()
      UNION ALL
      SELECT 'trigger ' || tgname || ' ' || tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
      FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
      WHERE c.relnamespace = current_schema()::regnamespace AND NOT tgisinternal
      UNION ALL
      SELECT 'function ' || p.oid::regprocedure || ' ' || md5(prosrc)
      FROM pg_proc AS p WHERE proname = 'refuse' AND pronamespace = current_schema()::regnamespace) AS made;
