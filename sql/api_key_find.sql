SELECT key_sha256, role FROM api_keys WHERE id = :id AND revoked_at IS NULL;
