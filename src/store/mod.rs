//! Transactions on the database: the statements, and group commit. All of it is written once, for
//! any engine; `sqlite/` is the only place that knows rusqlite, `postgres/` the only one that knows
//! libpq, and only with the feature of that name.

mod audit;
mod commit;
mod copy;
mod db;
pub mod engine;
mod location;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod tx;

pub use audit::{Audit, Counts, open_audit, open_audit_of_event};
pub use commit::{CommitQueue, Job};
pub use copy::{CopyError, copy};
pub use db::{Db, Durability, backup};
pub use location::{Location, OpenError};
pub use sqlite::BackupError;
pub use tx::{About, Account, Entry, Remembered, Scope, Tx};
pub(crate) use tx::{get, parsed};
