//! The engine's interface, on a connection to SQLite.

use std::time::Duration;

use nix::errno::Errno;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi};

use super::Sqlite;
use crate::error::Error;
use crate::store::engine::{Access, Engine, Row, Savepoint, Statement, Value};
use crate::store::{CommitQueue, Durability};

impl Engine for Sqlite {
    fn begin(&self, access: Access, patience: Duration) -> Result<(), Error> {
        let how = match access {
            Access::Read => "BEGIN",
            Access::Write => {
                self.place.check()?;
                self.conn.busy_timeout(patience)?;
                "BEGIN IMMEDIATE"
            }
        };
        self.conn.prepare_cached(how)?.execute([])?;
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let committed = self.conn.prepare_cached("COMMIT")?.execute([]);
        committed.map_err(|e| failed_to_write(&self.conn, e))?;
        Ok(())
    }

    fn rollback(&self) -> Result<(), Error> {
        Ok(self.conn.execute_batch("ROLLBACK")?)
    }

    fn is_open(&self) -> bool {
        !self.conn.is_autocommit()
    }

    fn savepoint(&self, step: Savepoint) -> Result<(), Error> {
        Ok(self.conn.execute_batch(match step {
            Savepoint::Set => "SAVEPOINT job",
            Savepoint::GoBack => "ROLLBACK TO job",
            Savepoint::Release => "RELEASE job",
        })?)
    }

    fn set_durability(&self, durability: Durability) -> Result<(), Error> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        Ok(self.conn.pragma_update(None, "synchronous", synchronous)?)
    }

    fn execute(&self, statement: &Statement, values: &[Value]) -> Result<usize, Error> {
        Ok(prepare(&self.conn, statement, values)?.raw_execute()?)
    }

    fn insert(&self, statement: &Statement, values: &[Value]) -> Result<i64, Error> {
        prepare(&self.conn, statement, values)?.raw_execute()?;
        Ok(self.conn.last_insert_rowid())
    }

    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        query(&self.conn, statement, values, each)
    }

    fn keep_house(&self, commits: &CommitQueue) -> Result<(), Error> {
        self.copy_wal(commits)
    }

    fn restart_wal(&self) -> Result<(), Error> {
        self.checkpoint_at_once("PRAGMA wal_checkpoint(RESTART)")
    }

    fn empty_wal(&self) -> Result<(), Error> {
        self.checkpoint_at_once("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    fn wal_bytes(&self) -> i64 {
        let file = std::fs::metadata(self.place.wal());
        file.map_or(0, |file| file.len() as i64)
    }
}

pub(super) fn query(
    conn: &Connection,
    statement: &Statement,
    values: &[Value],
    each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut prepared = prepare(conn, statement, values)?;
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

/// SQLite numbers named parameters in the order in which the text first names them.
fn prepare<'c>(
    conn: &'c Connection,
    statement: &Statement,
    values: &[Value],
) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = conn.prepare_cached(statement.sql)?;
    for (value, number) in values.iter().zip(statement.numbers()) {
        prepared.raw_bind_parameter(number, value)?;
    }
    Ok(prepared)
}

impl Row for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, Error> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes)),
            text => {
                let text = text.as_str();
                text.map(Value::Text)
                    .map_err(|e| Error::Internal(e.to_string()))
            }
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for Error {
    /// What the world did to the file is told from what must be a bug of ours.
    fn from(cause: rusqlite::Error) -> Error {
        use ErrorCode::*;
        match cause.sqlite_error_code() {
            Some(
                DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | SystemIoFailure
                | ReadOnly
                | CannotOpen
                | DatabaseCorrupt
                | NotADatabase
                | OutOfMemory
                | PermissionDenied
                | FileLockingProtocolFailed
                | SchemaChanged,
            ) => Error::StorageUnavailable(cause.to_string()),
            _ => Error::Internal(cause.to_string()),
        }
    }
}

/// What COMMIT or a checkpoint failed with: `DiskFailed` for an I/O error, after which nobody can
/// tell what is on disk. If the system refused to write at all (a read-only file, a limit on its
/// size, a quota), everything is as it was.
pub(super) fn failed_to_write(conn: &Connection, cause: rusqlite::Error) -> Error {
    // SAFETY: the handle is open as long as the connection is, and the call only reads a number.
    let errno = Errno::from_raw(unsafe { ffi::sqlite3_system_errno(conn.handle()) });
    let is_refused = matches!(
        errno,
        Errno::EPERM | Errno::EACCES | Errno::EROFS | Errno::EFBIG | Errno::EDQUOT | Errno::ENOSPC
    );
    match cause.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) if !is_refused => {
            Error::DiskFailed(format!("{cause} ({errno})"))
        }
        _ => cause.into(),
    }
}
