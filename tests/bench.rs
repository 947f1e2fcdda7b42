//! `make bench`: what the server does a second, as ratios to tiny_http answering a constant in the
//! same run. `make bench QUICK=1` takes less than a minute; `ONLY=word` picks parts by name;
//! `PEERS=1` adds Redis and PostgreSQL; `GROWTH=20` lets the file grow to 20 million tickets.
//! tests/bench/README.md says how it is measured.
//!
//! The scenarios take turns (A B C A B C), so that drift of the machine's speed cancels out: a
//! scenario's ratio is the median over the rounds of its rate divided by the yardstick's in the
//! same round.

mod support;

mod bench {
    pub mod bytes;
    pub mod fairness;
    pub mod first;
    pub mod growth;
    pub mod load;
    pub mod peers;
    pub mod process;
    pub mod requests;
    pub mod scenarios;
    pub mod table;
    pub mod wal;
    pub mod yardstick;
}

use std::time::Duration;

use bench::load::Seen;
use bench::scenarios::{self, Scenario};
use bench::{bytes, fairness, first, growth, peers, table, yardstick};

const CLIENTS: usize = 64;
const GROWTH_ROUNDS: usize = 5;
const GROWTH_TIME: Duration = Duration::from_secs(2);
/// What is always measured; the others are left out of a quick run unless they are asked for.
const QUICK_PARTS: [&str; 2] = ["first", "peers"];

fn main() {
    if std::env::args().any(|a| a == yardstick::ARGUMENT) {
        return yardstick::serve();
    }
    let is_set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
    let quick = std::env::args().any(|a| a == "--quick") || is_set("QUICK");
    let (rounds, time) = match quick {
        true => (3, Duration::from_millis(800)),
        false => (5, Duration::from_millis(3_000)),
    };
    let only = std::env::var("ONLY").ok().filter(|word| !word.is_empty());
    let only = only.as_deref();
    let wanted = |part: &str| match only {
        Some(word) => part.contains(word),
        None => !quick || QUICK_PARTS.contains(&part),
    };
    let mut errors = run_scenarios(only, rounds, time);
    if wanted("first") {
        errors += first::measure(if quick { 5 } else { 10 });
    }
    if wanted("bytes") {
        errors += bytes::measure(CLIENTS, if quick { 20_000 } else { 100_000 });
    }
    if wanted("peers") && is_set("PEERS") {
        errors += peers::measure(CLIENTS, rounds, time);
    }
    if wanted("growth") {
        errors += growth::measure(CLIENTS, GROWTH_ROUNDS, GROWTH_TIME);
    }
    errors += fairness::measure(wanted);
    if errors > 0 {
        eprintln!("{errors} errors");
        std::process::exit(1);
    }
}

/// Prints the table; returns how many requests failed.
fn run_scenarios(only: Option<&str>, rounds: usize, time: Duration) -> u64 {
    let running = start(only);
    if running.len() == 1 {
        // There is nothing to compare with the yardstick.
        return 0;
    }
    let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); running.len()];
    for round in 1..=rounds {
        for (scenario, seen) in running.iter().zip(&mut seen) {
            eprint!("\r\x1b[Kround {round} of {rounds}: {}", scenario.name);
            seen.push(scenario.run(CLIENTS, time));
        }
    }
    eprint!("\r\x1b[K");
    table::print(&running, &seen, CLIENTS, time);
    seen.iter().flatten().map(|seen| seen.errors).sum()
}

/// The yardstick first, then the scenarios whose name has that word in it.
fn start(only: Option<&str>) -> Vec<Scenario> {
    type Start = fn(&'static str) -> Scenario;
    let all: [(&str, Start); 13] = [
        ("register, durability full", |name| {
            scenarios::register(name, &[])
        }),
        (
            "register, 200 streams open",
            scenarios::register_beside_streams,
        ),
        ("register, 100,000 in line", scenarios::register_beside_line),
        ("register with keys", scenarios::register_with_keys),
        ("register, durability normal", |name| {
            scenarios::register(name, &["--durability", "normal"])
        }),
        ("register, one job a commit", |name| {
            scenarios::register(name, &["--commit-batch", "1"])
        }),
        ("sold out", scenarios::sold_out),
        ("sold out, 100,000 in line", scenarios::sold_out_behind_line),
        ("GET one event", scenarios::show_event),
        ("list of one event", scenarios::list_events),
        ("confirm", scenarios::confirm),
        ("flash sale", scenarios::flash_sale),
        ("sale with 20% reads", scenarios::mixed),
    ];
    let mut running = vec![yardstick::scenario()];
    let wanted = all
        .into_iter()
        .filter(|(name, _)| only.is_none_or(|word| name.contains(word)));
    running.extend(wanted.map(|(name, start)| start(name)));
    running.iter().for_each(Scenario::rest);
    running
}
