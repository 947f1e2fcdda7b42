//! The only place that knows rusqlite: opening a database, its statements, group commit.

mod audit;
mod backup;
mod commit;
mod durable;
mod open;
mod tx;
mod wal;

pub use audit::{Audit, AuditedEvent, AuditedKey, LedgerRow, Unreadable};
pub use backup::{BackupError, backup};
pub use commit::{CommitQueue, Job};
pub use durable::{Durability, Durable};
pub use open::{Db, OpenError};
pub use tx::{RememberedKey, Tx};

use rusqlite::ErrorCode;

use crate::error::Error;

impl From<rusqlite::Error> for Error {
    /// What the world did to the file is told from what must be a bug of ours.
    fn from(cause: rusqlite::Error) -> Error {
        use ErrorCode::*;
        match cause.sqlite_error_code() {
            Some(
                DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | SystemIoFailure
                | ReadOnly
                | CannotOpen
                | DatabaseCorrupt
                | NotADatabase
                | OutOfMemory
                | PermissionDenied
                | FileLockingProtocolFailed
                | SchemaChanged,
            ) => Error::StorageUnavailable(cause.to_string()),
            _ => Error::Internal(cause.to_string()),
        }
    }
}
