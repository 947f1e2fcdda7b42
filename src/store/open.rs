//! Opening the database file: whose is it, is it ours to change, is its schema up to date.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::Tx;
use crate::error::Error;

/// How long a connection waits for another program that holds the file's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a checkpoint that buyers wait for waits itself, for the workers' own short reads.
const RESTART_TIMEOUT: Duration = Duration::from_millis(20);
/// "LSEA" in ASCII; set by the first migration.
const APPLICATION_ID: i64 = 0x4C53_4541;
const STATEMENTS_CACHED: usize = 64;
/// A WAL that grew beyond this is cut back when it is next reset. Buyers wait for that (20 ms and
/// more), so it is well beyond what the WAL grows to in a sale until the reaper makes it start from
/// its beginning: it is for what a long reader, a backup say, has made it grow to.
const WAL_BYTES_KEPT: i64 = 256 * 1024 * 1024;

const MIGRATIONS: &[M] = &[
    M::up(include_str!("../../sql/0001_schema.sql")),
    M::up(include_str!("../../sql/0002_api_keys.sql")),
    M::up(include_str!("../../sql/0003_attendees.sql")),
];

/// Why a file is not opened. It is untouched in all of these cases.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no such file; give another")]
    Missing,
    #[error("it is not a SQLite database; give another file")]
    NotADatabase,
    #[error("it is a database of another program; give another file")]
    Foreign,
    #[error(
        "its schema has version {found}, newer than this program's {known}; use a newer lastseat"
    )]
    NewerSchema { found: i64, known: usize },
    #[error(
        "another program is reading it, so that what its WAL holds cannot be brought into it; \
         end that program"
    )]
    InUse,
    #[error("{0}; check that its folder exists and that this user may write to it")]
    Inaccessible(String),
}

/// One thread's connection.
pub struct Db {
    pub(super) conn: Connection,
}

