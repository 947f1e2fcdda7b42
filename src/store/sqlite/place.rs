//! Where a database's files are. Another program may move, delete or replace them under a running
//! server; SQLite would go on with the files that it has open, and what it acknowledged would be
//! lost with the next start.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::Error;

/// A database file and its WAL as they were when they were opened.
pub(super) struct Place {
    files: [(PathBuf, FileId); 2],
}

/// Device and number of a file.
type FileId = (u64, u64);

impl Place {
    /// After the first look into the database, which makes the WAL.
    pub fn of(conn: &Connection) -> io::Result<Place> {
        let db = path(conn);
        let wal = wal_of(conn);
        let (db_id, wal_id) = (file_id(&db)?, file_id(&wal)?);
        Ok(Place {
            files: [(db, db_id), (wal, wal_id)],
        })
    }

    /// Errors: `StorageUnavailable` while another file, or none, is at one of the paths.
    pub fn check(&self) -> Result<(), Error> {
        for (what, (path, id)) in ["database file", "WAL"].iter().zip(&self.files) {
            if !is_at(path, *id) {
                let why = format!("the {what} was moved, deleted or replaced by another program");
                return Err(Error::StorageUnavailable(why));
            }
        }
        Ok(())
    }

    /// Whether the database file is where it was, and its WAL is not.
    pub fn has_lost_wal(&self) -> bool {
        let [(db, db_id), (wal, wal_id)] = &self.files;
        is_at(db, *db_id) && !is_at(wal, *wal_id)
    }

    pub fn db(&self) -> &Path {
        &self.files[0].0
    }

    pub fn wal(&self) -> &Path {
        &self.files[1].0
    }
}

fn is_at(path: &Path, id: FileId) -> bool {
    file_id(path).is_ok_and(|found| found == id)
}

fn file_id(file: &Path) -> io::Result<FileId> {
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

/// The file itself, also where it was opened through a symbolic link.
fn path(conn: &Connection) -> PathBuf {
    conn.path().unwrap_or_default().into()
}

/// Where SQLite keeps the connection's WAL: beside the file itself.
pub(super) fn wal_of(conn: &Connection) -> PathBuf {
    let mut wal = OsString::from(path(conn));
    wal.push("-wal");
    wal.into()
}
