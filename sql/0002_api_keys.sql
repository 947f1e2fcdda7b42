-- Keys for --auth key, and which of them an event belongs to. Only a key's SHA-256 is kept.
CREATE TABLE api_keys (
    id         INTEGER PRIMARY KEY,
    key_sha256 BLOB    NOT NULL UNIQUE CHECK (length(key_sha256) = 32),
    role       TEXT    NOT NULL CHECK (role IN ('organizer', 'user', 'admin')),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- The key that created the event; null: there was none, or an admin's.
ALTER TABLE events ADD COLUMN owner_key_id INTEGER REFERENCES api_keys (id);

CREATE TRIGGER events_owner BEFORE UPDATE OF owner_key_id ON events
BEGIN SELECT raise(ABORT, 'an event keeps its owner'); END;

CREATE TRIGGER api_keys_stay BEFORE DELETE ON api_keys
BEGIN SELECT raise(ABORT, 'keys are revoked, never deleted'); END;

CREATE TRIGGER api_keys_no_replace BEFORE INSERT ON api_keys
WHEN EXISTS (SELECT 1 FROM api_keys WHERE id = new.id OR key_sha256 = new.key_sha256)
BEGIN SELECT raise(ABORT, 'a key is never replaced'); END;

CREATE TRIGGER api_keys_identity BEFORE UPDATE OF id, key_sha256, role, name, created_at ON api_keys
BEGIN SELECT raise(ABORT, 'a key keeps its identity'); END;

CREATE TRIGGER api_keys_revoked BEFORE UPDATE OF revoked_at ON api_keys
WHEN old.revoked_at IS NOT NULL
BEGIN SELECT raise(ABORT, 'a revoked key stays revoked'); END;
