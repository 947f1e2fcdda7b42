//! A sale from one database into another, of whichever engines.

use std::time::Duration;

use super::db::Db;
use super::engine::{Engine, Owned, Statement, Value};
use super::location::{Location, OpenError};
use crate::error::Error;

const ROWS_AT_A_TIME: i64 = 5_000;
/// All of it is one transaction.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Why there is no copy. Nothing was written in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot open {0}: {1}")]
    Open(String, OpenError),
    #[error("there is a sale in {0} already; give a database that has none")]
    NotEmpty(String),
    #[error("{0}")]
    Failed(#[from] Error),
}

/// A table's rows in the order of a number, and how one is written.
struct Table {
    name: &'static str,
    /// The number starts anew with each event.
    is_of_event: bool,
    /// The number, then the columns in the order of `insert`.
    list: Statement,
    insert: Statement,
}

/// Both statements, of one list of columns. `$number` is what a table is read in the order of.
macro_rules! table {
    ($name:ident, $where:literal, $number:literal, $given:tt, [$first:ident $(, $column:ident)*]) => {
        Table {
            name: stringify!($name),
            is_of_event: $given.len() == 3,
            list: Statement::new(
                concat!(
                    "SELECT ", $number, ", ", stringify!($first) $(, ", ", stringify!($column))*,
                    " FROM ", stringify!($name), " WHERE ", $where, $number, " > :after",
                    " ORDER BY ", $number, " LIMIT :limit"
                ),
                &$given,
            ),
            insert: Statement::new(
                concat!(
                    "INSERT INTO ", stringify!($name),
                    " (", stringify!($first) $(, ", ", stringify!($column))*,
                    ") VALUES (:", stringify!($first) $(, ", :", stringify!($column))*, ")"
                ),
                &[stringify!($first) $(, stringify!($column))*],
            ),
        }
    };
    ($name:ident by $number:literal: $columns:tt) => {
        table!($name, "", $number, ["after", "limit"], $columns)
    };
    ($name:ident of an event by $number:literal: $columns:tt) => {
        table!($name, "event_id = :event_id AND ", $number, ["event_id", "after", "limit"], $columns)
    };
}

static TABLES: [Table; 7] = [
    table!(api_keys by "id": [id, key_sha256, role, name, created_at, revoked_at]),
    table!(events by "id": [id, name, total_spots, available_spots, status, changes, starts_at, sales_open_at, sales_close_at, hold_ms, created_at, owner_key_id, party_max, hold_max_ms, public_sale, waiting, waiting_max, joined, payment_url]),
    table!(tickets by "seq": [seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at, confirmed_at, cancelled_at, cancel_reason, checked_in_at, spots, checked_in_spots, payment_ref, place, offered_at]),
    table!(idempotency_keys by "seq": [seq, key_digest, request, body, event_id, ticket_seq]),
    table!(ledger of an event by "n": [event_id, n, at, kind, ticket_seq, spots, available_spots, party, payment_ref, waiting]),
    table!(line_blocks of an event by "block + 1": [event_id, block, waiting]),
    table!(sales_windows of an event by "n": [event_id, n, sales_open_at, sales_close_at]),
];

/// Copies one snapshot of `from` into `to`, which has no sale. `progress` is told the table at work
/// and how many rows it has had. Returns the rows of all tables.
pub fn copy(
    from: &Location,
    to: &Location,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<u64, CopyError> {
    let source = Db::open_existing(from).map_err(|e| CopyError::Open(from.to_string(), e))?;
    let target = Db::open(to).map_err(|e| CopyError::Open(to.to_string(), e))?;
    let snapshot = source.begin_read(PATIENCE)?;
    let transaction = target.begin_write(PATIENCE)?;
    if count(transaction.engine())? > 0 {
        return Err(CopyError::NotEmpty(to.to_string()));
    }
    let mut rows = 0;
    let mut events = Vec::new();
    for table in &TABLES {
        let mut copied = 0;
        let parts = match table.is_of_event {
            true => events.iter().copied().map(Some).collect(),
            false => vec![None],
        };
        for event in parts {
            copy_part(
                table,
                event,
                (snapshot.engine(), transaction.engine()),
                &mut |number| {
                    copied += 1;
                    if table.name == "events" {
                        events.push(number);
                    }
                    if copied % 1_000 == 0 {
                        progress(table.name, copied);
                    }
                },
            )?;
        }
        rows += copied;
    }
    transaction.engine().renumber()?;
    transaction.commit()?;
    Ok(rows)
}

fn copy_part(
    table: &Table,
    event: Option<i64>,
    (from, to): (&dyn Engine, &dyn Engine),
    each: &mut dyn FnMut(i64),
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let mut page: Vec<Vec<Owned>> = Vec::new();
        let values = [after, ROWS_AT_A_TIME].map(Value::Integer);
        let values: Vec<Value> = event
            .map(Value::Integer)
            .into_iter()
            .chain(values)
            .collect();
        let columns = table
            .insert
            .numbers()
            .take_while(|number| *number > 0)
            .count();
        from.query(&table.list, &values, &mut |row| {
            let column = |n| row.value(n).map(Owned::from);
            page.push((0..=columns).map(column).collect::<Result<_, _>>()?);
            Ok(())
        })?;
        for row in &page {
            let values: Vec<Value> = row.iter().map(Owned::as_value).collect();
            to.execute_later(&table.insert, &values[1..])?;
            if let Value::Integer(number) = values[0] {
                after = number;
                each(number);
            }
        }
        to.settle()?;
        if (page.len() as i64) < ROWS_AT_A_TIME {
            return Ok(());
        }
    }
}

fn count(engine: &dyn Engine) -> Result<i64, Error> {
    static COUNT: Statement = Statement::new(include_str!("../../sql/copy_count.sql"), &[]);
    let mut count = 0;
    engine.query(&COUNT, &[], &mut |row| {
        if let Value::Integer(rows) = row.value(0)? {
            count = rows;
        }
        Ok(())
    })?;
    Ok(count)
}
