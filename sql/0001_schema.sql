-- The schema defends itself: a wrong statement typed by hand fails here, whatever program sends it.
-- Times are milliseconds since the Unix epoch. application_id is "LSEA" in ASCII.
PRAGMA application_id = 1280525633;

CREATE TABLE events (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    total_spots     INTEGER NOT NULL CHECK (total_spots BETWEEN 1 AND 1000000),
    available_spots INTEGER NOT NULL CHECK (available_spots BETWEEN 0 AND total_spots),
    status          TEXT    NOT NULL DEFAULT 'on_sale' CHECK (status IN ('on_sale', 'cancelled')),
    starts_at       INTEGER,
    sales_open_at   INTEGER,
    sales_close_at  INTEGER CHECK (sales_close_at > sales_open_at),
    hold_ms         INTEGER NOT NULL CHECK (hold_ms BETWEEN 1000 AND 3600000),
    created_at      INTEGER NOT NULL
) STRICT;

-- (OR, because for IN with three names SQLite builds a temporary table at every insert.)
CREATE TABLE tickets (
    seq           INTEGER PRIMARY KEY,
    ticket_id     TEXT    NOT NULL UNIQUE CHECK (length(ticket_id) = 36),
    event_id      INTEGER NOT NULL REFERENCES events (id) DEFERRABLE INITIALLY DEFERRED,
    email         TEXT    NOT NULL COLLATE NOCASE CHECK (length(email) BETWEEN 3 AND 254),
    status        TEXT    NOT NULL CHECK (status = 'reserved' OR status = 'confirmed' OR status = 'cancelled'),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL CHECK (expires_at > created_at),
    confirmed_at  INTEGER,
    cancelled_at  INTEGER,
    cancel_reason TEXT    CHECK (cancel_reason = 'expired' OR cancel_reason = 'holder' OR cancel_reason = 'organizer'),
    checked_in_at INTEGER,
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancel_reason IS NOT NULL)),
    CHECK (status <> 'reserved' OR confirmed_at IS NULL),
    CHECK (status <> 'confirmed' OR confirmed_at IS NOT NULL),
    CHECK (checked_in_at IS NULL OR status = 'confirmed')
) STRICT;

-- One live ticket for an event and an address; a hold that expired does not lock anybody out.
CREATE UNIQUE INDEX tickets_live ON tickets (event_id, email) WHERE status <> 'cancelled';

-- Finds what has expired, for one event or (by its first column) for the sweep.
CREATE INDEX tickets_held ON tickets (event_id, expires_at) WHERE status = 'reserved';

-- One row for each key ever honoured, written with its effect. A registration's first answer is
-- told by its ticket; any other's is kept here as it was given. (ticket_seq is no foreign key,
-- because SQLite would look through all keys at every new ticket.)
CREATE TABLE idempotency_keys (
    idempotency_key TEXT NOT NULL PRIMARY KEY CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    ticket_seq      INTEGER,
    request         TEXT,
    answer          TEXT,
    CHECK ((ticket_seq IS NULL) = (request IS NOT NULL)),
    CHECK ((request IS NULL) = (answer IS NULL))
) STRICT, WITHOUT ROWID;

-- Append-only: one row for each change, written in its transaction. `spots` is the change to
-- available_spots, so the sum of an event's rows is its available_spots.
CREATE TABLE ledger (
    seq       INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    event_id  INTEGER NOT NULL REFERENCES events (id) DEFERRABLE INITIALLY DEFERRED,
    ticket_id TEXT,
    kind      TEXT    NOT NULL,
    spots     INTEGER NOT NULL
) STRICT;

-- One row that a readiness check updates, to learn whether a commit can be made.
CREATE TABLE readiness (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at INTEGER NOT NULL
) STRICT;
INSERT INTO readiness VALUES (1, 0);

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'events are never deleted'); END;

CREATE TRIGGER events_no_replace BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE id = new.id)
BEGIN SELECT raise(ABORT, 'an event is never replaced'); END;

CREATE TRIGGER events_identity BEFORE UPDATE OF id, created_at ON events
BEGIN SELECT raise(ABORT, 'an event keeps its id and creation time'); END;

CREATE TRIGGER events_status BEFORE UPDATE OF status ON events
WHEN old.status = 'cancelled' AND new.status <> 'cancelled'
BEGIN SELECT raise(ABORT, 'a cancelled event stays cancelled'); END;

CREATE TRIGGER tickets_stay BEFORE DELETE ON tickets
BEGIN SELECT raise(ABORT, 'tickets are never deleted'); END;

-- INSERT OR REPLACE would delete the row in its way without asking tickets_stay, and a foreign key
-- holds only where a program has switched it on.
--
-- Every sale waits for this statement and the one below for the ledger. One trigger each, and FAIL
-- instead of ABORT (with OR FAIL in the statement, and deferred foreign keys): then SQLite need
-- not be ready to undo the statement, which takes a copy of every page it touches.
CREATE TRIGGER tickets_start BEFORE INSERT ON tickets
WHEN new.status <> 'reserved'
  OR NOT EXISTS (SELECT 1 FROM events WHERE id = new.event_id)
  OR new.seq > 0 AND EXISTS (SELECT 1 FROM tickets WHERE seq = new.seq)
  OR EXISTS (SELECT 1 FROM tickets WHERE ticket_id = new.ticket_id)
  OR EXISTS (SELECT 1 FROM tickets WHERE event_id = new.event_id AND email = new.email AND status <> 'cancelled')
BEGIN SELECT raise(FAIL, 'a ticket starts as reserved, for an event that exists, and replaces no other'); END;

CREATE TRIGGER tickets_identity
BEFORE UPDATE OF seq, ticket_id, event_id, email, created_at, expires_at ON tickets
BEGIN SELECT raise(ABORT, 'a ticket keeps its identity'); END;

CREATE TRIGGER tickets_status BEFORE UPDATE OF status ON tickets
WHEN NOT (old.status = 'reserved' AND new.status IN ('confirmed', 'cancelled')
          OR old.status = 'confirmed' AND new.status = 'cancelled')
BEGIN SELECT raise(ABORT, 'no such change of a ticket''s status'); END;

CREATE TRIGGER idempotency_keys_no_replace BEFORE INSERT ON idempotency_keys
WHEN EXISTS (SELECT 1 FROM idempotency_keys WHERE idempotency_key = new.idempotency_key)
BEGIN SELECT raise(ABORT, 'an idempotency key is never replaced'); END;

CREATE TRIGGER idempotency_keys_stay BEFORE DELETE ON idempotency_keys
BEGIN SELECT raise(ABORT, 'idempotency keys are never deleted'); END;

CREATE TRIGGER idempotency_keys_fixed BEFORE UPDATE ON idempotency_keys
BEGIN SELECT raise(ABORT, 'an idempotency key keeps its answer'); END;

CREATE TRIGGER ledger_append BEFORE INSERT ON ledger
WHEN new.seq > 0 AND EXISTS (SELECT 1 FROM ledger WHERE seq = new.seq)
  OR NOT EXISTS (SELECT 1 FROM events WHERE id = new.event_id)
BEGIN SELECT raise(FAIL, 'the ledger is append-only, for events that exist'); END;

CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
