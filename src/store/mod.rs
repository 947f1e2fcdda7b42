//! Transactions on the database: the statements, and group commit. The statements are written once,
//! for any engine; `sqlite/` is the engine there is, and the only place that knows rusqlite.

mod commit;
pub mod engine;
mod sqlite;
mod tx;

pub use commit::{CommitQueue, Job};
pub use sqlite::{Audit, BackupError, Counts, Db, Durability, OpenError, backup};
pub use tx::{About, Account, Remembered, Tx};
pub(crate) use tx::{get, parsed};
