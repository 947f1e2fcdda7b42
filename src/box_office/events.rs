//! Events: put on sale, shown, changed, cancelled.

use super::holds::release_all_expired_holds;
use super::once::{Done, once};
use crate::error::Error;
use crate::model::{
    Event, EventChange, EventStatus, IdempotencyKey, LedgerKind, NewEvent, Spots, Timestamp,
    is_sales_window,
};
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

/// The spots of the newest events on sale, the newest first.
pub fn newest_events(tx: &Tx, now: Timestamp, limit: usize) -> Result<Vec<Spots>, Error> {
    tx.event_list_newest(now, limit)
}

/// Up to `limit` events behind the position `after` (0: from the beginning), oldest first, each with
/// its own position; of this owner, if one is given.
pub fn list_events(
    tx: &Tx,
    now: Timestamp,
    owner_key_id: Option<i64>,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, Event)>, Error> {
    let events = tx.event_list(owner_key_id, after, limit, now)?;
    Ok(events.into_iter().map(|event| (event.id, event)).collect())
}

/// Changes an event on sale. A change that changes nothing leaves no row in the ledger.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `EventCancelled`,
/// `SalesWindowInvalid`, `CapacityBelowCommitted`.
pub fn change_event(
    tx: &Tx,
    now: Timestamp,
    id: i64,
    change: &EventChange,
    key: Option<&IdempotencyKey>,
) -> Result<Done<Event>, Error> {
    let before = show_event(tx, now, id)?;
    once(tx, key, ("change_event", id, change), || {
        if before.status == EventStatus::Cancelled {
            return Err(Error::EventCancelled);
        }
        let after = change.applied_to(&before);
        if !is_sales_window(after.sales_open_at, after.sales_close_at) {
            return Err(Error::SalesWindowInvalid);
        }
        if after.available_spots < 0 {
            let minimum = before.total_spots - before.available_spots;
            return Err(Error::CapacityBelowCommitted { minimum });
        }
        if after == before {
            return Ok(after);
        }
        let spots = after.total_spots - before.total_spots;
        if spots < 0 {
            release_all_expired_holds(tx, now, id)?;
        }
        tx.event_update(&after, spots, change.hold_seconds.map(|s| s * 1_000))?;
        tx.ledger_insert(now, id, None, LedgerKind::Changed, spots)?;
        Ok(after)
    })
}

/// Calls an event off: every live ticket is cancelled with it. A cancelled event stays as it is.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`.
pub fn cancel_event(
    tx: &Tx,
    now: Timestamp,
    id: i64,
    key: Option<&IdempotencyKey>,
) -> Result<Done<Event>, Error> {
    let event = show_event(tx, now, id)?;
    once(tx, key, ("cancel_event", id), || {
        if event.status == EventStatus::Cancelled {
            return Ok(event);
        }
        release_all_expired_holds(tx, now, id)?;
        let cancelled = tx.ledger_insert_cancelled(now, id)?;
        if tx.ticket_cancel_all(id, now)? != cancelled {
            return Err(Error::Internal(
                "a ticket's end is not in the ledger".into(),
            ));
        }
        tx.event_return_spots(id, cancelled as i64)?;
        tx.event_cancel(id)?;
        tx.ledger_insert(now, id, None, LedgerKind::EventCancelled, 0)?;
        show_event(tx, now, id)
    })
}
