//! `make bench`: what the server does a second, as ratios to tiny_http answering a constant in the
//! same run. `make bench QUICK=1` takes less than a minute; `ONLY=word` picks scenarios by name.
//!
//! The scenarios take turns (A B C A B C), so that drift of the machine's speed cancels out: a
//! scenario's ratio is the median over the rounds of its rate divided by the yardstick's in the
//! same round.

mod support;

mod bench {
    pub mod fairness;
    pub mod growth;
    pub mod load;
    pub mod scenarios;
    pub mod table;
}

use std::time::Duration;

use bench::load::Seen;
use bench::scenarios::{self, Scenario};
use bench::table::{median, range};
use bench::{fairness, growth};

const CLIENTS: usize = 64;
const GROWTH_ROUNDS: usize = 5;
const GROWTH_TIME: Duration = Duration::from_secs(2);

fn main() {
    if std::env::args().any(|a| a == scenarios::BARE_TINY_HTTP) {
        return scenarios::serve_bare_tiny_http();
    }
    let quick = std::env::args().any(|a| a == "--quick") || std::env::var_os("QUICK").is_some();
    let (rounds, time) = match quick {
        true => (3, Duration::from_millis(1_000)),
        false => (5, Duration::from_millis(3_000)),
    };
    let only = std::env::var("ONLY").ok();
    let only = only.as_deref();
    let wanted = |section: &str| only.is_none_or(|word| section.contains(word));
    let mut errors = run_scenarios(only, rounds, time);
    if !quick && wanted("growth") {
        errors += growth::measure(CLIENTS, GROWTH_ROUNDS, GROWTH_TIME);
    }
    if !quick {
        errors += fairness::measure(wanted);
    }
    if errors > 0 {
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
    print_table(&running, &seen, rounds, time);
    seen.iter().flatten().map(|seen| seen.errors).sum()
}

/// The yardstick first, then the scenarios whose name has that word in it.
fn start(only: Option<&str>) -> Vec<Scenario> {
    type Start = fn(&'static str) -> Scenario;
    let all: [(&str, Start); 8] = [
        ("register, durability full", |name| {
            scenarios::register(name, &[])
        }),
        ("register, durability normal", |name| {
            scenarios::register(name, &["--durability", "normal"])
        }),
        ("register, one job a commit", |name| {
            scenarios::register(name, &["--commit-batch", "1"])
        }),
        ("sold out", scenarios::sold_out),
        ("GET one event", scenarios::show_event),
        ("confirm", scenarios::confirm),
        ("flash sale", scenarios::flash_sale),
        ("sale with 20% reads", scenarios::mixed),
    ];
    let mut running = vec![scenarios::bare_tiny_http("bare tiny_http")];
    let wanted = all
        .into_iter()
        .filter(|(name, _)| only.is_none_or(|word| name.contains(word)));
    running.extend(wanted.map(|(name, start)| start(name)));
    running.iter().for_each(Scenario::rest);
    running
}

fn print_table(running: &[Scenario], seen: &[Vec<Seen>], rounds: usize, time: Duration) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores, {CLIENTS} keep-alive connections, clients on the same cores, \
         {rounds} rounds of {} ms a scenario",
        time.as_millis()
    );
    println!("ratio: to bare tiny_http in the same round, median (min-max); latencies in ms");
    println!(
        "{:<28} {:>7} {:>6} {:>11} {:>6} {:>6} {:>6} {:>7} {:>7} {:>6}",
        "", "req/s", "ratio", "", "p50", "p99", "p99.9", "slowest", "cpu us", "errors"
    );
    let yardstick: Vec<f64> = seen[0].iter().map(Seen::per_second).collect();
    for (scenario, seen) in running.iter().zip(seen) {
        let rates: Vec<f64> = seen.iter().map(Seen::per_second).collect();
        let ratios: Vec<f64> = rates.iter().zip(&yardstick).map(|(a, b)| a / b).collect();
        let (low, high) = range(&ratios);
        let at = |share| median(seen.iter().map(|s| s.percentile_ms(share)));
        let slowest = seen
            .iter()
            .map(|s| s.percentile_ms(1.0))
            .fold(0.0, f64::max);
        let requests: usize = seen.iter().map(|s| s.latencies_us.len()).sum();
        let cpu_us = seen.iter().map(|s| s.server_cpu_us).sum::<u64>() as f64 / requests as f64;
        let errors: u64 = seen.iter().map(|s| s.errors).sum();
        println!(
            "{:<28} {:>7.0} {:>6.2} {:>5.2}-{:<5.2} {:>6.2} {:>6.2} {:>6.2} {:>7.1} {cpu_us:>7.1} {errors:>6}",
            scenario.name,
            median(rates.iter().copied()),
            median(ratios.iter().copied()),
            low,
            high,
            at(0.5),
            at(0.99),
            at(0.999),
            slowest,
        );
    }
}
