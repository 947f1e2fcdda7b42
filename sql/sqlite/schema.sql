-- The schema defends itself: a wrong statement typed by hand fails here, or the next sale of the
-- event refuses, or `lastseat verify` names it.
--
-- Times are milliseconds since the Unix epoch. "LSEA" in ASCII marks the file as ours.
PRAGMA application_id = 1280525633;
PRAGMA user_version = 1;

-- Keys for --auth key. Only a key's SHA-256 is kept.
CREATE TABLE api_keys (
    id         INTEGER PRIMARY KEY,
    key_sha256 BLOB    NOT NULL UNIQUE CHECK (length(key_sha256) = 32),
    role       TEXT    NOT NULL CHECK (role IN ('organizer', 'user', 'admin')),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- `changes` is the number of the event's last ledger row. `owner_key_id` is the key that created
-- the event; null: there was none, or an admin's. Without a hold_max_ms a hold lasts at most three
-- times hold_ms, however often it is extended. `waiting` entries are in line, of `joined` that ever were.
CREATE TABLE events (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    total_spots     INTEGER NOT NULL CHECK (total_spots BETWEEN 1 AND 1000000),
    available_spots INTEGER NOT NULL CHECK (available_spots BETWEEN 0 AND total_spots),
    status          TEXT    NOT NULL DEFAULT 'on_sale' CHECK (status IN ('on_sale', 'cancelled')),
    changes         INTEGER NOT NULL DEFAULT 0 CHECK (changes >= 0),
    starts_at       INTEGER,
    sales_open_at   INTEGER,
    sales_close_at  INTEGER CHECK (sales_close_at > sales_open_at),
    hold_ms         INTEGER NOT NULL CHECK (hold_ms BETWEEN 1000 AND 3600000),
    created_at      INTEGER NOT NULL,
    owner_key_id    INTEGER REFERENCES api_keys (id),
    party_max       INTEGER NOT NULL DEFAULT 10 CHECK (party_max BETWEEN 1 AND 100),
    hold_max_ms     INTEGER CHECK (hold_max_ms BETWEEN 10000 AND 86400000),
    public_sale     INTEGER NOT NULL DEFAULT 0 CHECK (public_sale IN (0, 1)),
    payment_url     TEXT    CHECK (length(payment_url) BETWEEN 1 AND 500),
    waiting         INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    waiting_max     INTEGER NOT NULL DEFAULT 100000 CHECK (waiting_max BETWEEN 0 AND 1000000),
    joined          INTEGER NOT NULL DEFAULT 0 CHECK (joined >= waiting)
) STRICT;

-- Finds those who have a line.
CREATE INDEX events_waiting ON events (id) WHERE waiting > 0;

-- `checked_in_at` is when the first of the party came in. Who was ever in line has a `place` there,
-- from 1 on, and was reserved at `offered_at`, not at `created_at`; who still is has no `expires_at`.
-- (OR, because for IN with three names SQLite builds a temporary table at every insert.)
CREATE TABLE tickets (
    seq           INTEGER PRIMARY KEY CHECK (seq > 0),
    ticket_id     BLOB    NOT NULL UNIQUE CHECK (length(ticket_id) = 16),
    event_id      INTEGER NOT NULL REFERENCES events (id),
    email         TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    email_folded  TEXT    NOT NULL CHECK (email_folded = lower(email)),
    status        TEXT    NOT NULL CHECK (status = 'reserved' OR status = 'confirmed' OR status = 'cancelled' OR status = 'waiting'),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER CHECK (expires_at > created_at),
    confirmed_at  INTEGER,
    cancelled_at  INTEGER,
    cancel_reason TEXT    CHECK (cancel_reason = 'expired' OR cancel_reason = 'holder' OR cancel_reason = 'organizer'),
    checked_in_at INTEGER,
    spots         INTEGER NOT NULL DEFAULT 1 CHECK (spots BETWEEN 1 AND 100),
    checked_in_spots INTEGER NOT NULL DEFAULT 0 CHECK (checked_in_spots BETWEEN 0 AND spots),
    payment_ref   TEXT    CHECK (length(payment_ref) BETWEEN 1 AND 255),
    place         INTEGER CHECK (place > 0),
    offered_at    INTEGER CHECK (offered_at < expires_at),
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancel_reason IS NOT NULL)),
    CHECK (status <> 'reserved' OR confirmed_at IS NULL),
    CHECK (status <> 'confirmed' OR confirmed_at IS NOT NULL),
    CHECK (checked_in_at IS NULL OR confirmed_at IS NOT NULL),
    CHECK ((checked_in_at IS NULL) = (checked_in_spots = 0)),
    CHECK (payment_ref IS NULL OR confirmed_at IS NOT NULL),
    CHECK ((status = 'waiting') <= (expires_at IS NULL)),
    CHECK ((expires_at IS NULL) <= (status = 'waiting' OR status = 'cancelled')),
    CHECK ((offered_at IS NULL) = (place IS NULL OR expires_at IS NULL)),
    CHECK (expires_at IS NOT NULL OR place IS NOT NULL AND confirmed_at IS NULL)
) STRICT;

