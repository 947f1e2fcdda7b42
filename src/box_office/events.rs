//! Events: put on sale, shown, changed, cancelled.

use super::holds::{release_expired_holds, release_holds};
use super::ledger::open_account;
use super::line::serve_line;
use super::once::{Done, Subject, once};
use crate::error::Error;
use crate::model::{
    Event, EventChange, EventStatus, IdempotencyKey, LedgerKind, NewEvent, Spots, Timestamp,
    is_sales_window,
};
use crate::store::{Account, Entry, Tx};

/// A change that needs more spots than are free, because holds have expired and are not swept yet,
/// releases at most so many in a transaction.
const RELEASED_PER_TRANSACTION_MAX: i64 = 2_000;

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
    once(tx, now, key, ("create_event", new), || {
        let hold_ms = new
            .hold_seconds
            .map_or(hold_ms_default, |s| s.get() * 1_000);
        let id = tx.event_insert(new, hold_ms, now)?;
        let account = Account {
            event_id: id,
            changes: 1,
            available_spots: new.total_spots.get(),
            waiting: 0,
        };
        let entry = Entry::of_event(LedgerKind::Created, new.total_spots.get());
        tx.ledger_insert(now, account, entry)?;
        if new.sales_open_at.is_some() || new.sales_close_at.is_some() {
            tx.sales_window_insert(id, 1, new.sales_open_at, new.sales_close_at)?;
        }
        Ok((show_event(tx, now, id)?, Subject::Event(id)))
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

/// Changes an event on sale, if it is the one that `is_expected`. A change that changes nothing leaves no row in the ledger.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `PreconditionFailed`,
/// `EventCancelled`, `SalesWindowInvalid`, `CapacityBelowCommitted`, `Unfinished`.
pub fn change_event(
    tx: &Tx,
    now: Timestamp,
    id: i64,
    change: &EventChange,
    is_expected: impl Fn(&Event) -> bool,
    key: Option<&IdempotencyKey>,
) -> Result<Done<Event>, Error> {
    let before = show_event(tx, now, id)?;
    once(tx, now, key, ("change_event", id, change), || {
        if !is_expected(&before) {
            return Err(Error::PreconditionFailed);
        }
        if before.status == EventStatus::Cancelled {
            return Err(Error::EventCancelled);
        }
        let before = settle_line(tx, now, before)?;
        let after = change.applied_to(&before);
        if !is_sales_window(after.sales_open_at, after.sales_close_at) {
            return Err(Error::SalesWindowInvalid);
        }
        if after.available_spots < 0 {
            let minimum = before.total_spots - before.available_spots;
            return Err(Error::CapacityBelowCommitted { minimum });
        }
        if after != before {
            write_change(tx, now, &before, &after)?;
        }
        let shown = match before.waiting {
            0 => after,
            _ => show_event(tx, now, id)?,
        };
        Ok((shown, Subject::Event(id)))
    })
}

/// What holds that have ended leave to the line is the line's before anything is decided; afterwards
/// none of it is free. The event as it is then.
fn settle_line(tx: &Tx, now: Timestamp, event: Event) -> Result<Event, Error> {
    if event.waiting == 0 {
        return Ok(event);
    }
    let limit = RELEASED_PER_TRANSACTION_MAX;
    if release_expired_holds(tx, now, event.id, limit)? == limit {
        return Err(Error::Unfinished);
    }
    show_event(tx, now, event.id)
}

fn write_change(tx: &Tx, now: Timestamp, before: &Event, after: &Event) -> Result<(), Error> {
    let spots = after.total_spots - before.total_spots;
    let mut account = open_account(tx, after.id)?;
    let missing = -spots - account.available_spots;
    if missing > 0 {
        account = release_holds(tx, now, account, missing.min(RELEASED_PER_TRANSACTION_MAX))?;
    }
    if missing > RELEASED_PER_TRANSACTION_MAX {
        return Err(Error::Unfinished);
    }
    tx.event_update(after, spots)?;
    let entry = Entry::of_event(LedgerKind::Changed, spots);
    let account = account.with(entry);
    tx.ledger_insert(now, account, entry)?;
    let window = |event: &Event| (event.sales_open_at, event.sales_close_at);
    if window(before) != window(after) {
        let (open, close) = window(after);
        tx.sales_window_insert(after.id, account.changes, open, close)?;
    }
    serve_line(tx, now, account).map(drop)
}

/// Calls an event off: every live ticket is cancelled with it, and its line. A cancelled event stays as it is.
/// Holds that have expired before are not live, and may be written down as expired afterwards.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`.
pub fn cancel_event(
    tx: &Tx,
    now: Timestamp,
    id: i64,
    key: Option<&IdempotencyKey>,
) -> Result<Done<Event>, Error> {
    let event = show_event(tx, now, id)?;
    once(tx, now, key, ("cancel_event", id), || {
        if event.status == EventStatus::Cancelled {
            return Ok((event, Subject::Event(id)));
        }
        let account = open_account(tx, id)?;
        let rows = tx.ledger_insert_cancelled(now, account)?;
        let cancelled = tx.ticket_cancel_all(id, now)?;
        if cancelled != rows {
            return Err(Error::Internal(format!(
                "{cancelled} cancelled tickets of event {id} have {rows} ledger rows"
            )));
        }
        let last = match rows {
            0 => account,
            _ => tx.ledger_find_balance(account, rows)?,
        };
        let spots = last.available_spots - account.available_spots;
        tx.event_cancel(id, rows + 1, spots)?;
        if account.waiting > 0 {
            tx.line_recount(id)?;
        }
        let entry = Entry::of_event(LedgerKind::EventCancelled, 0);
        tx.ledger_insert(now, last.after(1, 0), entry)?;
        Ok((show_event(tx, now, id)?, Subject::Event(id)))
    })
}
