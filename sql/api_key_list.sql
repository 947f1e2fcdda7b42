SELECT id, role, name, created_at, revoked_at FROM api_keys ORDER BY id;
