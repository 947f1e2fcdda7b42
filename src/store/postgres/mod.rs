//! The only place that knows libpq: a PostgreSQL database, perhaps on several servers of which one
//! takes writes at a time.
//!
//! A transaction is READ COMMITTED, and owns the rows of its events from its first statement on
//! (`look_ahead`), so that whatever it looks at afterwards stays as it is. Statements travel in
//! groups: BEGIN with the first, COMMIT with the last, and a batch of sales takes two round trips.
//!
//! Each transaction that writes leaves its number in the writer's own row of `writers`. If the
//! connection is lost in COMMIT, that row tells on the next one whether it was made: to read it for
//! update waits for a transaction that is still at it, and afterwards nobody else can decide it.

mod audit;
mod batch;
mod libpq;
mod open;
mod session;
mod sql;
mod statements;

pub use audit::PostgresAudit;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Durability;
use super::engine::Moment;
use crate::error::Error;
use batch::{Found, Later};
use libpq::{Command, Fault, Rows};
use session::{Prepared, Servers, Session};
use sql::{Form, Parameter};

/// No read takes longer than this.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// After a connection could not be made: until then nobody is kept waiting by another attempt.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// One thread's connection.
pub struct Postgres {
    link: RefCell<Link>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    /// There is no transaction.
    Closed,
    /// There will be one with the next statement.
    Begun {
        is_write: bool,
    },
    Open {
        is_write: bool,
    },
}

struct Link {
    servers: Servers,
    /// Whose row of `writers` is this connection's.
    id: [u8; 16],
    /// Whether that row is there.
    is_known: bool,
    session: Option<Session>,
    durability: Durability,
    progress: Progress,
    /// Of the transaction, or of the one statement.
    deadline: Instant,
    /// The transaction's number, if it writes.
    batch: i64,
    /// The number of one of which nobody knows whether it was committed.
    unknown: Option<i64>,
    later: Later,
    found: Found,
    ticket_seqs: VecDeque<i64>,
    next_attempt: Instant,
    next_cleaning: Instant,
}

/// A statement on its way.
type Ready = (Arc<Prepared>, Vec<Parameter>);

impl Link {
    fn session(&mut self) -> Result<&mut Session, Error> {
        let lost = || Error::StorageUnavailable("there is no connection to PostgreSQL".into());
        self.session.as_mut().ok_or_else(lost)
    }

    fn begin(&mut self, is_write: bool, within: Duration) -> Result<(), Error> {
        self.deadline = Instant::now() + within;
        if !self.session.as_ref().is_some_and(Session::is_good) {
            self.connect()?;
        }
        if is_write {
            self.introduce()?;
            self.batch += 1;
        }
        self.progress = Progress::Begun { is_write };
        Ok(())
    }

    fn connect(&mut self) -> Result<(), Error> {
        self.give_up();
        let unreachable =
            |e| Error::StorageUnavailable(format!("cannot connect to PostgreSQL: {e}"));
        if Instant::now() < self.next_attempt {
            return Err(unreachable("it was just tried".to_owned()));
        }
        let opened = Session::open(&self.servers, self.deadline);
        if opened.is_err() {
            self.next_attempt = Instant::now() + CONNECT_PAUSE;
        }
        self.session = Some(opened.map_err(unreachable)?);
        self.set_durability()
    }

    fn set_durability(&mut self) -> Result<(), Error> {
        let set = match self.durability {
            Durability::Full => {
                c"SELECT set_config('synchronous_commit', 'on', false)
                  WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
            }
            Durability::Normal => c"SELECT set_config('synchronous_commit', 'off', false)",
        };
        self.tell(set)
    }

    /// Before its first transaction a writer has its row.
    fn introduce(&mut self) -> Result<(), Error> {
        if !self.is_known {
            let insert = include_str!("../../../sql/postgres/writer_insert.sql");
            self.run_last(insert, Form::AsItIs, vec![Some(self.id.to_vec())])?;
            self.is_known = true;
        }
        Ok(())
    }

    /// Nothing of the transaction is left, nor of the connection.
    fn give_up(&mut self) {
        if self.session.take().is_some() {
            Session::note_lost();
        }
        self.end();
        self.ticket_seqs.clear();
        self.is_known = false;
    }

    fn end(&mut self) {
        self.progress = Progress::Closed;
        self.later.clear();
        self.found.clear();
    }

    /// What came instead of a result, and what it means for the connection.
    fn failed(&mut self, fault: Fault) -> Error {
        match fault {
            Fault::Lost(why) => {
                self.give_up();
                Error::StorageUnavailable(format!("the connection to PostgreSQL was lost: {why}"))
            }
            Fault::Refused { state, message } => {
                // BEGIN came before, and is not what is refused.
                if let Progress::Begun { is_write } = self.progress {
                    self.progress = Progress::Open { is_write };
                }
                // It takes writes no longer.
                if state == "25006" {
                    self.give_up();
                }
                explain(&state, &message)
            }
        }
    }

    fn prepare(&mut self, sql: &'static str, form: Form) -> Result<Arc<Prepared>, Error> {
        let deadline = self.deadline;
        let prepared = self.session()?.prepare(sql, form, deadline);
        prepared.map_err(|fault| self.failed(fault))
    }

