//! What a full file costs: the same sale with no, one and five million tickets sold before, or with
//! up to so many million as GROWTH says (`GROWTH=20`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::load::{self, Seen};
use super::scenarios::{EVENT_SPOTS, RATE_LIMIT, target};
use super::{requests, table};
use crate::support::fill::{self, Sold};
use crate::support::{Server, ServerBuilder, signal};

const MILLIONS: [u32; 4] = [0, 1, 5, 20];
const MILLIONS_BY_DEFAULT: u32 = 5;
/// What a ticket takes in the file, and for a while beside it when the indexes are sorted.
const DISK_A_TICKET: u64 = 600;
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
    let sizes = sizes(folder.path());
    let start = |tickets| Grown::start(folder.path(), tickets);
    let mut all: Vec<Grown> = sizes.into_iter().map(start).collect();
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

/// How many tickets the files have, as far as GROWTH and the disk let them.
fn sizes(folder: &Path) -> Vec<u32> {
    let most = match std::env::var("GROWTH") {
        Ok(millions) if !millions.is_empty() => millions.parse().expect("a number of millions"),
        _ => MILLIONS_BY_DEFAULT,
    };
    let mut millions: Vec<u32> = MILLIONS.into_iter().filter(|n| *n < most).collect();
    millions.push(most);
    let disk = statvfs(folder).expect("a filesystem");
    let mut free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    let tickets = millions.into_iter().map(|n| n * 1_000_000);
    let fits = |tickets: &u32| {
        let takes = u64::from(*tickets) * DISK_A_TICKET;
        let fits = takes < free;
        if fits {
            free -= takes;
        } else {
            println!("growth: no disk space for {tickets} tickets ({takes} bytes), left out");
        }
        fits
    };
    tickets.filter(fits).collect()
}

impl Grown {
    fn start(folder: &Path, tickets: u32) -> Grown {
        let db = folder.join(format!("{tickets}.db"));
        stop(builder(&db).start());
        eprint!("\r\x1b[Kmaking a file of {tickets} tickets");
        let sold = Sold {
            spots: EVENT_SPOTS,
            tickets: EVENT_SPOTS,
            with_keys: false,
        };
        fill::tickets(&db, &vec![sold; (tickets / EVENT_SPOTS) as usize]);
        let started = |_| {
            let start = Instant::now();
            let server = builder(&db).start();
            server.get("/healthz").expect_status(200);
            let took = start.elapsed();
            stop(server);
            took
        };
        let starts = (0..STARTS).map(started).collect();
        // (Without a keeper, which would look after a server that is stopped between its turns.)
        let server = builder(&db).no_keeper().start();
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
        let buy = |_| move || Some(requests::buyer(event));
        let seen = load::run(target(&self.server), clients, time, buy);
        signal(pid, "STOP");
        self.seen.push(seen);
    }
}

fn builder(db: &Path) -> ServerBuilder {
    Server::builder()
        .db(db)
        .args(["--rate-limit", RATE_LIMIT, "--hold", "1h"])
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
            table::median(grown.seen.iter().map(|s| s.server_mib)),
            table::median(grown.starts.iter().map(|s| s.as_secs_f64() * 1_000.0)),
        );
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_lastseat"));
    println!("the program itself: {:.1} MB\n", megabytes(binary));
}

fn megabytes(file: &Path) -> f64 {
    file.metadata().map_or(0.0, |m| m.len() as f64 / 1e6)
}
