//! The statements: one method for each file in `sql/`, of the same name. Parameters are given in
//! the order in which the statement first names them (binding by name costs an allocation each).

mod events;
mod keys;
mod tickets;

pub use keys::RememberedKey;
pub(super) use tickets::ticket;

use std::cell::Cell;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use crate::error::Error;
use crate::model::{LedgerKind, TicketId, Timestamp};

/// An open transaction's statements; `Db::read` and the commit queue hand it out.
pub struct Tx<'c> {
    conn: &'c Connection,
    holds_released: Cell<u64>,
}

impl<'c> Tx<'c> {
    pub(super) fn on(conn: &'c Connection) -> Tx<'c> {
        Tx {
            conn,
            holds_released: Cell::new(0),
        }
    }

    /// Expired holds that this transaction has released so far.
    pub(super) fn holds_released(&self) -> u64 {
        self.holds_released.get()
    }

    /// After some of them were undone.
    pub(super) fn set_holds_released(&self, released: u64) {
        self.holds_released.set(released);
    }

    /// `spots` is the change to the event's available spots.
    pub fn ledger_insert(
        &self,
        now: Timestamp,
        event_id: i64,
        ticket_id: Option<&TicketId>,
        kind: LedgerKind,
        spots: i64,
    ) -> Result<(), Error> {
        self.execute(
            include_str!("../../../sql/ledger_insert.sql"),
            params![
                now,
                event_id,
                ticket_id.map(TicketId::as_str),
                kind.as_str(),
                spots
            ],
        )?;
        Ok(())
    }

    /// One row for each live ticket of an event, as cancelled; returns how many.
    pub fn ledger_insert_cancelled(&self, now: Timestamp, event_id: i64) -> Result<usize, Error> {
        let sql = include_str!("../../../sql/ledger_insert_cancelled.sql");
        self.execute(sql, params![now, event_id])
    }

    pub fn readiness_touch(&self, now: Timestamp) -> Result<(), Error> {
        let sql = include_str!("../../../sql/readiness_touch.sql");
        self.execute(sql, params![now])?;
        Ok(())
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        shape: impl FnOnce(&Row) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row(params, shape)
            .optional()?)
    }

    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        shape: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, shape)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }
}

/// A name that the schema's CHECK has let in.
fn parsed<T>(row: &Row, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name = row.get_ref(column)?.as_str()?;
    parse(name).ok_or(rusqlite::Error::InvalidQuery)
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Timestamp {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        i64::column_result(value).map(Timestamp)
    }
}
