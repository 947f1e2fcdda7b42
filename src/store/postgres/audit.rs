//! A database as `verify` reads it: all of it, in one snapshot, without ever writing.

use std::cell::RefCell;
use std::ffi::CString;
use std::time::{Duration, Instant};

use super::libpq::{Fault, Rows};
use super::open::{SCHEMA_LIST, explain, open_session};
use super::session::{Servers, Session};
use super::sql::{Form, parameters};
use super::statements::row;
use crate::error::Error;
use crate::store::audit::COUNTS;
use crate::store::engine::{Row, Statement, Value};
use crate::store::{Audit, Counts, OpenError};

/// For one statement over all there is.
const PATIENCE: Duration = Duration::from_secs(3_600);

pub struct PostgresAudit {
    session: RefCell<Session>,
}

impl PostgresAudit {
    /// `views` stand in front of the tables.
    pub fn open(url: &str, views: &str) -> Result<PostgresAudit, OpenError> {
        let servers = Servers::parse(url).map_err(OpenError::Refused)?;
        let session = open_session(&servers, false)?;
        // Here everything is read. Without statistics, as after a sale that has just ended, the planner
        // takes any table for small, and would go through one for each row of another.
        let begin = format!(
            "RESET ALL; BEGIN ISOLATION LEVEL REPEATABLE READ; {views} SET TRANSACTION READ ONLY; \
             SET LOCAL work_mem = '256MB'; SET LOCAL enable_nestloop = off"
        );
        let begin = CString::new(begin).map_err(|e| OpenError::Refused(e.to_string()))?;
        let begin = begin.as_c_str();
        let begun = session
            .connection
            .run_script(begin, Instant::now() + PATIENCE);
        begun.map_err(explain)?;
        Ok(PostgresAudit {
            session: RefCell::new(session),
        })
    }

    fn ask(&self, sql: &str) -> Result<Rows, Error> {
        let sql = CString::new(sql).map_err(|e| Error::Internal(e.to_string()))?;
        let rows = self.session.borrow().ask(&sql, Instant::now() + PATIENCE);
        rows.map_err(failed)
    }

    /// The first column of each row.
    fn list(&self, sql: &str) -> Result<Vec<String>, Error> {
        let rows = self.ask(sql)?;
        Ok((0..rows.len())
            .filter_map(|row| text(&rows, row, 0))
            .collect())
    }
}

fn failed(fault: Fault) -> Error {
    Error::StorageUnavailable(fault.into_text())
}

impl Audit for PostgresAudit {
    fn counts(&self) -> Result<Counts, Error> {
        let rows = self.ask(COUNTS)?;
        let count = |column| {
            let text = text(&rows, 0, column);
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(Counts {
            events: count(0),
            tickets: count(1),
            ledger_rows: count(2),
            keys: count(3),
        })
    }

    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut session = self.session.borrow_mut();
        let prepared = session.prepare(statement.sql, Form::AsItIs, deadline);
        let prepared = prepared.map_err(failed)?;
        let values = parameters(statement, values);
        let commands = [prepared.run(&values)];
        let results = session.connection.exchange(&commands, deadline);
        drop(session);
        for rows in results.map_err(failed)? {
            (0..rows.len()).try_for_each(|number| each(&row(&rows, number, 0)))?;
        }
        Ok(())
    }

    fn find(&self, sql: &str, each: &mut dyn FnMut(&str, String)) -> Result<(), Error> {
        let rows = self.ask(sql)?;
        let names: Vec<String> = (0..rows.columns())
            .map(|column| rows.name(column))
            .collect();
        for row in 0..rows.len() {
            for (column, name) in names.iter().enumerate() {
                if let Some(sentence) = text(&rows, row, column) {
                    each(name, sentence);
                }
            }
        }
        Ok(())
    }

    fn schema_differences(&self) -> Result<Vec<String>, Error> {
        let made = self.list("SELECT objects FROM lastseat")?;
        let found = self.list(SCHEMA_LIST)?;
        let lines = |list: &[String]| -> Vec<String> {
            list.iter()
                .flat_map(|text| text.lines().map(str::to_owned))
                .collect()
        };
        let (made, found) = (lines(&made), lines(&found));
        let missing = made.iter().filter(|object| !found.contains(object));
        let added = found.iter().filter(|object| !made.contains(object));
        let missing = missing.map(|object| format!("the {object} is missing or altered"));
        let added = added.map(|object| format!("the {object} is not this program's"));
        Ok(missing.chain(added).collect())
    }

    /// PostgreSQL checks each page as it reads it, if it was set up with data checksums.
    fn integrity_check(&self) -> Result<Vec<String>, Error> {
        self.list(include_str!("../../../sql/postgres/audit_integrity.sql"))
    }

    fn foreign_key_check(&self) -> Result<Vec<String>, Error> {
        self.list(include_str!("../../../sql/postgres/audit_references.sql"))
    }
}

fn text(rows: &Rows, row: usize, column: usize) -> Option<String> {
    let bytes = rows.get(row, column)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
