//! Transactions on the database: the statements, and group commit. All of it is written once, for
//! any engine; `sqlite/` is the engine there is, and the only place that knows rusqlite.

mod audit;
mod commit;
mod db;
pub mod engine;
mod location;
mod sqlite;
mod tx;

pub use audit::{Audit, Counts, open_audit};
pub use commit::{CommitQueue, Job};
pub use db::{Db, Durability, backup};
pub use location::{Location, OpenError};
pub use sqlite::BackupError;
pub use tx::{About, Account, Entry, Remembered, Scope, Tx};
pub(crate) use tx::{get, parsed};
