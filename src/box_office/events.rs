//! Events: put on sale, shown.

use super::once::{Done, once};
use crate::error::Error;
use crate::model::{Event, IdempotencyKey, LedgerKind, NewEvent, Timestamp};
use crate::store::Tx;

/// Puts an event on sale. `hold_ms_default` holds where the organizer asks for nothing else.
///
/// Errors: `IdempotencyKeyReused`.
pub fn create_event(
    tx: &Tx,
    now: Timestamp,
    new: &NewEvent,
    hold_ms_default: i64,
    key: Option<&IdempotencyKey>,
) -> Result<Done<Event>, Error> {
    once(tx, key, ("create_event", new), || {
        let hold_ms = new.hold_seconds.map_or(hold_ms_default, |s| s * 1_000);
        let id = tx.event_insert(new, hold_ms, now)?;
        tx.ledger_insert(now, id, None, LedgerKind::Created, new.total_spots)?;
        show_event(tx, now, id)
    })
}

/// Errors: `EventNotFound`.
pub fn show_event(tx: &Tx, now: Timestamp, id: i64) -> Result<Event, Error> {
    tx.event_find(id, now)?.ok_or(Error::EventNotFound)
}

/// Up to `limit` events with an id above `after`, oldest first.
pub fn list_events(tx: &Tx, now: Timestamp, after: i64, limit: usize) -> Result<Vec<Event>, Error> {
    tx.event_list(after, limit, now)
}
