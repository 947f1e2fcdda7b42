//! What happened: an event's ledger, as its organizer follows it.

use super::events::show_event;
use crate::error::Error;
use crate::model::{Change, Timestamp};
use crate::store::Tx;

/// Up to `limit` changes of an event behind the one with number `after`, in order and without gaps,
/// each with its number.
///
/// Errors: `EventNotFound`.
pub fn list_changes(
    tx: &Tx,
    now: Timestamp,
    event_id: i64,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, Change)>, Error> {
    let changes = tx.change_list(event_id, after, limit)?;
    if changes.is_empty() {
        show_event(tx, now, event_id)?;
    }
    Ok(changes
        .into_iter()
        .map(|change| (change.n, change))
        .collect())
}

/// The number of an event's last change.
///
/// Errors: `EventNotFound`.
pub fn last_change(tx: &Tx, event_id: i64) -> Result<i64, Error> {
    tx.event_find_changes(event_id)?.ok_or(Error::EventNotFound)
}
