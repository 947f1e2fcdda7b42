//! The only place that knows rusqlite: one SQLite file in WAL mode.

mod audit;
mod backup;
mod checkpoint;
mod open;
mod place;
mod statements;

pub use audit::SqliteAudit;
pub use backup::{BackupError, backup};
pub(super) use open::{APPLICATION_ID, SCHEMA_VERSION};

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::OpenError;
use open::explain;
use place::Place;

/// One thread's connection.
pub struct Sqlite {
    conn: Connection,
    place: Place,
    /// The database file, opened beside SQLite. Never closed, because that would undo SQLite's locks
    /// on it, which are the process's (fcntl(2)).
    file: ManuallyDrop<File>,
}

impl Sqlite {
    /// Opens the file, making it and its schema if there is none.
    pub fn open(path: &Path) -> Result<Sqlite, OpenError> {
        let conn = open::open_or_create(path)?;
        let unreadable = |e: std::io::Error| OpenError::Inaccessible(e.to_string());
        let place = Place::of(&conn).map_err(unreadable)?;
        let file = ManuallyDrop::new(File::open(place.db()).map_err(unreadable)?);
        Ok(Sqlite { conn, place, file })
    }

    /// Opens the file for one of a server's threads, with a page cache of that size. SQLite makes no
    /// checkpoint when it is closed: after an I/O error that would lose what it should save.
    pub fn open_for_server(path: &Path, cache_kib: u32) -> Result<Sqlite, OpenError> {
        let sqlite = Sqlite::open(path)?;
        let conn = &sqlite.conn;
        conn.pragma_update(None, "synchronous", "NORMAL")
            .and_then(|()| conn.pragma_update(None, "cache_size", -i64::from(cache_kib)))
            .and_then(|()| conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))
            .map_err(explain)?;
        Ok(sqlite)
    }
}
