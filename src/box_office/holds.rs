//! Holds end by themselves, at `expires_at`. This writes it down, and their spots go to the line or
//! on sale.

use super::ledger::{enter, open_account};
use super::line::serve_line;
use crate::error::Error;
use crate::model::{LedgerKind, OwnTicket, Timestamp};
use crate::store::{Account, Entry, Tx};

/// Releases up to `limit` expired holds of an event, the longest expired first, and serves its line.
/// Returns how many holds that were.
pub fn release_expired_holds(
    tx: &Tx,
    now: Timestamp,
    event_id: i64,
    limit: i64,
) -> Result<i64, Error> {
    let before = open_account(tx, event_id)?;
    let after = release_holds(tx, now, before, limit)?;
    serve_line(tx, now, after)?;
    Ok(after.changes - before.changes)
}

/// Leaves the line to the caller. Returns the account after it.
pub(super) fn release_holds(
    tx: &Tx,
    now: Timestamp,
    account: Account,
    limit: i64,
) -> Result<Account, Error> {
    let event_id = account.event_id;
    let rows = tx.ledger_insert_expired(now, account, limit)?;
    let released = tx.hold_expire(event_id, now, limit)?;
    if released != rows {
        return Err(Error::Internal(format!(
            "{released} expired holds of event {event_id} have {rows} ledger rows"
        )));
    }
    if rows == 0 {
        return Ok(account);
    }
    let after = tx.ledger_find_balance(account, rows)?;
    tx.event_return_spots(account, after)?;
    Ok(after)
}

/// Releases one hold that has expired. Returns the account after it.
pub(super) fn release_hold(
    tx: &Tx,
    now: Timestamp,
    account: Account,
    own: &OwnTicket,
) -> Result<Account, Error> {
    let seq = own.seq;
    if !tx.ticket_expire(seq, now)? {
        let what = format!("ticket {seq} was a live hold when it was to expire");
        return Err(Error::Internal(what));
    }
    let entry = Entry::of_ticket(LedgerKind::Expired, seq, own.spots);
    enter(tx, now, account, entry.freeing())
}

/// The events that have something to release.
pub fn events_with_expired_holds(tx: &Tx, now: Timestamp) -> Result<Vec<i64>, Error> {
    tx.hold_list_events(now)
}
