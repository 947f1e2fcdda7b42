//! The engine's interface, on a connection to PostgreSQL.

use std::time::{Duration, Instant};

use super::libpq::Rows;
use super::sql::{Form, decode, parameters};
use super::{Postgres, Progress, READ_WITHIN};
use crate::error::Error;
use crate::store::engine::{Access, Ahead, Engine, Moment, Row, Savepoint, Statement, Value};
use crate::store::{CommitQueue, Durability};

const CLEAN_EVERY: Duration = Duration::from_secs(3_600);

impl Engine for Postgres {
    fn begin(&self, access: Access, patience: Duration) -> Result<(), Error> {
        self.link
            .borrow_mut()
            .begin(access == Access::Write, patience)
    }

    fn commit(&self) -> Result<(), Error> {
        self.link.borrow_mut().commit()
    }

    fn rollback(&self) -> Result<(), Error> {
        self.link.borrow_mut().rollback();
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.link.borrow().progress != Progress::Closed
    }

    fn savepoint(&self, step: Savepoint) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        match step {
            Savepoint::Set => link.tell(c"SAVEPOINT job"),
            Savepoint::GoBack => {
                link.later.clear();
                link.found.clear();
                link.tell(c"ROLLBACK TO SAVEPOINT job")
            }
            Savepoint::Release => link.tell(c"RELEASE SAVEPOINT job"),
        }
    }

    fn set_durability(&self, durability: Durability) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        link.durability = durability;
        link.deadline = Instant::now() + READ_WITHIN;
        link.set_durability()
    }

    fn execute(&self, statement: &Statement, values: &[Value]) -> Result<usize, Error> {
        let mut link = self.link.borrow_mut();
        link.found.clear();
        let values = parameters(statement, values);
        Ok(link
            .run_last(statement.sql, Form::AsItIs, values)?
            .changed())
    }

    fn insert(&self, statement: &Statement, values: &[Value]) -> Result<i64, Error> {
        let mut link = self.link.borrow_mut();
        link.found.clear();
        let values = parameters(statement, values);
        let rows = link.run_last(statement.sql, Form::Numbered, values)?;
        match row(&rows, 0, 0).value(0)? {
            Value::Integer(number) => Ok(number),
            _ => Err(Error::Internal("a row without a number".into())),
        }
    }

    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        match link.found.get(statement, values) {
            Some(None) => return Ok(()),
            // The first column is the number of the look.
            Some(Some((rows, number))) => return each(&row(rows, number, 1)),
            None => {}
        }
        let values = parameters(statement, values);
        let rows = link.run_last(statement.sql, Form::AsItIs, values)?;
        drop(link);
        (0..rows.len()).try_for_each(|number| each(&row(&rows, number, 0)))
    }

    fn execute_later(&self, statement: &Statement, values: &[Value]) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        // An INSERT makes no look wrong that has not been forgotten; an UPDATE may.
        if !statement.sql.contains("VALUES (") {
            link.found.clear();
        }
        link.later.add(statement, values);
        Ok(())
    }

    fn is_far(&self) -> bool {
        true
    }

    fn look_ahead(&self, ahead: &Ahead) -> Result<Option<Moment>, Error> {
        self.link.borrow_mut().look_ahead(ahead).map(Some)
    }

    fn forget(&self, statement: &Statement, values: &[Value]) {
        self.link.borrow_mut().found.forget(statement, values);
    }

    fn settle(&self) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        let ready = link.take_later()?;
        match ready.is_empty() {
            true => Ok(()),
            false => link.run(&ready).map(drop),
        }
    }

    fn next_ticket_seq(&self) -> Result<Option<i64>, Error> {
        self.link.borrow_mut().next_ticket_seq().map(Some)
    }

    fn renumber(&self) -> Result<(), Error> {
        let renumber = include_str!("../../../sql/postgres/copy_renumber.sql");
        let mut link = self.link.borrow_mut();
        link.run_last(renumber, Form::AsItIs, Vec::new()).map(drop)
    }

    fn was_committed(&self) -> Result<bool, Error> {
        self.link.borrow_mut().was_committed()
    }

    /// It may be shown by a server that others have given up, and its disk alone may have it.
    fn shows_what_lasts(&self) -> bool {
        false
    }

    fn keep_house(&self, _: &CommitQueue) -> Result<(), Error> {
        let mut link = self.link.borrow_mut();
        if Instant::now() < link.next_cleaning {
            return Ok(());
        }
        link.next_cleaning = Instant::now() + CLEAN_EVERY;
        link.begin(false, READ_WITHIN)?;
        link.progress = Progress::Closed;
        let delete = include_str!("../../../sql/postgres/writer_delete_old.sql");
        link.run_last(delete, Form::AsItIs, Vec::new()).map(drop)
    }
}

pub(super) struct RowOf<'r> {
    rows: &'r Rows,
    row: usize,
    /// Its first column.
    first: usize,
}

pub(super) fn row(rows: &Rows, row: usize, first: usize) -> RowOf<'_> {
    RowOf { rows, row, first }
}

impl Row for RowOf<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, Error> {
        let column = self.first + column;
        let bytes = self.rows.get(self.row, column);
        decode(self.rows.type_of(column), bytes)
            .ok_or_else(|| Error::Internal(format!("column {column} is of an unknown type")))
    }
}
