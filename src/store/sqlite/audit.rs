//! A file as `verify` and `report` read it: all of it, in one snapshot, without ever writing. A
//! running server is not kept from selling.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row};

use super::open::{self, explain};
use super::statements::query;
use crate::error::Error;
use crate::store::audit::COUNTS;
use crate::store::engine::{self, Statement, Value};
use crate::store::{Audit, Counts, OpenError};

pub struct SqliteAudit {
    conn: Connection,
}

impl SqliteAudit {
    /// `views` stand in front of the tables.
    ///
    /// Errors: those of opening a file that is ours.
    pub fn open(path: &Path, views: &str) -> Result<SqliteAudit, OpenError> {
        // Opened for reading only, SQLite would not check the CHECKs.
        let conn = open::open_existing(path)?;
        conn.execute_batch(views).map_err(explain)?;
        conn.pragma_update(None, "query_only", true)
            .map_err(explain)?;
        conn.execute_batch("BEGIN").map_err(explain)?;
        Ok(SqliteAudit { conn })
    }

    fn list<T>(&self, sql: &str, shape: fn(&Row) -> rusqlite::Result<T>) -> Result<Vec<T>, Error> {
        let mut statement = self.conn.prepare(sql)?;
        let rows = statement.query_map([], shape)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Audit for SqliteAudit {
    fn counts(&self) -> Result<Counts, Error> {
        let counts = |row: &Row| {
            let count = |column| row.get(column).map(|rows: i64| rows as u64);
            Ok(Counts {
                events: count(0)?,
                tickets: count(1)?,
                ledger_rows: count(2)?,
                keys: count(3)?,
            })
        };
        Ok(self.conn.query_row(COUNTS, [], counts)?)
    }

    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn engine::Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        query(&self.conn, statement, values, each)
    }

    fn find(&self, sql: &str, each: &mut dyn FnMut(&str, String)) -> Result<(), Error> {
        let mut statement = self.conn.prepare(sql)?;
        let names = statement.column_names().into_iter().map(str::to_owned);
        let names: Vec<String> = names.collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for (column, name) in names.iter().enumerate() {
                if let Some(sentence) = row.get(column)? {
                    each(name, sentence);
                }
            }
        }
        Ok(())
    }

    fn schema_differences(&self) -> Result<Vec<String>, Error> {
        let found = schema(&self.conn)?;
        let made = schema(&open::reference()?)?;
        let mut differences = Vec::new();
        for (object, sql) in &made {
            match found.get(object) {
                None => differences.push(format!("the {object} is missing")),
                Some(other) if other != sql => differences.push(format!("the {object} is altered")),
                Some(_) => {}
            }
        }
        for object in found.keys() {
            if object.starts_with("trigger") && !made.contains_key(object) {
                differences.push(format!("the {object} is not this program's"));
            }
        }
        Ok(differences)
    }

    fn integrity_check(&self) -> Result<Vec<String>, Error> {
        let mut sentences = self.list("PRAGMA integrity_check", |row| row.get(0))?;
        sentences.retain(|s: &String| s != "ok");
        Ok(sentences)
    }

    fn foreign_key_check(&self) -> Result<Vec<String>, Error> {
        self.list("PRAGMA foreign_key_check", |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            let number: Option<i64> = row.get(1)?;
            let number = number.map_or(String::new(), |number| format!(" number {number}"));
            Ok(format!(
                "a row{number} of {table} points to no row of {parent}"
            ))
        })
    }
}

/// The text of everything in the schema, by type and name.
fn schema(conn: &Connection) -> Result<BTreeMap<String, String>, Error> {
    let mut statement = conn.prepare(include_str!("../../../sql/sqlite/schema_list.sql"))?;
    let object = |row: &Row| {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((format!("{kind} {name}"), row.get(2)?))
    };
    let objects = statement.query_map([], object)?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}