    /// Sends them all together, BEGIN before them if it is time, and returns the result of each.
    fn exchange(&mut self, ready: &[Ready], last: Option<&CStr>) -> Result<Vec<Rows>, Fault> {
        let begin = match self.progress {
            Progress::Begun { is_write: true } => Some(c"BEGIN"),
            Progress::Begun { is_write: false } => {
                Some(c"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
            _ => None,
        };
        let text = |sql| Command::Text { sql };
        let statements = ready
            .iter()
            .map(|(prepared, parameters)| prepared.run(parameters));
        let commands: Vec<Command> = begin
            .map(text)
            .into_iter()
            .chain(statements)
            .chain(last.map(text))
            .collect();
        let Some(session) = &self.session else {
            return Err(Fault::Lost("there is none".into()));
        };
        let mut results = session.connection.exchange(&commands, self.deadline)?;
        if let Progress::Begun { is_write } = self.progress {
            self.progress = Progress::Open { is_write };
            results.remove(0);
        }
        Ok(results)
    }

    fn run(&mut self, ready: &[Ready]) -> Result<Vec<Rows>, Error> {
        self.exchange(ready, None)
            .map_err(|fault| self.failed(fault))
    }

    /// For a text without parameters or result.
    fn tell(&mut self, sql: &CStr) -> Result<(), Error> {
        match self.exchange(&[], Some(sql)) {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    /// What was left for later, and then this statement; returns its result.
    fn run_last(
        &mut self,
        sql: &'static str,
        form: Form,
        parameters: Vec<Parameter>,
    ) -> Result<Rows, Error> {
        let mut ready = self.take_later()?;
        ready.push((self.prepare(sql, form)?, parameters));
        let mut results = self.run(&ready)?;
        results
            .pop()
            .ok_or_else(|| Error::Internal("a statement without a result".into()))
    }

    fn commit(&mut self) -> Result<(), Error> {
        match self.progress {
            Progress::Closed | Progress::Begun { .. } => {
                self.end();
                Ok(())
            }
            Progress::Open { is_write: false } => {
                let (sql, deadline) = (c"COMMIT", self.deadline);
                let sent = self
                    .session()?
                    .connection
                    .send_off(Command::Text { sql }, deadline);
                self.end();
                if sent.is_err() {
                    self.give_up();
                }
                Ok(())
            }
            Progress::Open { is_write: true } => self.commit_writes(),
        }
    }

    /// Every transaction writes at least its number. So an answer that comes of looking alone stands
    /// on as many disks as a sale does.
    fn commit_writes(&mut self) -> Result<(), Error> {
        let mut ready = self.take_later()?;
        let update = include_str!("../../../sql/postgres/writer_update.sql");
        let number = Some(self.batch.to_be_bytes().to_vec());
        let parameters = vec![number, Some(self.id.to_vec())];
        ready.push((self.prepare(update, Form::Checked)?, parameters));
        self.session()?.connection.take_warning();
        let result = self.exchange(&ready, Some(c"COMMIT"));
        let why = match result {
            Err(fault @ Fault::Refused { .. }) => {
                let failed = self.failed(fault);
                self.rollback();
                return Err(failed);
            }
            Err(Fault::Lost(why)) => Some(why),
            // It says so where there was nothing left to commit.
            Ok(results) if results.last().is_none_or(|rows| rows.tag() != "COMMIT") => {
                self.end();
                return Err(Error::Internal("COMMIT found a failed transaction".into()));
            }
            // A COMMIT that warns was made on this server alone.
            Ok(_) => self.session()?.connection.take_warning(),
        };
        match why {
            None => {
                self.end();
                Ok(())
            }
            Some(why) => {
                self.unknown = Some(self.batch);
                self.give_up();
                Err(Error::OutcomeUnknown(why))
            }
        }
    }

    fn rollback(&mut self) {
        if matches!(self.progress, Progress::Open { .. }) {
            self.later.clear();
            // Should that fail, so does the connection.
            let _ = self.tell(c"ROLLBACK");
        }
        self.ticket_seqs.clear();
        self.end();
    }

    fn was_committed(&mut self) -> Result<bool, Error> {
        let Some(unknown) = self.unknown else {
            return Ok(false);
        };
        let find = include_str!("../../../sql/postgres/writer_find.sql");
        let rows = self.run_last(find, Form::AsItIs, vec![Some(self.id.to_vec())])?;
        let found = rows
            .get(0, 0)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i64::from_be_bytes);
        self.unknown = None;
        Ok(found == Some(unknown))
    }
}

/// What a refused statement was refused for, see PostgreSQL's list of error codes.
fn explain(state: &str, message: &str) -> Error {
    let text = format!("{message} ({state})");
    match state {
        // Serialization, deadlock, a unique index.
        "40001" | "40P01" | "23505" => Error::Conflict(text),
        "25006" | "42501" => Error::StorageUnavailable(text),
        _ => match &state[..state.len().min(2)] {
            // Connections, resources, an operator, the system, damage, authorization.
            "08" | "53" | "57" | "58" | "XX" | "28" | "3D" => Error::StorageUnavailable(text),
            _ => Error::Internal(text),
        },
    }
}
