//! Waiting for the disk without holding the write lock.
//!
//! SQLite's `synchronous=FULL` flushes the WAL inside `COMMIT`, and until that is done nobody else
//! can begin. Here `COMMIT` only writes (`synchronous=NORMAL`), the lock is free for the next
//! batch, and the flush follows: nothing is answered before it. What was written earlier is
//! flushed with it, so a batch that is on disk has all batches before it on disk too. SQLite
//! flushes by itself, in this mode as well, what a checkpoint relies on: the WAL before it is
//! copied, the database before the WAL is used from its beginning again.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::wal::{Wal, identity};
use super::{Db, open};
use crate::error::Error;
use crate::hooks::Hooks;

/// What an acknowledged ticket survives: power loss, or only a crash of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    Normal,
}

pub struct Durable {
    db: PathBuf,
    /// Device and number of the file that was opened at that path.
    identity: (u64, u64),
    /// The WAL, opened beside SQLite (which takes no locks on it that closing this would undo).
    /// None: nobody waits for the disk.
    wal_to_flush: Option<File>,
    wal: Wal,
    /// Never closed, because that would undo SQLite's locks on it, which are the process's (fcntl(2)).
    database: ManuallyDrop<File>,
    /// How many batches have been written.
    written: AtomicU64,
    /// How many of them are on disk. Locked while flushing, so that the next one that waits finds
    /// its batch flushed along.
    flushed: Mutex<u64>,
    /// The kernel reports a failed flush once and may then forget the pages that it lost: a later
    /// flush that succeeds says nothing about them, and what is written behind a gap in the WAL is
    /// lost with it. So after a failure no flush is believed, nothing is acknowledged, and nothing
    /// is copied from the WAL, because a checkpoint does not look at the frames' checksums.
    ///
    /// Another server takes over. As the first to open the file it reads the WAL up to the first
    /// frame whose checksum is wrong, and [`Db::empty_wal`](super::Db::empty_wal) has those frames
    /// in the database file, and that on disk, before anything is served. All that was acknowledged
    /// is among them: it was flushed before. Of what was answered 503 some may be, and its buyers
    /// find out by asking again with their keys.
    flush_failed: AtomicBool,
    /// Another program has cut the WAL off, or taken it away. Another server takes over here too:
    /// SQLite's picture of the WAL, which all its connections share, is wrong for good.
    wal_harmed: AtomicBool,
    hooks: Hooks,
}

impl Durable {
    /// For a database that has been opened.
    pub fn new(
        db: &Path,
        writer: &Db,
        durability: Durability,
        hooks: Hooks,
    ) -> io::Result<Durable> {
        let wal_to_flush = match durability {
            Durability::Full => Some(File::options().write(true).open(open::wal_of(db))?),
            Durability::Normal => None,
        };
        Ok(Durable {
            identity: identity(db)?,
            db: db.to_owned(),
            wal_to_flush,
            wal: Wal::of(db, writer).map_err(io::Error::other)?,
            database: ManuallyDrop::new(File::open(db)?),
            written: AtomicU64::new(0),
            flushed: Mutex::new(0),
            flush_failed: AtomicBool::new(false),
            wal_harmed: AtomicBool::new(false),
            hooks,
        })
    }

    /// Notes a batch, by whoever has just committed it and still holds the baton.
    pub fn written(&self) -> u64 {
        self.written.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether nobody can tell what of the WAL will be found again: another server must take over,
    /// and no checkpoint be made before.
    pub fn has_failed(&self) -> bool {
        self.flush_failed.load(Ordering::Acquire) || self.wal_harmed.load(Ordering::Acquire)
    }

    /// Whether what is written to the WAL now would be found again. Does not wait. Must not be called
    /// in a transaction.
    pub fn check(&self, db: &Db) -> Result<(), Error> {
        self.check_place()?;
        let harm = self.wal.harm(db)?;
        harm.map_or(Ok(()), |harm| {
            self.wal_harmed.store(true, Ordering::Release);
            Err(failed(&harm.to_string()))
        })
    }

    /// Fails once the WAL is not to be trusted; and while another file, or none, stands where the
    /// database was opened.
    fn check_place(&self) -> Result<(), Error> {
        if identity(&self.db).ok() != Some(self.identity) {
            return Err(failed("the database file was moved, deleted or replaced"));
        }
        match self.has_failed() {
            false => Ok(()),
            true => Err(failed("the WAL cannot be trusted any more")),
        }
    }

    /// Returns when that batch is on disk. After an error nobody can tell what is.
    pub fn wait_for(&self, batch: u64) -> Result<(), Error> {
        let Some(wal) = &self.wal_to_flush else {
            return Ok(());
        };
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if *flushed >= batch {
            return Ok(());
        }
        self.check_place()?;
        let written = self.written.load(Ordering::Acquire);
        self.flush(wal)?;
        *flushed = written;
        Ok(())
    }

    /// Returns when what has been copied from the WAL is on disk. SQLite sees to that by itself
    /// before the WAL is used from its beginning again, but nobody can commit meanwhile: what is on
    /// disk by then, nobody waits for. After an error nobody can tell what is.
    pub fn flush_database(&self) -> Result<(), Error> {
        self.flush(&self.database)
    }

    /// At the end, when nobody else of this process is at work any more: brings what is in the WAL
    /// into the database file. What a failed flush may have lost stays where it is.
    pub fn close(&self, db: &Db) -> Result<(), Error> {
        if self.flush_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.wal.harm(db)? {
            None => db.checkpoint_and_truncate().map(|_| ()),
            Some(harm) => self.wal.mend(db, &harm),
        }
    }

    fn flush(&self, file: &File) -> Result<(), Error> {
        let flushed = match self.hooks.has("flush_fails") {
            true => Err(io::Error::other("asked for by the test hook")),
            false => file.sync_data(),
        };
        flushed.map_err(|e| {
            self.flush_failed.store(true, Ordering::Release);
            failed(&format!("the flush failed: {e}"))
        })
    }
}

fn failed(why: &str) -> Error {
    Error::StorageUnavailable(why.to_owned())
}
