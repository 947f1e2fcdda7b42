//! Bringing what is in the WAL into the database file.
//!
//! SQLite keeps in memory, shared by all connections, how much of the WAL has been copied, and it
//! counts what it has copied but not flushed yet. The kernel reports a failed flush once. So after an
//! I/O error nothing that is known of the copy may be believed, or the next checkpoint would let the
//! WAL start over while pages are missing from the database file: whoever gets `DiskFailed` from
//! here must make no other checkpoint, and leave the file to another process, which reads the WAL
//! anew.

use std::io;
use std::time::Duration;

use rusqlite::Row;

use super::Sqlite;
use super::statements::failed_to_write;
use crate::error::Error;
use crate::store::CommitQueue;

/// How long a checkpoint that buyers wait for waits itself, for the workers' own short reads.
const RESTART_TIMEOUT: Duration = Duration::from_millis(20);

/// Beyond so many pages (of 2 KiB) the WAL is made to start from its beginning, for which buyers
/// wait a moment; below, it does so by itself whenever all of it has been copied.
const WAL_PAGES_MAX: i64 = 32_768;

/// Pages in the WAL, and how many of them have been copied.
struct Checkpointed {
    pages: i64,
    copied: i64,
}

impl Sqlite {
    /// Copies what is in the WAL, so that it does not grow without end.
    pub(super) fn copy_wal(&self, commits: &CommitQueue) -> Result<(), Error> {
        if self.place.has_lost_wal() {
            if self.save_lost_wal()? {
                commits.retire("the WAL was removed or replaced by another program".to_owned());
            }
            return Ok(());
        }
        if self.checkpoint()?.pages <= WAL_PAGES_MAX {
            return Ok(());
        }
        // Buyers wait only for what is copied and flushed last. What is written during the first flush
        // is left to the second round.
        self.flush()?;
        self.checkpoint()?;
        self.flush()?;
        commits.restart_wal()
    }

    /// Copies what is in the WAL, without making any writer or reader wait.
    fn checkpoint(&self) -> Result<Checkpointed, Error> {
        self.run_checkpoint("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Returns when what has been copied is on disk. SQLite sees to that by itself before the WAL
    /// starts over, but then nobody can commit meanwhile; after this nobody waits long.
    fn flush(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|e| Error::DiskFailed(format!("the flush failed: {e}")))
    }

    /// For the baton's holder: copies the rest, and has the next writer start the WAL from its
    /// beginning (RESTART), or empties it (TRUNCATE). Does not wait for readers in the way (a backup,
    /// a shell), or all buyers would: then the WAL stays as it is.
    pub(super) fn checkpoint_at_once(&self, pragma: &str) -> Result<(), Error> {
        self.conn.busy_timeout(RESTART_TIMEOUT)?;
        self.run_checkpoint(pragma)?;
        Ok(())
    }

    /// After another program has taken the WAL away: copies everything from the WAL that is still
    /// open, and removes what stands in its place, which the next server would take for newer than
    /// the database file. Nobody can commit meanwhile, see `begin`. False: a reader is in the way.
    fn save_lost_wal(&self) -> Result<bool, Error> {
        let Checkpointed { pages, copied } = self.checkpoint()?;
        if copied < pages {
            return Ok(false);
        }
        match std::fs::remove_file(self.place.wal()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::StorageUnavailable(e.to_string()))
            }
            _ => Ok(true),
        }
    }

    fn run_checkpoint(&self, pragma: &str) -> Result<Checkpointed, Error> {
        let pages = |row: &Row| {
            Ok(Checkpointed {
                pages: row.get(1)?,
                copied: row.get(2)?,
            })
        };
        let done = self.conn.prepare_cached(pragma)?.query_row([], pages);
        done.map_err(|e| failed_to_write(&self.conn, e))
    }
}
