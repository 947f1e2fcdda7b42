INSERT INTO api_keys (id, key_sha256, role, name, created_at, revoked_at)
VALUES (:id, :key_sha256, :role, :name, :created_at, :revoked_at);
