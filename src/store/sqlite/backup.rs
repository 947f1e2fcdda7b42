//! A copy of a database that is in use.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::Builder;

use super::open::open_existing;
use crate::error::Error;
use crate::store::OpenError;

/// Why there is no copy. Nothing is left at its place in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "it is not a file; pg_dump copies one moment of it, pg_basebackup with an archive of its WAL \
         all of them, and lastseat copy makes a file of it"
    )]
    NotAFile,
    #[error("cannot open it: {0}")]
    Open(#[from] OpenError),
    #[error("there is a file at {0} already, and a backup never overwrites one")]
    Exists(String),
    #[error("cannot write {0}: {1}")]
    Write(String, io::Error),
    #[error("cannot copy it: {0}")]
    Copy(#[from] Error),
}

/// Copies one snapshot of the database `from` to the new file `to`; it is on disk when this
/// returns. Whoever sells meanwhile does not wait. Returns the copy's size in bytes.
///
/// `VACUUM INTO` instead of SQLite's backup API: that one starts again from the beginning whenever
/// another connection has written, and so would not come to an end during a sale unless it copied
/// everything in one step, free pages included.
pub fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let conn = open_existing(from)?;
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.display().to_string()));
    }
    let cannot_write = |e| BackupError::Write(to.display().to_string(), e);
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Under a name of its own until it is whole; SQLite takes an empty file for a new one.
    let copy = Builder::new()
        .prefix(".lastseat-backup-")
        .tempfile_in(folder)
        .map_err(cannot_write)?;
    let name = copy.path().to_string_lossy().into_owned();
    conn.execute("VACUUM INTO ?1", [name])
        .map_err(Error::from)?;
    copy.as_file().sync_all().map_err(cannot_write)?;
    let copy = copy
        .persist_noclobber(to)
        .map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.display().to_string()),
            _ => cannot_write(e.error),
        })?;
    // Or a power cut could forget the name.
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(cannot_write)?;
    Ok(copy.metadata().map_err(cannot_write)?.len())
}
