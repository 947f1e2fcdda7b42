//! What the store needs of a database engine, whichever it is.

use std::time::Duration;

use super::{CommitQueue, Durability};
use crate::error::Error;
use crate::model::Timestamp;

/// So many parameters a statement has at most.
const PARAMETERS_MAX: usize = 20;

/// A value that is given to a statement or read from a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    Null,
    Integer(i64),
    Text(&'v str),
    Bytes(&'v [u8]),
}

/// The same, of one's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Owned {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Owned {
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Integer(number) => Value::Integer(*number),
            Owned::Text(text) => Value::Text(text),
            Owned::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value) -> Owned {
        match value {
            Value::Null => Owned::Null,
            Value::Integer(number) => Owned::Integer(number),
            Value::Text(text) => Owned::Text(text.to_owned()),
            Value::Bytes(bytes) => Owned::Bytes(bytes.to_owned()),
        }
    }
}

/// What a transaction is begun for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Access {
    Read,
    Write,
}

/// The steps of a savepoint. There is one at a time.
#[derive(Clone, Copy, Debug)]
pub enum Savepoint {
    Set,
    GoBack,
    Release,
}

/// A SELECT of one row or none, and the values of its parameters.
pub struct Look<'v> {
    pub statement: &'static Statement,
    pub values: Vec<Value<'v>>,
}

/// What the jobs of a transaction are about, see [`super::Scope`].
#[derive(Default)]
pub struct Ahead<'v> {
    pub new_events: bool,
    pub events: Vec<i64>,
    /// Of whose events.
    pub tickets: Vec<&'v [u8; 16]>,
    /// Tickets that may be sold.
    pub sales: usize,
    pub looks: Vec<Look<'v>>,
}

/// When a transaction has come to own its events, by the clock of the database.
pub struct Moment {
    pub now: Timestamp,
    /// The last change of any of them.
    pub last_change: Timestamp,
}

/// A connection to a database. Each returns `StorageUnavailable` for what the world did to the
/// database, and `Internal` for what must be a bug.
pub trait Engine: Send {
    /// `patience`: how long it waits for another program's transaction, or for a far server to answer
    /// all that is asked until its end.
    fn begin(&self, access: Access, patience: Duration) -> Result<(), Error>;

    /// Ends the transaction; what it wrote is on disk then, if its durability is `Full`.
    ///
    /// Errors: also `DiskFailed` and `OutcomeUnknown`, see [`super::CommitQueue`].
    fn commit(&self) -> Result<(), Error>;

    fn rollback(&self) -> Result<(), Error>;

    /// Whether there is a transaction.
    fn is_open(&self) -> bool;

    fn savepoint(&self, step: Savepoint) -> Result<(), Error>;

    fn set_durability(&self, durability: Durability) -> Result<(), Error>;

    /// Runs a statement that changes rows; returns how many.
    fn execute(&self, statement: &Statement, values: &[Value]) -> Result<usize, Error>;

    /// Runs an INSERT of one row; returns the number that the table has given it.
    fn insert(&self, statement: &Statement, values: &[Value]) -> Result<i64, Error>;

