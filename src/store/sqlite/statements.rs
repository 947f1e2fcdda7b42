//! The engine's interface, on a connection to SQLite.

use nix::errno::Errno;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi};

use crate::error::Error;
use crate::store::engine::{Engine, Row, Statement, Value};

impl Engine for Connection {
    fn execute(&self, statement: &Statement, values: &[Value]) -> Result<usize, Error> {
        Ok(prepare(self, statement, values)?.raw_execute()?)
    }

    fn insert(&self, statement: &Statement, values: &[Value]) -> Result<i64, Error> {
        prepare(self, statement, values)?.raw_execute()?;
        Ok(self.last_insert_rowid())
    }

    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut prepared = prepare(self, statement, values)?;
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }
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
