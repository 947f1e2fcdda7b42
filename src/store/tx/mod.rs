//! The statements: one method for each file in `sql/`, of the same name.

mod ahead;
mod events;
mod keys;
mod line;
mod tickets;

pub use ahead::Scope;
pub use events::{Account, Entry};
pub use keys::{About, Remembered};

use std::cell::{Cell, RefCell};

use super::engine::{Column, Engine, Row, Statement, Value};
use crate::error::Error;
use crate::model::{Change, LedgerKind, TicketId, Timestamp};

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
    /// When the first of these holds ends.
    first_expiry: Timestamp,
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

    /// The event's next row, which leaves the account as it is `after` it.
    pub fn ledger_insert(&self, now: Timestamp, after: Account, entry: Entry) -> Result<(), Error> {
        self.engine_later(call!("ledger_insert",
            event_id: after.event_id, n: after.changes, now: now, kind: entry.kind.as_str(),
            ticket_seq: entry.ticket_seq, spots: entry.spots, available_spots: after.available_spots,
            party: entry.party, payment_ref: entry.payment_ref, waiting: after.waiting))
    }

    /// The account after so many rows behind `before`, which have been written.
    pub fn ledger_find_balance(&self, before: Account, rows: i64) -> Result<Account, Error> {
        let Account { event_id, .. } = before;
        let changes = before.changes + rows;
        let call = call!("ledger_find_balance", event_id: event_id, n: changes);
        let after = self.find(call, |row| {
            Ok(Account {
                event_id,
                changes,
                available_spots: get(row, 0)?,
                waiting: get(row, 1)?,
            })
        })?;
        after.ok_or_else(|| Error::Internal(format!("event {event_id} has no row {changes}")))
    }

    /// One row for each live ticket of an event, as cancelled, behind its last row; returns how many.
    pub fn ledger_insert_cancelled(&self, now: Timestamp, before: Account) -> Result<i64, Error> {
        self.execute(call!("ledger_insert_cancelled",
            event_id: before.event_id, now: now, n: before.changes,
            available_spots: before.available_spots, waiting: before.waiting))
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
            available_spots: before.available_spots, waiting: before.waiting, limit: limit))
    }

    /// Up to `limit` rows of an event's ledger behind row `after`, in order.
    pub fn change_list(
        &self,
        event_id: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Change>, Error> {
        let call = call!("change_list", event_id: event_id, after: after, limit: limit as i64);
        self.list(call, |row| {
            let ticket_id: Option<[u8; 16]> = get(row, 3)?;
            Ok(Change {
                n: get(row, 0)?,
                at: get(row, 1)?,
                kind: parsed(row, 2, LedgerKind::parse)?,
                ticket_id: ticket_id.map(TicketId::stored),
                spots: get(row, 4)?,
                available_spots: get(row, 5)?,
                waiting: get(row, 6)?,
            })
        })
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
