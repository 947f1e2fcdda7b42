//! The statements: one method for each file in `sql/`, of the same name.

mod ahead;
mod events;
mod keys;
mod tickets;

pub use ahead::Scope;
pub use events::Account;
pub use keys::{About, Remembered};

use std::cell::{Cell, RefCell};

use super::engine::{Column, Engine, Row, Statement, Value};
use crate::error::Error;
use crate::model::{LedgerKind, Timestamp};

/// A statement with the values of its parameters.
struct Call<'v, const N: usize> {
    statement: &'static Statement,
    values: [Value<'v>; N],
}

/// `call!("event_find", now: now, id: id)` is the statement in `sql/event_find.sql` with a value for
/// each of its parameters. Names that differ from the file's do not compile.
macro_rules! call {
    ($file:literal $(, $name:ident: $value:expr)* $(,)?) => {{
        const STATEMENT: Statement = Statement::new(
            include_str!(concat!("../../../sql/", $file, ".sql")),
            &[$(stringify!($name)),*],
        );
        Call { statement: &STATEMENT, values: [$(Value::from($value)),*] }
    }};
}
use call;

/// An open transaction's statements; `Db::read` and the commit queue hand it out.
pub struct Tx<'c> {
    engine: &'c dyn Engine,
    holds_released: Cell<u64>,
    taken: RefCell<Vec<Taken>>,
}

/// What the sales of a transaction have taken of an event, and its row does not show yet: a batch of
/// sales writes it once.
#[derive(Clone, Copy)]
struct Taken {
    event_id: i64,
    rows: i64,
    spots: i64,
}

impl<'c> Tx<'c> {
    pub(super) fn on(engine: &'c dyn Engine) -> Tx<'c> {
        Tx {
            engine,
            holds_released: Cell::new(0),
            taken: RefCell::default(),
        }
    }

    /// Writes what has been left for later.
    pub(super) fn settle(&self) -> Result<(), Error> {
        self.settle_events()?;
        self.engine.settle()
    }

    /// After what was written last has been undone.
    pub(super) fn forget_taken(&self) {
        self.taken.borrow_mut().clear();
    }

    pub(super) fn settle_events(&self) -> Result<(), Error> {
        for taken in self.taken.take() {
            self.engine_later(call!("event_take_spots",
                id: taken.event_id, changes: taken.rows, spots: taken.spots))?;
        }
        Ok(())
    }

    /// Expired holds that this transaction has released so far.
    pub(super) fn holds_released(&self) -> u64 {
        self.holds_released.get()
    }

    /// After some of them were undone.
    pub(super) fn set_holds_released(&self, released: u64) {
        self.holds_released.set(released);
    }

    /// The event's row number `n`, which moves `spots` and so leaves `available_spots`.
    pub fn ledger_insert(
        &self,
        now: Timestamp,
        after: Account,
        kind: LedgerKind,
        ticket_seq: Option<i64>,
        spots: i64,
    ) -> Result<(), Error> {
        self.engine_later(call!("ledger_insert",
            event_id: after.event_id, n: after.changes, now: now, kind: kind.as_str(),
            ticket_seq: ticket_seq, spots: spots, available_spots: after.available_spots))
    }

    /// One row for each live ticket of an event, as cancelled, behind its last row; returns how many.
    pub fn ledger_insert_cancelled(&self, now: Timestamp, before: Account) -> Result<i64, Error> {
        self.execute(call!("ledger_insert_cancelled",
            event_id: before.event_id, now: now, n: before.changes,
            available_spots: before.available_spots))
    }

    /// One row for each expired hold of an event, up to `limit`, behind its last row; returns how many.
    pub fn ledger_insert_expired(
        &self,
        now: Timestamp,
        before: Account,
        limit: i64,
    ) -> Result<i64, Error> {
        self.execute(call!("ledger_insert_expired",
            event_id: before.event_id, now: now, n: before.changes,
            available_spots: before.available_spots, limit: limit))
    }

    pub fn readiness_touch(&self) -> Result<(), Error> {
        self.execute(call!("readiness_touch"))?;
        Ok(())
    }

    /// For a statement that changes one row, if nobody has to know yet that it does.
    fn engine_later<const N: usize>(&self, call: Call<N>) -> Result<(), Error> {
        self.engine.execute_later(call.statement, &call.values)
    }

    fn execute<const N: usize>(&self, call: Call<N>) -> Result<i64, Error> {
        self.settle_events()?;
        let rows = self.engine.execute(call.statement, &call.values)?;
        Ok(rows as i64)
    }

    fn insert<const N: usize>(&self, call: Call<N>) -> Result<i64, Error> {
        self.settle_events()?;
        self.engine.insert(call.statement, &call.values)
    }

    fn list<T, const N: usize>(
        &self,
        call: Call<N>,
        shape: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.settle_events()?;
        let mut rows = Vec::new();
        self.engine
            .query(call.statement, &call.values, &mut |row| {
                rows.push(shape(row)?);
                Ok(())
            })?;
        Ok(rows)
    }

    /// For a SELECT that finds one row or none.
    fn find<T, const N: usize>(
        &self,
        call: Call<N>,
        shape: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.settle_events()?;
        self.look(call, shape)
    }

    /// The same for one that may have been looked for ahead (see [`Scope`]), and to which it does not
    /// matter what has been taken.
    fn look<T, const N: usize>(
        &self,
        call: Call<N>,
        shape: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        self.engine
            .query(call.statement, &call.values, &mut |row| {
                found = Some(shape(row)?);
                Ok(())
            })?;
        Ok(found)
    }
}

/// A column's value. Errors: `Internal`, if it is of another type than the schema has it.
pub(crate) fn get<'r, T: Column<'r>>(row: &'r dyn Row, column: usize) -> Result<T, Error> {
    T::read(row.value(column)?).ok_or_else(|| unexpected(column))
}

/// A name that the schema's CHECK has let in.
pub(crate) fn parsed<T>(
    row: &dyn Row,
    column: usize,
    parse: fn(&str) -> Option<T>,
) -> Result<T, Error> {
    parse(get(row, column)?).ok_or_else(|| unexpected(column))
}

fn unexpected(column: usize) -> Error {
    Error::Internal(format!("column {column} of a row holds what it should not"))
}
