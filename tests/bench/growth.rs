//! What a full file costs: the same sale with no, one and five million tickets sold before.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::load::{self, Seen};
use super::scenarios::{EVENT_SPOTS, RATE_LIMIT, fresh_email, registration, signal, target};
use super::{load::Ask, table};
use crate::support::Server;

const TICKETS: [u32; 3] = [0, 1_000_000, 5_000_000];
const STARTS: usize = 5;

/// A server on a file with so many tickets in it.
struct Grown {
    tickets: u32,
    db: PathBuf,
    server: Server,
    event: i64,
    starts: Vec<Duration>,
    seen: Vec<Seen>,
}

/// Prints a table; returns how many requests failed.
pub fn measure(clients: usize, rounds: usize, time: Duration) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |tickets| Grown::start(folder.path(), tickets);
    let mut all: Vec<Grown> = TICKETS.into_iter().map(start).collect();
    for round in 1..=rounds {
        for grown in &mut all {
            let tickets = grown.tickets;
            eprint!("\r\x1b[Kround {round} of {rounds}: {tickets} tickets sold before");
            grown.sell(clients, time);
        }
    }
    eprint!("\r\x1b[K");
    print(&all);
    all.iter()
        .flat_map(|g| &g.seen)
        .map(|seen| seen.errors)
        .sum()
}

impl Grown {
    fn start(folder: &Path, tickets: u32) -> Grown {
        let db = folder.join(format!("{tickets}.db"));
        stop(serve(&db));
        eprint!("\r\x1b[Kmaking a file of {tickets} tickets");
        fill(&db, tickets);
        let start = || {
            let start = Instant::now();
            let server = serve(&db);
            server.get("/healthz").expect_status(200);
            (server, start.elapsed())
        };
        let started = |_| {
            let (server, took) = start();
            stop(server);
            took
        };
        let starts = (0..STARTS).map(started).collect();
        let server = start().0;
        let event = server.create_event("bench", EVENT_SPOTS);
        signal(server.server_pid(), "STOP");
        Grown {
            tickets,
            db,
            server,
            event,
            starts,
            seen: Vec::new(),
        }
    }

    fn sell(&mut self, clients: usize, time: Duration) {
        let (pid, event) = (self.server.server_pid(), self.event);
        signal(pid, "CONT");
        let ask = || {
            Some(Ask {
                bytes: registration(event, &fresh_email(), None),
                expected: 201,
            })
        };
        let seen = load::run(target(&self.server), clients, time, |_| ask);
        signal(pid, "STOP");
        self.seen.push(seen);
    }
}

fn serve(db: &Path) -> Server {
    Server::builder()
        .db(db)
        .args(["--rate-limit", RATE_LIMIT, "--hold", "1h"])
        .start()
}

fn stop(server: Server) {
    signal(server.pid(), "TERM");
    server.wait(Duration::from_secs(6));
}

fn print(all: &[Grown]) {
    println!("growth: register, durability full, on a file that has sold so much before");
    println!(
        "ratio: to the empty file in the same round, median (min-max); start: to the first answer"
    );
    println!(
        "{:<14} {:>7} {:>6} {:>11} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "tickets",
        "req/s",
        "ratio",
        "",
        "p99 ms",
        "slowest",
        "file MB",
        "WAL MB",
        "RSS MiB",
        "start ms"
    );
    let empty: Vec<f64> = all[0].seen.iter().map(Seen::per_second).collect();
    for grown in all {
        let rates: Vec<f64> = grown.seen.iter().map(Seen::per_second).collect();
        let ratios: Vec<f64> = rates.iter().zip(&empty).map(|(a, b)| a / b).collect();
        let (low, high) = table::range(&ratios);
        let slowest = grown.seen.iter().map(|s| s.percentile_ms(1.0));
        println!(
            "{:<14} {:>7.0} {:>6.2} {:>5.2}-{:<5.2} {:>7.1} {:>8.1} {:>8.0} {:>8.1} {:>8.1} {:>8.0}",
            grown.tickets,
            table::median(rates.into_iter()),
            table::median(ratios.iter().copied()),
            low,
            high,
            table::median(grown.seen.iter().map(|s| s.percentile_ms(0.99))),
            slowest.fold(0.0, f64::max),
            megabytes(&grown.db),
            megabytes(&grown.db.with_extension("db-wal")),
            resident_mib(grown.server.server_pid()),
            table::median(grown.starts.iter().map(|s| s.as_secs_f64() * 1_000.0)),
        );
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_lastseat"));
    println!("the program itself: {:.1} MB\n", megabytes(binary));
}

fn megabytes(file: &Path) -> f64 {
    file.metadata().map_or(0.0, |m| m.len() as f64 / 1e6)
}

/// Of the process that serves; its keeper has a few more.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    kib / 1_024.0
}

/// Sells out events of a million spots each, all held for an hour, with their ledger. Triggers and
/// indexes are put back afterwards: a sorted index is quicker made than kept.
fn fill(path: &Path, tickets: u32) {
    let db = Connection::open(path).expect("opens");
    let guards =
        "FROM sqlite_schema WHERE sql IS NOT NULL AND (type = 'trigger' OR type = 'index')";
    let list = |column: &str| -> Vec<String> {
        let sql = format!("SELECT {column} {guards}");
        let mut statement = db.prepare(&sql).expect("prepares");
        let rows = statement.query_map([], |row| row.get(0)).expect("queries");
        rows.map(|row| row.expect("a text")).collect()
    };
    let (made, dropped) = (list("sql"), list("'DROP ' || type || ' ' || name"));
    let run = |sql: &str| db.execute_batch(sql).expect("fills");
    run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000");
    run(&dropped.join(";"));
    for event in 1..=tickets / EVENT_SPOTS {
        run(&format!(
            "BEGIN;
             INSERT INTO events (id, name, total_spots, available_spots, hold_ms, created_at)
                 VALUES ({event}, 'sold before', {EVENT_SPOTS}, 0, 3600000, unixepoch() * 1000);
             INSERT INTO ledger (at, event_id, ticket_id, kind, spots)
                 VALUES (unixepoch() * 1000, {event}, NULL, 'created', {EVENT_SPOTS});
             WITH RECURSIVE n(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM n LIMIT {EVENT_SPOTS})
             INSERT INTO tickets (ticket_id, event_id, email, status, created_at, expires_at)
                 SELECT printf('0190%04x-%04x-7000-8000-%012x', {event}, n >> 16, n), {event},
                        printf('%016x@example.com', random()), 'reserved',
                        unixepoch() * 1000, unixepoch() * 1000 + 3600000 FROM n;
             INSERT INTO ledger (at, event_id, ticket_id, kind, spots)
                 SELECT created_at, event_id, ticket_id, 'reserved', -1 FROM tickets
                 WHERE event_id = {event};
             COMMIT"
        ));
    }
    run(&made.join(";"));
    run("PRAGMA journal_mode = WAL");
    // Or else the first sales would wait until all of that is on disk.
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .expect("flushes");
}
