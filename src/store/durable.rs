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
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::open;
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
    wal: Option<File>,
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
    failed: AtomicBool,
    hooks: Hooks,
}

impl Durable {
    /// For a database that has been opened.
    pub fn new(db: &Path, durability: Durability, hooks: Hooks) -> io::Result<Durable> {
        let wal = open::wal_of(db);
        let wal = match durability {
            Durability::Full => Some(File::options().write(true).open(wal)?),
            Durability::Normal => None,
        };
        Ok(Durable {
            identity: identity(db)?,
            db: db.to_owned(),
            wal,
            written: AtomicU64::new(0),
            flushed: Mutex::new(0),
            failed: AtomicBool::new(false),
            hooks,
        })
    }

    /// Notes a batch, by whoever has just committed it and still holds the baton.
    pub fn written(&self) -> u64 {
        self.written.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether a flush has failed: another server must take over, and no checkpoint be made before.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Fails once a flush has failed; and while another file, or none, stands where the database was
    /// opened: what is written then, nobody would find. Does not wait.
    pub fn check(&self) -> Result<(), Error> {
        if identity(&self.db).ok() != Some(self.identity) {
            return Err(failed("the database file was moved, deleted or replaced"));
        }
        match self.has_failed() {
            false => Ok(()),
            true => Err(failed("an earlier flush failed")),
        }
    }

    /// Returns when that batch is on disk. After an error nobody can tell what is.
    pub fn wait_for(&self, batch: u64) -> Result<(), Error> {
        let Some(wal) = &self.wal else {
            return Ok(());
        };
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if *flushed >= batch {
            return Ok(());
        }
        self.check()?;
        let written = self.written.load(Ordering::Acquire);
        if let Err(e) = self.flush(wal) {
            self.failed.store(true, Ordering::Release);
            return Err(failed(&format!("the flush failed: {e}")));
        }
        *flushed = written;
        Ok(())
    }

    fn flush(&self, wal: &File) -> io::Result<()> {
        if self.hooks.has("flush_fails") {
            return Err(io::Error::other("asked for by the test hook"));
        }
        wal.sync_data()
    }
}

fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

fn failed(why: &str) -> Error {
    Error::StorageUnavailable(why.to_owned())
}
