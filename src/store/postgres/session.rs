//! A session: a connection to the server that may write, and the statements that it has prepared.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::libpq::{Command, Connection, Fault, Rows, TypeId, parse_url};
use super::sql::{Form, Parameter, text_of};

/// A server that does not answer within this is passed over for the next.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Counts the times when a connection was lost: the other connections of the process may be to a
/// server that others no longer take for the one that writes, and look again.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Statements are planned once, along their indexes, whatever the tables held at that moment. (Bitmaps
/// are off because of an empty table: an event's last ledger row was looked for among all of them.) A
/// server that is gone is noticed also by who waits for nothing but its answer.
const SETTINGS: &CStr = c"SELECT set_config('plan_cache_mode', 'force_generic_plan', false), \
    set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), \
    set_config('enable_mergejoin', 'off', false), set_config('enable_bitmapscan', 'off', false), \
    set_config('jit', 'off', false), \
    set_config('client_min_messages', 'warning', false), \
    set_config('idle_in_transaction_session_timeout', '5s', false)";
/// Which of several servers that would all take writes is the right one: one that has been replaced
/// and does not know it is on an older timeline.
const TIMELINE: &CStr = c"SELECT CASE WHEN pg_is_in_recovery() THEN NULL \
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END";
const IS_STANDBY: &CStr = c"SELECT pg_is_in_recovery()";

/// A connection string's options, for one server.
type Options = Vec<(CString, CString)>;

/// The servers that a URL names.
pub struct Servers(Vec<Options>);

impl Servers {
    pub fn parse(url: &str) -> Result<Servers, String> {
        let options = parse_url(url)?;
        let list = |name: &str| -> Vec<String> {
            let is = |(keyword, _): &&(CString, CString)| keyword.to_bytes() == name.as_bytes();
            let found = options
                .iter()
                .find(is)
                .map(|(_, value)| value.to_string_lossy());
            let values = found
                .as_deref()
                .map(|value| value.split(',').map(str::to_owned).collect());
            values.unwrap_or_default()
        };
        let (hosts, ports) = (list("host"), list("port"));
        let own = ["host", "port", "target_session_attrs", "load_balance_hosts"];
        let shared = options
            .iter()
            .filter(|(keyword, _)| !own.iter().any(|name| name.as_bytes() == keyword.to_bytes()));
        let mut shared: Options = shared.cloned().collect();
        // Beside the deadlines of what is asked: a server that vanished between two questions.
        for (keyword, value) in [
            (c"keepalives_idle", c"2"),
            (c"keepalives_interval", c"1"),
            (c"keepalives_count", c"3"),
            (c"tcp_user_timeout", c"5000"),
        ] {
            if !shared.iter().any(|(known, _)| **known == *keyword) {
                shared.push((keyword.to_owned(), value.to_owned()));
            }
        }
        let server = |n: usize| {
            let mut options = shared.clone();
            let port = ports.get(n).or(ports.last());
            for (keyword, value) in [(c"host", hosts.get(n)), (c"port", port)] {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    let value = CString::new(value.as_str()).map_err(|e| e.to_string())?;
                    options.push((keyword.to_owned(), value));
                }
            }
            Ok(options)
        };
        let servers: Result<_, String> = (0..hosts.len().max(1)).map(server).collect();
        Ok(Servers(servers?))
    }

    /// Of the servers that take writes, the one on the newest timeline.
    fn connect(&self, deadline: Instant) -> Result<Connection, String> {
        let mut best: Option<(i64, Connection)> = None;
        let mut why = "there is no server that takes writes".to_owned();
        for options in &self.0 {
            let until = deadline.min(Instant::now() + CONNECT_WITHIN);
            let opened = Connection::open(options, until).and_then(|connection| {
                let timeline = self.timeline(&connection, until)?;
                Ok((timeline, connection))
            });
            match opened {
                Ok((Some(timeline), connection)) => {
                    if best.as_ref().is_none_or(|(known, _)| timeline > *known) {
                        best = Some((timeline, connection));
                    }
                }
                Ok((None, _)) => {}
                Err(e) => why = e,
            }
        }
        best.map(|(_, connection)| connection).ok_or(why)
    }

    /// None: it takes no writes.
    fn timeline(&self, connection: &Connection, deadline: Instant) -> Result<Option<i64>, String> {
        let ask = |sql| {
            let rows = connection.exchange(&[Command::Text { sql }], deadline);
            rows.map(|rows| {
                rows[0]
                    .get(0, 0)
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            })
        };
        match self.0.len() {
            1 => {}
            _ => match ask(TIMELINE) {
                Ok(timeline) => return Ok(timeline.and_then(|text| text.parse().ok())),
                // Not every relation of PostgreSQL has timelines.
                Err(Fault::Refused { .. }) => {}
                Err(Fault::Lost(e)) => return Err(e),
            },
        }
        match ask(IS_STANDBY) {
            Ok(is_standby) => Ok((is_standby.as_deref() != Some("t")).then_some(0)),
            Err(fault) => Err(fault.into_text()),
        }
    }
}

pub struct Session {
    pub connection: Connection,
    prepared: HashMap<(usize, Form), Arc<Prepared>>,
    lost_before: u64,
}

pub struct Prepared {
    name: CString,
    pub types: Vec<TypeId>,
}

impl Prepared {
    pub fn run<'p>(&'p self, parameters: &'p [Parameter]) -> Command<'p> {
        Command::Run {
            name: &self.name,
            parameters,
        }
    }
}

impl Session {
    pub fn open(servers: &Servers, deadline: Instant) -> Result<Session, String> {
        let lost_before = LOST.load(Ordering::Relaxed);
        let session = Session {
            connection: servers.connect(deadline)?,
            prepared: HashMap::new(),
            lost_before,
        };
        let set = session.ask(SETTINGS, deadline);
        set.map_err(Fault::into_text)?;
        Ok(session)
    }

    /// Whether it may be used once more.
    pub fn is_good(&self) -> bool {
        self.lost_before == LOST.load(Ordering::Relaxed) && self.connection.is_alive()
    }

    /// To be said of a session that is given up: every other is opened again before its next use.
    pub fn note_lost() {
        LOST.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ask(&self, sql: &CStr, deadline: Instant) -> Result<Rows, Fault> {
        let mut rows = self
            .connection
            .exchange(&[Command::Text { sql }], deadline)?;
        rows.pop().ok_or_else(|| Fault::Lost("no result".into()))
    }

    /// The statement, prepared in that form.
    pub fn prepare(
        &mut self,
        sql: &'static str,
        form: Form,
        deadline: Instant,
    ) -> Result<Arc<Prepared>, Fault> {
        // A text has an address of its own, and is quicker found by it.
        let key = (sql.as_ptr() as usize, form);
        if let Some(known) = self.prepared.get(&key) {
            return Ok(known.clone());
        }
        let types = match form {
            Form::Many => self.prepare(sql, Form::AsItIs, deadline)?.types.clone(),
            _ => Vec::new(),
        };
        let text = CString::new(text_of(sql, form, &types)).expect("no statement has a 0 in it");
        let name = CString::new(format!("s{}", self.prepared.len())).expect("no 0");
        let commands = [
            Command::Prepare {
                name: &name,
                sql: &text,
            },
            Command::Describe { name: &name },
        ];
        let described = self.connection.exchange(&commands, deadline)?;
        let types = match form {
            Form::Many => types,
            _ => described[1].parameter_types(),
        };
        let prepared = Arc::new(Prepared { name, types });
        self.prepared.insert(key, prepared.clone());
        Ok(prepared)
    }
}