impl Db {
    /// Opens the file, making it if there is none, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Db, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags).map_err(explain)?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(explain)?;
        refuse_foreign(&conn)?;
        configure(&conn).map_err(explain)?;
        migrate(&mut conn)?;
        conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
            .map_err(explain)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(Db { conn })
    }

    /// Another size of the page cache than SQLite's 2 MiB.
    pub fn with_cache_kib(self, kib: u32) -> Result<Db, OpenError> {
        self.conn
            .pragma_update(None, "cache_size", -i64::from(kib))
            .map_err(explain)?;
        Ok(self)
    }

    /// Brings what a server before this one has left in the WAL into the database file, and that on
    /// disk, so that nothing written from now on stands behind a gap in the WAL (see `durable.rs`).
    pub fn empty_wal(&self) -> Result<(), OpenError> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let deadline = Instant::now() + BUSY_TIMEOUT;
        // SQLite itself does not wait for another program's checkpoint.
        loop {
            let is_busy = self.conn.query_row(sql, [], |row| row.get::<_, bool>(0));
            match is_busy.map_err(explain)? {
                false => return Ok(()),
                true if Instant::now() >= deadline => return Err(OpenError::InUse),
                true => std::thread::sleep(Duration::from_millis(20)),
            }
        }
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
        let transaction = Transaction::begin(&self.conn, "BEGIN IMMEDIATE")?;
        let result = f(&Tx::on(&self.conn))?;
        transaction.commit()?;
        Ok(result)
    }

    /// The frames in the WAL, and how many of them are in the database file as well. Nothing is copied.
    pub fn wal_frames(&self) -> Result<(i64, i64), Error> {
        self.run_checkpoint("PRAGMA wal_checkpoint(NOOP)")
    }

    pub(super) fn page_bytes(&self) -> Result<i64, Error> {
        let sql = "PRAGMA page_size";
        Ok(self.conn.query_row(sql, [], |row| row.get(0))?)
    }

    /// The size of the WAL file.
    pub fn wal_bytes(&self) -> i64 {
        let file = self.conn.path().map(|path| wal_of(Path::new(path)));
        let metadata = file.and_then(|file| std::fs::metadata(file).ok());
        metadata.map_or(0, |file| file.len() as i64)
    }

    /// Copies what is in the WAL into the database file, without making any writer or reader wait.
    /// Returns the pages in the WAL and how many of them have been copied.
    pub fn checkpoint(&self) -> Result<(i64, i64), Error> {
        self.run_checkpoint("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// The same, and the next writer starts the WAL from its beginning. Call it with the baton. A
    /// reader who is in the way (a backup, a shell) is not waited for, or all buyers would be: then
    /// the WAL grows on.
    pub fn checkpoint_and_restart(&self) -> Result<(i64, i64), Error> {
        self.conn.busy_timeout(RESTART_TIMEOUT)?;
        let pages = self.run_checkpoint("PRAGMA wal_checkpoint(RESTART)");
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        pages
    }

    /// The same, and the WAL file is empty afterwards.
    pub fn checkpoint_and_truncate(&self) -> Result<(i64, i64), Error> {
        self.run_checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    fn run_checkpoint(&self, pragma: &str) -> Result<(i64, i64), Error> {
        let pages = |row: &rusqlite::Row| Ok((row.get(1)?, row.get(2)?));
        Ok(self.conn.prepare_cached(pragma)?.query_row([], pages)?)
    }
}

/// Where SQLite keeps the WAL of that file.
pub(super) fn wal_of(db: &Path) -> PathBuf {
    let mut wal = OsString::from(db);
    wal.push("-wal");
    wal.into()
}

/// An open transaction; rolled back when it goes out of scope without a commit.
pub(super) struct Transaction<'c> {
    conn: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub fn begin(conn: &'c Connection, how: &str) -> Result<Transaction<'c>, Error> {
        conn.prepare_cached(how)?.execute([])?;
        Ok(Transaction { conn })
    }

    pub fn commit(self) -> Result<(), Error> {
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// SQLite itself may have rolled back: after some errors (disk full, I/O) it does.
    pub fn is_open(&self) -> bool {
        !self.conn.is_autocommit()
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

/// Returns the version of its schema, 0 for an empty file.
pub(super) fn refuse_foreign(conn: &Connection) -> Result<i64, OpenError> {
    let number = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(explain)
    };
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application_id = number("PRAGMA application_id")?;
    if version as usize > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(OpenError::NewerSchema {
            found: version,
            known,
        });
    }
    let ours = application_id == APPLICATION_ID;
    if tables > 0 && !ours {
        return Err(OpenError::Foreign);
    }
    Ok(version)
}

/// An empty database with the schema that this program gave that one.
pub(super) fn reference(conn: &Connection) -> rusqlite::Result<Connection> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut reference = Connection::open_in_memory()?;
    // What was read as a version before is one that there is.
    let _ = Migrations::from_slice(MIGRATIONS).to_version(&mut reference, version as usize);
    Ok(reference)
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    enter_wal_mode(conn)?;
    // With FULL, SQLite would wait for the disk while it holds the write lock. The commit queue does
    // so after it has let go of the lock and before it answers (see `durable.rs`).
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Checkpoints are made off the commit path, by the reaper's thread.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))
}

/// For this change SQLite does not wait for another process that is making it too.
fn enter_wal_mode(conn: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(e)
                if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// Several processes may start on a new file at once: the one that comes second finds the tables
/// there and the version raised, which is as good.
fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let migrations = Migrations::from_slice(MIGRATIONS);
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    let Err(first) = migrations.to_latest(conn) else {
        return Ok(());
    };
    match migrations.pending_migrations(conn) {
        Ok(0) => Ok(()),
        _ => Err(OpenError::Inaccessible(format!(
            "its schema cannot be set up: {first}"
        ))),
    }
}

pub(super) fn explain(cause: rusqlite::Error) -> OpenError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::NotADatabase,
        _ => OpenError::Inaccessible(cause.to_string()),
    }
}
