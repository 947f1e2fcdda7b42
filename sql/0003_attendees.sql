-- Pages of an event's tickets (an index ends in the rowid, which is seq): without it the first page
-- of a new event would read every ticket ever sold.
CREATE INDEX tickets_of_event ON tickets (event_id);

CREATE TRIGGER tickets_check_in BEFORE UPDATE OF checked_in_at ON tickets
WHEN old.checked_in_at IS NOT NULL AND new.checked_in_at IS NOT old.checked_in_at AND new.status <> 'cancelled'
BEGIN SELECT raise(ABORT, 'a ticket lets in once'); END;
