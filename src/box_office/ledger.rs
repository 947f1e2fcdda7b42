//! Every change of an event is written into its ledger, in the transaction that makes it.

use crate::error::Error;
use crate::model::Timestamp;
use crate::store::{Account, Entry, Tx};

/// Where the event's ledger stands.
///
/// Errors: `EventNotFound`; `StorageUnavailable` if the event is not what its ledger says.
pub fn open_account(tx: &Tx, event_id: i64) -> Result<Account, Error> {
    tx.account_find(event_id)?.ok_or(Error::EventNotFound)
}

/// Writes the account's next row, and moves the event's spots with it. Returns the account after it.
pub fn enter(tx: &Tx, now: Timestamp, account: Account, entry: Entry) -> Result<Account, Error> {
    let after = account.with(entry);
    tx.event_return_spots(account, after)?;
    tx.ledger_insert(now, after, entry)?;
    Ok(after)
}
