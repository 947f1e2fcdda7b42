//! A connection to the database, whichever engine is under it, and its transactions.

use std::path::Path;
use std::time::Duration;

use super::engine::{Access, Engine, Savepoint};
use super::location::{Location, OpenError};
use super::sqlite::{self, Sqlite};
use super::{BackupError, CommitQueue, Tx};
use crate::error::Error;

/// How long a read may take, and how long a command waits for a server's transaction.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an acknowledged ticket survives: power loss, or only a crash of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    Normal,
}

/// One thread's connection.
pub struct Db {
    engine: Box<dyn Engine>,
}

impl Db {
    /// Opens the database, making it and its schema if there is none.
    pub fn open(location: &Location) -> Result<Db, OpenError> {
        Ok(Db {
            engine: match location {
                Location::File(path) => Box::new(Sqlite::open(path)?),
                Location::Postgres(url) => postgres(url, true)?,
            },
        })
    }

    /// Opens the database if there is one.
    pub fn open_existing(location: &Location) -> Result<Db, OpenError> {
        match location {
            Location::File(path) if !path.exists() => Err(OpenError::Missing),
            Location::File(_) => Db::open(location),
            Location::Postgres(url) => Ok(Db {
                engine: postgres(url, false)?,
            }),
        }
    }

    /// Opens the database for one of a server's threads, with a cache of that size.
    pub fn open_for_server(location: &Location, cache_kib: u32) -> Result<Db, OpenError> {
        match location {
            Location::File(path) => Ok(Db {
                engine: Box::new(Sqlite::open_for_server(path, cache_kib)?),
            }),
            Location::Postgres(_) => Db::open(location),
        }
    }

    /// Has COMMIT wait for the disk, or not.
    pub fn with_durability(self, durability: Durability) -> Result<Db, OpenError> {
        let set = self.engine.set_durability(durability);
        set.map_err(|e| OpenError::Refused(e.to_string()))?;
        Ok(self)
    }

    /// Runs `f` on one snapshot of the database, the one that is open already if there is one. It
    /// shows the database as it is when `f` looks first.
    pub fn read<T>(&self, f: impl FnOnce(&Tx) -> Result<T, Error>) -> Result<T, Error> {
        let engine = &*self.engine;
        let tx = Tx::on(engine);
        if engine.is_open() {
            return f(&tx);
        }
        let snapshot = Transaction::begin(engine, Access::Read, PATIENCE)?;
        let result = f(&tx);
        snapshot.commit()?;
        result
    }

    /// Runs `f` in a transaction that is on disk when this returns: for a command that writes once,
    /// beside a server which may be at work.
    pub fn write<T>(&self, f: impl FnOnce(&Tx) -> Result<T, Error>) -> Result<T, Error> {
        self.engine.set_durability(Durability::Full)?;
        let transaction = self.begin_write(PATIENCE)?;
        let result = f(transaction.tx())?;
        transaction.commit()?;
        Ok(result)
    }

    /// Begins a transaction that sees one snapshot.
    pub(super) fn begin_read(&self, patience: Duration) -> Result<Transaction<'_>, Error> {
        Transaction::begin(&*self.engine, Access::Read, patience)
    }

    /// Begins a transaction that may write, waiting so long for another program's.
    ///
    /// Errors: `StorageUnavailable` if the database is not where it was, or the wait was in vain.
    pub(super) fn begin_write(&self, patience: Duration) -> Result<Transaction<'_>, Error> {
        Transaction::begin(&*self.engine, Access::Write, patience)
    }

    /// Whether each statement takes a round trip.
    pub(super) fn is_far(&self) -> bool {
        self.engine.is_far()
    }

    /// Whether what a snapshot shows is there for good, so that a buyer may be refused for it.
    pub fn shows_what_lasts(&self) -> bool {
        self.engine.shows_what_lasts()
    }

    /// What the engine has to do off the commit path, every now and then.
    pub fn keep_house(&self, commits: &CommitQueue) -> Result<(), Error> {
        self.engine.keep_house(commits)
    }

    /// See [`CommitQueue::restart_wal`].
    pub(super) fn restart_wal(&self) -> Result<(), Error> {
        self.engine.restart_wal()
    }

    /// See [`CommitQueue::close`].
    pub(super) fn empty_wal(&self) -> Result<(), Error> {
        self.engine.empty_wal()
    }

    /// The size of the WAL file, where the engine has one.
    pub fn wal_bytes(&self) -> i64 {
        self.engine.wal_bytes()
    }
}

/// An open transaction; rolled back when it goes out of scope without a commit.
pub(super) struct Transaction<'c> {
    engine: &'c dyn Engine,
    tx: Tx<'c>,
}

impl<'c> Transaction<'c> {
    fn begin(
        engine: &'c dyn Engine,
        access: Access,
        patience: Duration,
    ) -> Result<Transaction<'c>, Error> {
        engine.begin(access, patience)?;
        let tx = Tx::on(engine);
        Ok(Transaction { engine, tx })
    }

    pub fn engine(&self) -> &'c dyn Engine {
        self.engine
    }

    pub fn tx(&self) -> &Tx<'c> {
        &self.tx
    }

    /// Errors: `DiskFailed` for an I/O error; nothing of the transaction is in this process then, but
    /// it may be on disk, see `CommitQueue::bury`. `OutcomeUnknown`: see [`Self::was_committed`].
    pub fn commit(self) -> Result<(), Error> {
        self.tx.settle_events()?;
        self.engine.commit()
    }

    /// Whether the transaction before this one was committed, if its outcome is unknown.
    pub fn was_committed(&self) -> Result<bool, Error> {
        self.engine.was_committed()
    }

    /// The engine itself may have rolled back: SQLite does after some errors (disk full, I/O).
    pub fn is_open(&self) -> bool {
        self.engine.is_open()
    }

    /// Runs `f`, whose writes are undone if it fails.
    pub fn savepoint(&self, f: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        self.tx.settle()?;
        self.engine.savepoint(Savepoint::Set)?;
        let result = f().and_then(|()| self.tx.settle());
        if self.is_open() {
            if result.is_err() {
                self.tx.forget_taken();
                self.engine.savepoint(Savepoint::GoBack)?;
            }
            self.engine.savepoint(Savepoint::Release)?;
        }
        result
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open()
            && let Err(e) = self.engine.rollback()
        {
            log::error!("rollback failed: {e}");
        }
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str, may_create: bool) -> Result<Box<dyn Engine>, OpenError> {
    Ok(Box::new(super::postgres::Postgres::open(url, may_create)?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str, _: bool) -> Result<Box<dyn Engine>, OpenError> {
    Err(OpenError::NoPostgres)
}

/// Copies one snapshot of the database to the new file `to`, see [`sqlite::backup`].
pub fn backup(from: &Location, to: &Path) -> Result<u64, BackupError> {
    match from {
        Location::File(path) => sqlite::backup(path, to),
        Location::Postgres(_) => Err(BackupError::NotAFile),
    }
}
