//! Whether anybody waits much longer than the others: clients few and many, beside those of bare
//! tiny_http, which shows what the machine does to them; four server processes on one file; buyers
//! while the reaper sweeps up 100,000 expired holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::load::{self, Ask, Seen, Target};
use super::scenarios::{EVENT_SPOTS, target};
use super::{requests, table, yardstick};
use crate::support::{Server, fill};

const CLIENTS: [usize; 4] = [4, 16, 64, 128];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);
const PROCESSES: usize = 4;
const PROCESSES_TIME: Duration = Duration::from_secs(4);
const EXPIRED_HOLDS: i64 = 100_000;
const SWEPT_WITHIN: Duration = Duration::from_secs(60);

/// Measures and prints the parts that are wanted; returns how many answers were wrong.
pub fn measure(wanted: impl Fn(&str) -> bool) -> u64 {
    type Measure = fn() -> u64;
    let parts: [(&str, Measure); 3] = [
        ("fairness: clients", clients),
        ("fairness: processes", processes),
        ("fairness: sweep", sweep),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(name, _)| wanted(name)).collect();
    if parts.is_empty() {
        return 0;
    }
    println!("\nfairness: registrations, reads and sold-out answers mixed; latencies in ms");
    println!(
        "{:<34} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7} {:>6}",
        "", "req/s", "p99", "first", "later", "later/p99", "fewest", "errors"
    );
    parts.into_iter().map(|(_, measure)| measure()).sum()
}

/// Rounds of one kind: the median p99, the slowest request that was the first of a connection and
/// the slowest of all others, and how many answers the client that got fewest had, as a share of
/// what each would have had.
fn print(name: &str, rounds: &[Seen]) {
    let median = |value: fn(&Seen) -> f64| table::median(rounds.iter().map(value));
    let p99 = median(|seen| seen.percentile_ms(0.99));
    let slowest_ms = |slowest_us: fn(&Seen) -> u32| {
        f64::from(rounds.iter().map(slowest_us).max().unwrap_or(0)) / 1_000.0
    };
    let first = slowest_ms(|seen| seen.slowest_first_us);
    let later = slowest_ms(|seen| seen.slowest_later_us);
    println!(
        "{name:<34} {:>7.0} {p99:>7.2} {first:>7.1} {later:>7.1} {:>9.1} {:>7.2} {:>6}",
        median(Seen::per_second),
        later / p99,
        median(Seen::fewest_share),
        errors(rounds)
    );
}

fn errors(rounds: &[Seen]) -> u64 {
    rounds.iter().map(|seen| seen.errors).sum()
}

/// Of five requests three buy, one looks, one comes too late.
fn mixed(event: i64, sold_out: i64) -> impl FnMut() -> Option<Ask> + Send {
    let mut n = 0_u64;
    move || {
        n += 1;
        Some(match n % 5 {
            0 => requests::show(event),
            1 => requests::late_buyer(sold_out),
            _ => requests::buyer(event),
        })
    }
}

/// One event on sale, one without a free spot.
fn events(server: &Server) -> (i64, i64) {
    let sold_out = server.create_event("sold out", 1);
    server
        .register(sold_out, "first@example.com")
        .expect_status(201);
    (server.create_event("on sale", EVENT_SPOTS), sold_out)
}

fn clients() -> u64 {
    let server = Server::builder().rate_limit_off().start();
    let (target, (event, sold_out)) = (target(&server), events(&server));
    let bare = yardstick::scenario();
    let mut seen = CLIENTS.map(|_| (Vec::new(), Vec::new()));
    for round in 1..=ROUNDS {
        for (clients, (seen, seen_bare)) in CLIENTS.into_iter().zip(&mut seen) {
            eprint!("\r\x1b[Kfairness, round {round} of {ROUNDS}: {clients} clients");
            seen.push(load::run(target, clients, ROUND, |_| {
                mixed(event, sold_out)
            }));
            seen_bare.push(bare.run(clients, ROUND));
        }
    }
    eprint!("\r\x1b[K");
    for (clients, (_, seen_bare)) in CLIENTS.iter().zip(&seen) {
        print(&format!("{}, {clients} clients", bare.name), seen_bare);
    }
    for (clients, (seen, _)) in CLIENTS.iter().zip(&seen) {
        print(&format!("{clients} clients"), seen);
    }
    let all = seen.iter().flat_map(|(seen, bare)| [seen, bare]);
    all.map(|seen| errors(seen)).sum()
}

fn processes() -> u64 {
    eprint!("\r\x1b[Kfairness: {PROCESSES} processes on one file");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("events.db");
    let start = |_| {
        let builder = Server::builder().db(&path);
        builder.rate_limit_off().start()
    };
    let servers: Vec<Server> = (0..PROCESSES).map(start).collect();
    let (event, sold_out) = events(&servers[0]);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let load = |server: &Server| {
            let target: Target = target(server);
            scope.spawn(move || load::run(target, 16, PROCESSES_TIME, |_| mixed(event, sold_out)))
        };
        let loads: Vec<_> = servers.iter().map(load).collect();
        loads
            .into_iter()
            .map(|l| l.join().expect("a load"))
            .collect()
    });
    eprint!("\r\x1b[K");
    for (n, seen) in seen.iter().enumerate() {
        let name = format!("16 clients, process {} of {PROCESSES}", n + 1);
        print(&name, std::slice::from_ref(seen));
    }
    errors(&seen)
}

fn sweep() -> u64 {
    let builder = Server::builder().args(["--sweep", "100ms"]);
    let server = builder.rate_limit_off().start();
    let (target, (event, sold_out)) = (target(&server), events(&server));
    let forgotten = server.create_event("forgotten", EVENT_SPOTS);
    let without = |when| {
        eprint!("\r\x1b[Kfairness: buyers {when} the sweep");
        load::run(target, 64, 2 * ROUND, |_| mixed(event, sold_out))
    };
    let before = without("before");
    let expire_at = now_ms() + 3_000;
    fill::holds(server.db_path(), forgotten, EXPIRED_HOLDS, expire_at as i64);
    wait_until(expire_at);
    eprint!("\r\x1b[Kfairness: buyers during the sweep");
    let swept = AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        scope.spawn(|| {
            let db = server.db();
            while fill::has_holds(&db, forgotten) {
                std::thread::sleep(Duration::from_millis(20));
            }
            swept.store(true, Ordering::Relaxed);
        });
        load::run(target, 64, SWEPT_WITHIN, |_| {
            let mut next = mixed(event, sold_out);
            let swept = &swept;
            move || next().filter(|_| !swept.load(Ordering::Relaxed))
        })
    });
    let rounds = [before, without("after")];
    eprint!("\r\x1b[K");
    let seconds = during.elapsed.as_secs_f64();
    let ratio = during.percentile_ms(0.99)
        / rounds
            .iter()
            .map(|s| s.percentile_ms(0.99))
            .fold(0.0, f64::max);
    let during = [during];
    print("64 clients, no sweep", &rounds);
    print("64 clients, 100,000 holds swept", &during);
    println!("the sweep took {seconds:.1} s and made the buyers' p99 {ratio:.2} times as long");
    errors(&rounds) + errors(&during)
}

fn wait_until(ms: u128) {
    let left = ms.saturating_sub(now_ms());
    std::thread::sleep(Duration::from_millis(left as u64));
}

fn now_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_millis()
}
