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

use super::Db;
use super::statements::failed_to_write;
use crate::error::Error;

/// How long a checkpoint that buyers wait for waits itself, for the workers' own short reads.
const RESTART_TIMEOUT: Duration = Duration::from_millis(20);

/// Pages in the WAL, and how many of them have been copied.
pub struct Checkpointed {
    pub pages: i64,
    pub copied: i64,
}

impl Db {
    /// Copies what is in the WAL, without making any writer or reader wait.
    pub fn checkpoint(&self) -> Result<Checkpointed, Error> {
        self.run_checkpoint("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Returns when what has been copied is on disk. SQLite sees to that by itself before the WAL
    /// starts over, but then nobody can commit meanwhile; after this nobody waits long.
    pub fn flush(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|e| Error::DiskFailed(format!("the flush failed: {e}")))
    }

    /// Copies the rest, and the next writer starts the WAL from its beginning. Call it with the
    /// baton. Does not wait for readers in the way (a backup, a shell), or all buyers would: then
    /// the WAL grows on.
    pub(in crate::store) fn restart_wal(&self) -> Result<(), Error> {
        self.conn.busy_timeout(RESTART_TIMEOUT)?;
        self.run_checkpoint("PRAGMA wal_checkpoint(RESTART)")?;
        Ok(())
    }

    /// Copies everything and leaves an empty WAL, unless readers are in the way: then what could not
    /// be copied stays in the WAL, for the next server.
    pub(in crate::store) fn empty_wal(&self) -> Result<(), Error> {
        self.conn.busy_timeout(RESTART_TIMEOUT)?;
        self.run_checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
    }

    /// Whether another program has taken the WAL away, or put another in its place.
    pub fn has_lost_wal(&self) -> bool {
        self.place.has_lost_wal()
    }

    /// After that: copies everything from the WAL that is still open, and removes what stands in its
    /// place, which the next server would take for newer than the database file. Nobody can commit
    /// meanwhile, see `begin_write`. False: a reader is in the way.
    pub fn save_lost_wal(&self) -> Result<bool, Error> {
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

    /// The size of the WAL file.
    pub fn wal_bytes(&self) -> i64 {
        let file = std::fs::metadata(self.place.wal());
        file.map_or(0, |file| file.len() as i64)
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
