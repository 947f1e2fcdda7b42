SELECT id, id, key_sha256, role, name, created_at, revoked_at
FROM api_keys
WHERE id > :after
ORDER BY id
LIMIT :limit;
