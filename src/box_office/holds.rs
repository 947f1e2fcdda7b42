//! Holds end by themselves, at `expires_at`. This writes it down and puts their spots on sale.

use crate::error::Error;
use crate::model::{LedgerKind, TicketId, Timestamp};
use crate::store::Tx;

const RELEASED_PER_STEP_MAX: usize = 1_000;

/// Releases up to `limit` expired holds of an event, the longest expired first. Returns how many.
pub fn release_expired_holds(
    tx: &Tx,
    now: Timestamp,
    event_id: i64,
    limit: usize,
) -> Result<usize, Error> {
    let expired = tx.hold_list_expired(event_id, now, limit)?;
    for (seq, ticket_id) in &expired {
        release_hold(tx, now, event_id, *seq, ticket_id)?;
    }
    Ok(expired.len())
}

/// Releases every expired hold of an event, in steps, so that they are never all in memory.
pub(super) fn release_all_expired_holds(
    tx: &Tx,
    now: Timestamp,
    event_id: i64,
) -> Result<(), Error> {
    while release_expired_holds(tx, now, event_id, RELEASED_PER_STEP_MAX)? > 0 {}
    Ok(())
}

pub(super) fn release_hold(
    tx: &Tx,
    now: Timestamp,
    event_id: i64,
    seq: i64,
    ticket_id: &TicketId,
) -> Result<(), Error> {
    if !tx.ticket_expire(seq, now)? {
        return Err(Error::Internal("the hold was live after all".into()));
    }
    tx.event_return_spots(event_id, 1)?;
    tx.ledger_insert(now, event_id, Some(ticket_id), LedgerKind::Expired, 1)
}

/// The events that have something to release.
pub fn events_with_expired_holds(tx: &Tx, now: Timestamp) -> Result<Vec<i64>, Error> {
    tx.hold_list_events(now)
}
