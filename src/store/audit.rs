//! A file as `verify` reads it: all of it, in one snapshot, without ever writing. A running server
//! is not kept from selling.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};

use super::open::{self, OpenError};
use super::tx;
use crate::error::Error;
use crate::model::{TicketRecord, Timestamp};

pub struct Audit {
    conn: Connection,
}

/// An event's row, expired holds not counted as free.
#[derive(Debug)]
pub struct AuditedEvent {
    pub id: i64,
    pub total_spots: i64,
    pub available_spots: i64,
    pub status: String,
}

#[derive(Debug)]
pub struct AuditedKey {
    pub key: String,
    /// The ticket that it sold, if it was a registration's.
    pub ticket_seq: Option<i64>,
}

#[derive(Debug)]
pub struct LedgerRow {
    pub seq: i64,
    pub at: Timestamp,
    pub event_id: i64,
    pub ticket_id: Option<String>,
    pub kind: String,
    pub spots: i64,
}

/// A row that could not be read: its number among those of its table, and why.
pub type Unreadable = (u64, Error);

impl Audit {
    pub fn open(path: &Path) -> Result<Audit, OpenError> {
        // Opened for reading only, SQLite would not check the CHECKs.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let left_behind = open::wal_of(path).exists();
        let conn = Connection::open_with_flags(path, flags).map_err(open::explain)?;
        conn.pragma_update(None, "query_only", true)
            .and_then(|()| {
                // Whoever closes a database last copies the WAL into it.
                conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_behind)
            })
            .map_err(open::explain)?;
        conn.busy_timeout(open::BUSY_TIMEOUT)
            .map_err(open::explain)?;
        if open::refuse_foreign(&conn)? == 0 {
            return Err(OpenError::Foreign);
        }
        conn.execute_batch("BEGIN").map_err(open::explain)?;
        Ok(Audit { conn })
    }

    /// Tables, indexes and triggers that are not as this program makes them, and triggers that it
    /// does not make.
    pub fn schema_differences(&self) -> Result<Vec<String>, Error> {
        let found = schema(&self.conn)?;
        let made = schema(&open::reference(&self.conn)?)?;
        let mut differences = Vec::new();
        for (object, sql) in &made {
            match found.get(object) {
                None => differences.push(format!("the {object} is missing")),
                Some(other) if other != sql => differences.push(format!("the {object} is altered")),
                Some(_) => {}
            }
        }
        let foreign = found.keys().filter(|o| !made.contains_key(*o));
        let foreign = foreign.filter(|o| o.starts_with("trigger"));
        differences.extend(foreign.map(|o| format!("the {o} is not this program's")));
        Ok(differences)
    }

    /// SQLite's own look at pages, indexes, types and CHECKs: what is wrong, a sentence each.
    pub fn integrity_check(&self) -> Result<Vec<String>, Error> {
        let mut statement = self.conn.prepare("PRAGMA integrity_check")?;
        let sentences = statement.query_map([], |row| row.get(0))?;
        let mut sentences = sentences.collect::<rusqlite::Result<Vec<String>>>()?;
        sentences.retain(|s| s != "ok");
        Ok(sentences)
    }

    /// Rows that point to rows that are not there, a sentence each.
    pub fn foreign_key_check(&self) -> Result<Vec<String>, Error> {
        let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
        let sentence = |row: &Row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            let seq: Option<i64> = row.get(1)?;
            let seq = seq.unwrap_or_default();
            Ok(format!("{table} row {seq} points to no row of {parent}"))
        };
        let sentences = statement.query_map([], sentence)?;
        Ok(sentences.collect::<rusqlite::Result<_>>()?)
    }

    /// In the order in which they were written.
    pub fn ledger(&self, each: impl FnMut(Result<LedgerRow, Unreadable>)) -> Result<(), Error> {
        let ledger_row = |row: &Row| {
            Ok(LedgerRow {
                seq: row.get(0)?,
                at: row.get(1)?,
                event_id: row.get(2)?,
                ticket_id: row.get(3)?,
                kind: row.get(4)?,
                spots: row.get(5)?,
            })
        };
        self.walk(include_str!("../../sql/ledger_audit.sql"), ledger_row, each)
    }

    /// In the order in which they were sold.
    pub fn tickets(&self, each: impl FnMut(Result<TicketRecord, Unreadable>)) -> Result<(), Error> {
        self.walk(include_str!("../../sql/ticket_audit.sql"), tx::ticket, each)
    }

    /// By their ids.
    pub fn events(&self, each: impl FnMut(Result<AuditedEvent, Unreadable>)) -> Result<(), Error> {
        let event = |row: &Row| {
            Ok(AuditedEvent {
                id: row.get(0)?,
                total_spots: row.get(1)?,
                available_spots: row.get(2)?,
                status: row.get(3)?,
            })
        };
        self.walk(include_str!("../../sql/event_audit.sql"), event, each)
    }

    /// By the keys' bytes, so that equal ones stand side by side.
    pub fn keys(&self, each: impl FnMut(Result<AuditedKey, Unreadable>)) -> Result<(), Error> {
        let key = |row: &Row| {
            Ok(AuditedKey {
                key: row.get(0)?,
                ticket_seq: row.get(1)?,
            })
        };
        self.walk(include_str!("../../sql/key_audit.sql"), key, each)
    }

    /// A row of a wrong shape does not keep the others from being read; a page that cannot be read
    /// does, and is the error.
    fn walk<T>(
        &self,
        sql: &str,
        shape: impl Fn(&Row) -> rusqlite::Result<T>,
        mut each: impl FnMut(Result<T, Unreadable>),
    ) -> Result<(), Error> {
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut number = 0;
        while let Some(row) = rows.next()? {
            number += 1;
            each(shape(row).map_err(|e| (number, e.into())));
        }
        Ok(())
    }
}

/// The text of everything in the schema, by type and name.
fn schema(conn: &Connection) -> Result<BTreeMap<String, String>, Error> {
    let mut statement = conn.prepare(include_str!("../../sql/schema_audit.sql"))?;
    let object = |row: &Row| {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((format!("{kind} {name}"), row.get(2)?))
    };
    let objects = statement.query_map([], object)?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}