-- One live ticket for an event and an address; a hold that expired does not lock anybody out.
CREATE UNIQUE INDEX tickets_live ON tickets (event_id, email_folded) WHERE status <> 'cancelled';

-- Finds what has expired, for one event or (by its first column) for the sweep, and its spots.
CREATE INDEX tickets_held ON tickets (event_id, expires_at, spots) WHERE status = 'reserved';

-- The line in its order, and the first of each size.
CREATE UNIQUE INDEX tickets_waiting ON tickets (event_id, place) WHERE status = 'waiting';
CREATE INDEX tickets_waiting_sizes ON tickets (event_id, spots, place) WHERE status = 'waiting';

-- How many are in line at each 512 places, so that nobody has to count all who stand before.
CREATE TABLE line_blocks (
    event_id INTEGER NOT NULL REFERENCES events (id),
    block    INTEGER NOT NULL CHECK (block >= 0),
    waiting  INTEGER NOT NULL CHECK (waiting BETWEEN 0 AND 512),
    PRIMARY KEY (event_id, block)
) STRICT, WITHOUT ROWID;

-- One row for each key ever honoured, written with its effect: what was asked, and the body of the
-- first answer as it was sent. Rows are appended; only the index of the digests is random, and its
-- entries are small. A digest covers the caller's API key and the idempotency key. (ticket_seq is
-- no foreign key, because SQLite would look through all keys at every new ticket.)
CREATE TABLE idempotency_keys (
    seq        INTEGER PRIMARY KEY,
    key_digest BLOB    NOT NULL UNIQUE CHECK (length(key_digest) = 16),
    request    TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    event_id   INTEGER,
    ticket_seq INTEGER,
    CHECK ((event_id IS NULL) <> (ticket_seq IS NULL))
) STRICT;

-- Append-only: one row for each change, written in its transaction, numbered from 1 in each event.
-- `spots` is the change to the event's available_spots, and `available_spots` what it came to.
-- `party` is how many spots of its ticket a row is about, and `waiting` how many are in line then.
CREATE TABLE ledger (
    event_id        INTEGER NOT NULL REFERENCES events (id),
    n               INTEGER NOT NULL CHECK (n > 0),
    at              INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    ticket_seq      INTEGER,
    spots           INTEGER NOT NULL,
    available_spots INTEGER NOT NULL CHECK (available_spots >= 0),
    party           INTEGER CHECK (party > 0),
    payment_ref     TEXT    CHECK (payment_ref IS NULL OR kind = 'confirmed'),
    waiting         INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    PRIMARY KEY (event_id, n),
    CHECK ((party IS NULL) = (ticket_seq IS NULL)),
    CHECK (CASE kind
               WHEN 'reserved'        THEN ticket_seq IS NOT NULL AND spots = -party
               WHEN 'waiting'         THEN ticket_seq IS NOT NULL AND spots = 0 AND waiting > 0
               WHEN 'offered'         THEN ticket_seq IS NOT NULL AND spots = -party
               WHEN 'confirmed'       THEN ticket_seq IS NOT NULL AND spots = 0
               WHEN 'extended'        THEN ticket_seq IS NOT NULL AND spots = 0
               WHEN 'checked_in'      THEN ticket_seq IS NOT NULL AND spots = 0
               WHEN 'expired'         THEN ticket_seq IS NOT NULL AND spots = party
               WHEN 'reduced'         THEN ticket_seq IS NOT NULL AND (spots = party OR spots = 0)
               WHEN 'cancelled'       THEN ticket_seq IS NOT NULL AND (spots = party OR spots = 0)
               WHEN 'created'         THEN ticket_seq IS NULL AND n = 1 AND spots > 0 AND available_spots = spots
               WHEN 'changed'         THEN ticket_seq IS NULL
               WHEN 'event_cancelled' THEN ticket_seq IS NULL AND spots = 0
               ELSE 0
           END)
) STRICT, WITHOUT ROWID;

