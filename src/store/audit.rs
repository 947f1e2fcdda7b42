//! A database as `verify` and `report` read it, whichever engine is under it.

use super::engine::{Row, Statement, Value};
use super::location::{Location, OpenError};
use super::sqlite;
use crate::error::Error;

pub(super) const COUNTS: &str = include_str!("../../sql/audit_counts.sql");

/// How many rows there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub events: u64,
    pub tickets: u64,
    pub ledger_rows: u64,
    pub keys: u64,
}

/// All of a database in one snapshot; never writes, and keeps no running server from selling.
pub trait Audit {
    fn counts(&self) -> Result<Counts, Error>;

    /// Runs a SELECT and hands each of its rows to `each`, whose first error ends it.
    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Runs a statement each of whose columns bears the name of a check and holds, for a row that
    /// fails it, a sentence that says so. `each` is told the check and the sentence.
    fn find(&self, sql: &str, each: &mut dyn FnMut(&str, String)) -> Result<(), Error>;

    /// What of the schema is not as this program makes it, and triggers that it does not make.
    fn schema_differences(&self) -> Result<Vec<String>, Error>;

    /// The engine's own look at its storage: what is wrong, a sentence each.
    fn integrity_check(&self) -> Result<Vec<String>, Error>;

    /// Rows that point to rows that are not there, a sentence each.
    fn foreign_key_check(&self) -> Result<Vec<String>, Error>;
}

/// Errors: those of opening a database that is ours.
pub fn open_audit(location: &Location) -> Result<Box<dyn Audit>, OpenError> {
    match location {
        Location::File(path) => Ok(Box::new(sqlite::SqliteAudit::open(path, "")?)),
        Location::Postgres(url) => postgres(url, ""),
    }
}

/// The same of one event: its row, its ledger and its tickets are all that statements see of theirs.
pub fn open_audit_of_event(
    location: &Location,
    event_id: i64,
) -> Result<Box<dyn Audit>, OpenError> {
    let views = include_str!("../../sql/sqlite/audit_of_event.sql");
    let views = views.replace(":event_id", &event_id.to_string());
    match location {
        Location::File(path) => Ok(Box::new(sqlite::SqliteAudit::open(path, &views)?)),
        Location::Postgres(url) => postgres(url, &views.replace("main.", "public.")),
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str, views: &str) -> Result<Box<dyn Audit>, OpenError> {
    Ok(Box::new(super::postgres::PostgresAudit::open(url, views)?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str, _: &str) -> Result<Box<dyn Audit>, OpenError> {
    Err(OpenError::NoPostgres)
}