    /// Runs a SELECT and hands each of its rows to `each`, whose first error ends it.
    fn query(
        &self,
        statement: &Statement,
        values: &[Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Runs a statement that must change one row, now or at any moment before another that is not left
    /// for later.
    fn execute_later(&self, statement: &Statement, values: &[Value]) -> Result<(), Error> {
        match self.execute(statement, values)? {
            1 => Ok(()),
            rows => Err(Error::Internal(format!("{rows} rows changed, not one"))),
        }
    }

    /// Whether each statement takes a round trip. All that follows is for such an engine.
    fn is_far(&self) -> bool {
        false
    }

    /// First in a transaction: owns its events, and looks for what its jobs will look at.
    fn look_ahead(&self, _: &Ahead) -> Result<Option<Moment>, Error> {
        Ok(None)
    }

    /// What that look has found is no longer so.
    fn forget(&self, _: &Statement, _: &[Value]) {}

    /// Runs what was left for later.
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }

    /// None: the table numbers its rows itself.
    fn next_ticket_seq(&self) -> Result<Option<i64>, Error> {
        Ok(None)
    }

    /// After rows were written with numbers that another table gave them.
    fn renumber(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the transaction before this one, whose COMMIT failed with `OutcomeUnknown`, was
    /// committed after all. Nobody else can change that once this has been told.
    fn was_committed(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// Whether what a snapshot shows is there for good, so that a buyer may be refused for it.
    fn shows_what_lasts(&self) -> bool {
        true
    }

    /// What is to be done every now and then, off the commit path.
    fn keep_house(&self, commits: &CommitQueue) -> Result<(), Error>;

    /// The next three are for an engine whose log is a file that it does not see to by itself.
    fn restart_wal(&self) -> Result<(), Error> {
        Ok(())
    }

    fn empty_wal(&self) -> Result<(), Error> {
        Ok(())
    }

    fn wal_bytes(&self) -> i64 {
        0
    }
}

/// A row of a SELECT's result.
pub trait Row {
    /// The value in that column, counted from 0.
    fn value(&self, column: usize) -> Result<Value<'_>, Error>;
}

/// The text of a statement, and which of its parameters each value of the code is.
pub struct Statement {
    pub sql: &'static str,
    /// Of the value at the same place: its parameter's number, from 1, in the order in which the
    /// text first names them.
    numbers: [u8; PARAMETERS_MAX],
}

impl Statement {
    /// `names` are the parameters in the order in which the code gives their values. In a `const`,
    /// a name that the text lacks, or one of the text's that is not among them, does not compile.
    pub const fn new(sql: &'static str, names: &[&str]) -> Statement {
        let text = sql.as_bytes();
        let mut numbers = [0; PARAMETERS_MAX];
        let mut found = 0;
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                b'-' if at + 1 < text.len() && text[at + 1] == b'-' => at = find(text, at, b'\n'),
                b'\'' => at = find(text, at + 1, b'\''),
                b':' if at + 1 < text.len() && text[at + 1] == b':' => at += 1,
                b':' => {
                    let end = name_end(text, at + 1);
                    let place = position(names, text, at + 1, end);
                    if numbers[place] == 0 {
                        found += 1;
                        numbers[place] = found;
                    }
                    at = end - 1;
                }
                _ => {}
            }
            at += 1;
        }
        assert!(
            found as usize == names.len(),
            "the code gives a value that the statement has no parameter for"
        );
        Statement { sql, numbers }
    }

    /// The numbers of the parameters, for the values in the code's order.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.numbers.iter().map(|number| usize::from(*number))
    }
}

const fn find(text: &[u8], mut at: usize, byte: u8) -> usize {
    while at < text.len() && text[at] != byte {
        at += 1;
    }
    at
}

const fn name_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && (text[at].is_ascii_alphanumeric() || text[at] == b'_') {
        at += 1;
    }
    at
}

const fn position(names: &[&str], text: &[u8], start: usize, end: usize) -> usize {
    let mut place = 0;
    while place < names.len() {
        let name = names[place].as_bytes();
        let mut same = 0;
        while same < name.len() && start + same < end && name[same] == text[start + same] {
            same += 1;
        }
        if same == name.len() && start + same == end {
            return place;
        }
        place += 1;
    }
    panic!("the statement has a parameter that the code gives no value for");
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Value::Integer(time.0)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Value::Text(text)
    }
}

impl<'v, const N: usize> From<&'v [u8; N]> for Value<'v> {
    fn from(bytes: &'v [u8; N]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// What a column can be read as. `None` from `read` means that the value is of another type.
pub trait Column<'v>: Sized {
    fn read(value: Value<'v>) -> Option<Self>;
}

impl Column<'_> for i64 {
    fn read(value: Value) -> Option<i64> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl Column<'_> for Timestamp {
    fn read(value: Value) -> Option<Timestamp> {
        i64::read(value).map(Timestamp)
    }
}

impl<'v> Column<'v> for &'v str {
    fn read(value: Value<'v>) -> Option<&'v str> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Column<'_> for String {
    fn read(value: Value) -> Option<String> {
        <&str>::read(value).map(str::to_owned)
    }
}

impl<const N: usize> Column<'_> for [u8; N] {
    fn read(value: Value) -> Option<[u8; N]> {
        match value {
            Value::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<'v, T: Column<'v>> Column<'v> for Option<T> {
    fn read(value: Value<'v>) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }
}