-- The sales window of an event from its ledger row `n` on; before the first, it has no bounds.
CREATE TABLE sales_windows (
    event_id       INTEGER NOT NULL,
    n              INTEGER NOT NULL,
    sales_open_at  INTEGER,
    sales_close_at INTEGER,
    PRIMARY KEY (event_id, n),
    FOREIGN KEY (event_id, n) REFERENCES ledger (event_id, n)
) STRICT, WITHOUT ROWID;

-- One row that a readiness check updates, to learn whether a commit can be made. It is a count,
-- because SQLite writes nothing when a value stays the same.
CREATE TABLE readiness (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    checks INTEGER NOT NULL
) STRICT;
INSERT INTO readiness VALUES (1, 0);

-- INSERT OR REPLACE deletes the row in its way; the triggers against that are asked only where
-- recursive_triggers is on, as it is in this program. In a shell without it `verify` finds out.
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

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'events are never deleted'); END;

CREATE TRIGGER events_no_replace BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE id = new.id)
BEGIN SELECT raise(ABORT, 'an event is never replaced'); END;

CREATE TRIGGER events_identity BEFORE UPDATE OF id, created_at, owner_key_id ON events
BEGIN SELECT raise(ABORT, 'an event keeps its id, its creation time and its owner'); END;

CREATE TRIGGER events_status BEFORE UPDATE OF status ON events
WHEN old.status = 'cancelled' AND new.status <> 'cancelled'
BEGIN SELECT raise(ABORT, 'a cancelled event stays cancelled'); END;

CREATE TRIGGER tickets_stay BEFORE DELETE ON tickets
BEGIN SELECT raise(ABORT, 'tickets are never deleted'); END;

CREATE TRIGGER tickets_identity
BEFORE UPDATE OF seq, ticket_id, event_id, email, email_folded, created_at, place ON tickets
BEGIN SELECT raise(ABORT, 'a ticket keeps its identity'); END;

CREATE TRIGGER tickets_hold BEFORE UPDATE OF expires_at ON tickets
WHEN NOT (old.status = 'reserved' AND new.status = 'reserved' AND new.expires_at > old.expires_at
          OR old.status = 'waiting' AND new.status = 'reserved')
BEGIN SELECT raise(ABORT, 'a hold can only be extended'); END;

CREATE TRIGGER tickets_offer BEFORE UPDATE OF offered_at ON tickets
WHEN NOT (old.status = 'waiting' AND new.status = 'reserved')
BEGIN SELECT raise(ABORT, 'an offer is made once, to who is in line'); END;

CREATE TRIGGER tickets_spots BEFORE UPDATE OF spots ON tickets
WHEN new.spots > old.spots OR old.status = 'cancelled' OR old.checked_in_spots > 0
BEGIN SELECT raise(ABORT, 'a party only grows smaller, before it comes in'); END;

CREATE TRIGGER tickets_payment BEFORE UPDATE OF payment_ref ON tickets
WHEN NOT (old.status = 'reserved' AND new.status = 'confirmed')
BEGIN SELECT raise(ABORT, 'a payment is named when the ticket is confirmed'); END;

CREATE TRIGGER tickets_status BEFORE UPDATE OF status ON tickets
WHEN NOT (old.status = 'waiting' AND new.status IN ('reserved', 'cancelled')
          OR old.status = 'reserved' AND new.status IN ('confirmed', 'cancelled')
          OR old.status = 'confirmed' AND new.status = 'cancelled')
BEGIN SELECT raise(ABORT, 'no such change of a ticket''s status'); END;

CREATE TRIGGER tickets_check_in BEFORE UPDATE OF checked_in_at, checked_in_spots ON tickets
WHEN new.status <> 'confirmed' OR new.checked_in_spots <= old.checked_in_spots
     OR old.checked_in_at IS NOT NULL AND new.checked_in_at IS NOT old.checked_in_at
BEGIN SELECT raise(ABORT, 'a ticket lets in once, while it is confirmed'); END;

CREATE TRIGGER idempotency_keys_stay BEFORE DELETE ON idempotency_keys
BEGIN SELECT raise(ABORT, 'idempotency keys are never deleted'); END;

CREATE TRIGGER idempotency_keys_fixed BEFORE UPDATE ON idempotency_keys
BEGIN SELECT raise(ABORT, 'an idempotency key keeps its answer'); END;

CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER sales_windows_no_update BEFORE UPDATE ON sales_windows
BEGIN SELECT raise(ABORT, 'a sales window that was stays'); END;

CREATE TRIGGER sales_windows_no_delete BEFORE DELETE ON sales_windows
BEGIN SELECT raise(ABORT, 'a sales window that was stays'); END;
