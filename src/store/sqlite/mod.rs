//! The only place that knows rusqlite: one SQLite file in WAL mode.

mod audit;
mod backup;
mod checkpoint;
mod open;
mod place;
mod statements;

pub use audit::{Audit, Counts};
pub use backup::{BackupError, backup};
pub use open::OpenError;

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::tx::Tx;
use crate::error::Error;
use open::{BUSY_TIMEOUT, explain};
use place::Place;
use statements::failed_to_write;

/// What an acknowledged ticket survives: power loss, or only a crash of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    Normal,
}

/// One thread's connection.
pub struct Db {
    conn: Connection,
    place: Place,
    /// The database file, opened beside SQLite. Never closed, because that would undo SQLite's locks
    /// on it, which are the process's (fcntl(2)).
    file: ManuallyDrop<File>,
}

impl Db {
    /// Opens the file, making it and its schema if there is none.
    pub fn open(path: &Path) -> Result<Db, OpenError> {
        let conn = open::open_or_create(path)?;
        let unreadable = |e: std::io::Error| OpenError::Inaccessible(e.to_string());
        let place = Place::of(&conn).map_err(unreadable)?;
        let file = ManuallyDrop::new(File::open(place.db()).map_err(unreadable)?);
        Ok(Db { conn, place, file })
    }

    /// Opens the file for one of a server's threads, with a page cache of that size. SQLite makes no
    /// checkpoint when it is closed: after an I/O error that would lose what it should save.
    pub fn open_for_server(path: &Path, cache_kib: u32) -> Result<Db, OpenError> {
        let db = Db::open(path)?;
        let conn = &db.conn;
        conn.pragma_update(None, "synchronous", "NORMAL")
            .and_then(|()| conn.pragma_update(None, "cache_size", -i64::from(cache_kib)))
            .and_then(|()| conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))
            .map_err(explain)?;
        Ok(db)
    }

    /// Has COMMIT wait for the disk, or not.
    pub fn with_durability(self, durability: Durability) -> Result<Db, OpenError> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        self.conn
            .pragma_update(None, "synchronous", synchronous)
            .map_err(explain)?;
        Ok(self)
    }

    /// Runs `f` on one snapshot of the database, the one that is open already if there is one. It
    /// shows the database as it is when `f` looks first.
    pub fn read<T>(&self, f: impl FnOnce(&Tx) -> Result<T, Error>) -> Result<T, Error> {
        let tx = Tx::on(&self.conn);
        if !self.conn.is_autocommit() {
            return f(&tx);
        }
        let snapshot = Transaction::begin(&self.conn, "BEGIN")?;
        let result = f(&tx);
        snapshot.commit()?;
        result
    }

    /// Runs `f` in a transaction that is on disk when this returns: for a command that writes once,
    /// beside a server which may be at work.
    pub fn write<T>(&self, f: impl FnOnce(&Tx) -> Result<T, Error>) -> Result<T, Error> {
        self.conn.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.begin_write(BUSY_TIMEOUT)?;
        let result = f(&transaction.tx())?;
        transaction.commit()?;
        Ok(result)
    }

    /// Begins a transaction that may write, waiting so long for another program's.
    ///
    /// Errors: `StorageUnavailable` if the files are not where they were, or the wait was in vain.
    pub(in crate::store) fn begin_write(
        &self,
        patience: Duration,
    ) -> Result<Transaction<'_>, Error> {
        self.place.check()?;
        self.conn.busy_timeout(patience)?;
        Transaction::begin(&self.conn, "BEGIN IMMEDIATE")
    }
}

/// An open transaction; rolled back when it goes out of scope without a commit.
pub(in crate::store) struct Transaction<'c> {
    conn: &'c Connection,
}

impl<'c> Transaction<'c> {
    fn begin(conn: &'c Connection, how: &str) -> Result<Transaction<'c>, Error> {
        conn.prepare_cached(how)?.execute([])?;
        Ok(Transaction { conn })
    }

    pub fn tx(&self) -> Tx<'c> {
        Tx::on(self.conn)
    }

    /// Errors: `DiskFailed` for an I/O error; nothing of the transaction is in this process then, but
    /// it may be in the WAL, see `CommitQueue::bury`.
    pub fn commit(self) -> Result<(), Error> {
        let committed = self.conn.prepare_cached("COMMIT")?.execute([]);
        committed.map_err(|e| failed_to_write(self.conn, e))?;
        Ok(())
    }

    /// SQLite itself may have rolled back: after some errors (disk full, I/O) it does.
    pub fn is_open(&self) -> bool {
        !self.conn.is_autocommit()
    }

    /// Runs `f`, whose writes are undone if it fails.
    pub fn savepoint(&self, f: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        self.conn.execute_batch("SAVEPOINT job")?;
        let result = f();
        if self.is_open() {
            if result.is_err() {
                self.conn.execute_batch("ROLLBACK TO job")?;
            }
            self.conn.execute_batch("RELEASE job")?;
        }
        result
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open()
            && let Err(e) = self.conn.execute_batch("ROLLBACK")
        {
            log::error!("rollback failed: {e}");
        }
    }
}
