//! Opening a database file: whose is it, is it ours to change, how SQLite is to treat it.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::place::wal_of;
use crate::store::OpenError;

/// How long a connection waits for another program that holds the file's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// "LSEA" in ASCII; the schema sets it.
pub const APPLICATION_ID: i64 = 0x4C53_4541;
/// The schema's `user_version`.
pub const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = include_str!("../../../sql/sqlite/schema.sql");
/// Small pages, because a sale changes a few bytes each on two pages that no other sale touches, and
/// the WAL takes whole pages.
const PAGE_BYTES: i64 = 2_048;
const STATEMENTS_CACHED: usize = 64;
/// A WAL that grew beyond this is cut back when it is next reset. Buyers wait for that (20 ms and
/// more), so it is well beyond what the WAL grows to in a sale until the reaper makes it start from
/// its beginning: it is for what a long reader, a backup say, has made it grow to.
const WAL_BYTES_KEPT: i64 = 256 * 1024 * 1024;

/// Opens the file for reading and writing, making it if there is none.
pub(super) fn open_or_create(path: &Path) -> Result<Connection, OpenError> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    let is_new = refuse_foreign(&conn)? == 0;
    configure(&conn, is_new).map_err(explain)?;
    if is_new {
        create_schema(&conn).map_err(explain)?;
    }
    // SQLite opens for reading what it may not write, and says nothing.
    if conn.is_readonly("main").map_err(explain)? {
        return Err(OpenError::Inaccessible("it is read-only".into()));
    }
    conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        .map_err(explain)?;
    Ok(conn)
}

/// Opens a file that is ours, to look at it: what a crash has left in its WAL stays there.
///
/// Errors, in this order: `Missing`, `NotADatabase`, `NewerSchema`, `Unmarked`, `Foreign`.
pub(super) fn open_existing(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    let conn = open(path, OpenFlags::empty())?;
    // Whoever closes a database last copies its WAL into it. One that looking makes is empty.
    let was_left = wal_of(&conn).exists();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, was_left)
        .map_err(explain)?;
    match refuse_foreign(&conn)? {
        0 => Err(OpenError::Foreign),
        _ => Ok(conn),
    }
}

fn open(path: &Path, more: OpenFlags) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let conn = Connection::open_with_flags(path, flags).map_err(explain)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(explain)?;
    Ok(conn)
}

/// Returns the version of its schema, 0 for an empty file.
fn refuse_foreign(conn: &Connection) -> Result<i64, OpenError> {
    // In one snapshot, because another process may be making the schema.
    let snapshot = conn.unchecked_transaction().map_err(explain)?;
    let number = |sql: &str| {
        let number = snapshot.query_row(sql, [], |row| row.get::<_, i64>(0));
        number.map_err(explain)
    };
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if number("PRAGMA application_id")? == APPLICATION_ID {
        return match version {
            1..=SCHEMA_VERSION => Ok(version),
            found => Err(OpenError::NewerSchema { found }),
        };
    }
    let ours = "SELECT count(*) FROM sqlite_schema
                WHERE name IN ('events', 'tickets', 'ledger', 'idempotency_keys')";
    match (tables, number(ours)?) {
        (0, _) => Ok(0),
        (_, 4) => Err(OpenError::Unmarked),
        _ => Err(OpenError::Foreign),
    }
}

/// An empty database in memory with the schema that this program makes.
pub(super) fn reference() -> rusqlite::Result<Connection> {
    let reference = Connection::open_in_memory()?;
    reference.execute_batch(SCHEMA)?;
    Ok(reference)
}

fn configure(conn: &Connection, is_new: bool) -> rusqlite::Result<()> {
    if is_new {
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    enter_wal_mode(conn)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Without it INSERT OR REPLACE would delete rows behind the triggers' backs.
    conn.pragma_update(None, "recursive_triggers", true)?;
    // Checkpoints are made off the commit path, by the reaper's thread.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Otherwise some statements are prepared again each time another value is bound to them.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
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

/// Several processes may start on a new file at once: the one that comes second finds the tables.
fn create_schema(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    let made = match conn.query_row(tables, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => conn.execute_batch(SCHEMA),
        found => found.map(drop),
    };
    match made {
        Ok(()) => conn.execute_batch("COMMIT"),
        Err(e) => conn.execute_batch("ROLLBACK").and(Err(e)),
    }
}

pub(super) fn explain(cause: rusqlite::Error) -> OpenError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::NotADatabase,
        _ => OpenError::Inaccessible(cause.to_string()),
    }
}
