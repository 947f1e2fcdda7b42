//! Opening a database: is there a schema, is it ours, or is there room for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::time::Instant;

use uuid::Uuid;

use super::batch::{Found, Later};
use super::libpq::{Fault, Rows};
use super::session::{Servers, Session};
use super::{Link, Postgres, Progress, READ_WITHIN};
use crate::store::sqlite::SCHEMA_VERSION;
use crate::store::{Durability, OpenError};

const SCHEMA: &str = include_str!("../../../sql/postgres/schema.sql");
pub const SCHEMA_LIST: &str = include_str!("../../../sql/postgres/schema_list.sql");

fn refused(e: impl std::fmt::Display) -> OpenError {
    OpenError::Refused(e.to_string())
}

pub(super) fn explain(fault: Fault) -> OpenError {
    OpenError::Refused(fault.into_text())
}

impl Postgres {
    /// Opens the database; makes its schema, if that is wanted and there is none.
    pub fn open(url: &str, may_create: bool) -> Result<Postgres, OpenError> {
        let servers = Servers::parse(url).map_err(refused)?;
        let session = open_session(&servers, may_create)?;
        let mut link = Link {
            servers,
            id: *Uuid::new_v4().as_bytes(),
            session: Some(session),
            durability: Durability::Full,
            progress: Progress::Closed,
            deadline: Instant::now() + READ_WITHIN,
            is_known: false,
            batch: 0,
            unknown: None,
            later: Later::default(),
            found: Found::default(),
            ticket_seqs: VecDeque::new(),
            next_attempt: Instant::now(),
            next_cleaning: Instant::now(),
        };
        link.set_durability().map_err(refused)?;
        Ok(Postgres {
            link: RefCell::new(link),
        })
    }
}

/// A session on a database that is ours.
pub(super) fn open_session(servers: &Servers, may_create: bool) -> Result<Session, OpenError> {
    let deadline = Instant::now() + READ_WITHIN;
    let session = Session::open(servers, deadline).map_err(refused)?;
    let ask = |sql| session.ask(sql, deadline).map_err(explain);
    let text = |rows: &Rows| {
        let bytes = rows.get(0, 0).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    if text(&ask(c"SELECT current_setting('server_encoding')")?) != "UTF8" {
        return Err(refused(
            "its encoding is not UTF8; make it with createdb --encoding UTF8",
        ));
    }
    if is_empty(&session, deadline)? {
        if !may_create {
            return Err(refused("there is no sale in it; give another"));
        }
        create_schema(&session, deadline)?;
    }
    if ask(c"SELECT 1 WHERE to_regclass('lastseat') IS NOT NULL")?.len() == 0 {
        return Err(refused(
            "it has tables of another program; give another database",
        ));
    }
    match text(&ask(c"SELECT version FROM lastseat")?).parse() {
        Ok(1..=SCHEMA_VERSION) => Ok(session),
        Ok(found) => Err(OpenError::NewerSchema { found }),
        Err(_) => Err(refused("its table lastseat says of no version")),
    }
}

/// Whether none of our tables is there. (to_regclass() would remember that there was none.)
fn is_empty(session: &Session, deadline: Instant) -> Result<bool, OpenError> {
    let sql = c"SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
                AND relname IN ('lastseat', 'events', 'tickets', 'ledger')";
    Ok(session.ask(sql, deadline).map_err(explain)?.len() == 0)
}

/// Several processes may start on a new database at once: the one that comes second finds the tables.
fn create_schema(session: &Session, deadline: Instant) -> Result<(), OpenError> {
    let run = |sql: &str| {
        let sql = CString::new(sql).map_err(refused)?;
        session
            .connection
            .run_script(&sql, deadline)
            .map_err(explain)
    };
    run("BEGIN; SELECT pg_advisory_xact_lock(1280525633)")?;
    if is_empty(session, deadline)? {
        run(SCHEMA)?;
        let list = SCHEMA_LIST.trim_end().trim_end_matches(';');
        run(&format!(
            "INSERT INTO lastseat SELECT 1, {SCHEMA_VERSION}, objects FROM ({list}) AS list"
        ))?;
    }
    run("COMMIT")
}
