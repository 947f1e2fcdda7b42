//! `make bench`: what the server does a second, as ratios to tiny_http answering a constant in the
//! same run. `--quick` (or `make bench QUICK=1`) takes less than a minute.

mod support;

mod bench {
    pub mod load;
    pub mod scenarios;
}

use std::time::Duration;

use bench::load::Seen;
use bench::scenarios::{self, Scenario};

const CLIENTS: usize = 64;

fn main() {
    if std::env::args().any(|a| a == scenarios::BARE_TINY_HTTP) {
        return scenarios::serve_bare_tiny_http();
    }
    let quick = std::env::args().any(|a| a == "--quick") || std::env::var_os("QUICK").is_some();
    let only: Option<String> = std::env::var("ONLY").ok();
    let (rounds, time) = match quick {
        true => (3, Duration::from_millis(1_000)),
        false => (5, Duration::from_millis(2_500)),
    };
    type Start = fn() -> Scenario;
    let all: Vec<(&str, Start)> = vec![
        ("register, durability full", || {
            scenarios::register("register, durability full", &[])
        }),
        ("register, durability normal", || {
            scenarios::register("register, durability normal", &["--durability", "normal"])
        }),
        ("register, one job a commit", || {
            scenarios::register("register, one job a commit", &["--commit-batch", "1"])
        }),
        ("sold out", scenarios::sold_out),
        ("GET one event", scenarios::show_event),
        ("confirm", scenarios::confirm),
        ("flash sale", scenarios::flash_sale),
        ("sale with 20% reads", scenarios::mixed),
    ];
    let mut running = vec![scenarios::bare_tiny_http()];
    for (name, start) in all {
        if only.as_ref().is_none_or(|o| name.contains(o.as_str())) {
            running.push(start());
        }
    }
    let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); running.len()];
    for round in 1..=rounds {
        for (scenario, seen) in running.iter().zip(&mut seen) {
            eprint!("\r\x1b[Kround {round} of {rounds}: {}", scenario.name);
            seen.push(scenario.run(CLIENTS, time));
        }
    }
    eprintln!("\r\x1b[K");
    println!(
        "{:<28} {:>8} {:>6} {:>15}   {:>6} {:>6} {:>6} {:>7}  errors",
        "", "req/s", "ratio", "min-max", "p50", "p99", "p99.9", "slowest"
    );
    let yard: Vec<f64> = seen[0].iter().map(Seen::per_second).collect();
    for (scenario, seen) in running.iter().zip(&seen) {
        let rates: Vec<f64> = seen.iter().map(Seen::per_second).collect();
        let ratios: Vec<f64> = rates.iter().zip(&yard).map(|(a, b)| a / b).collect();
        let at = |share| {
            median(
                &seen
                    .iter()
                    .map(|s| s.percentile_ms(share))
                    .collect::<Vec<_>>(),
            )
        };
        let slowest = seen
            .iter()
            .map(|s| s.percentile_ms(1.0))
            .fold(0.0, f64::max);
        let errors: u64 = seen.iter().map(|s| s.errors).sum();
        let cpu = seen.iter().map(|s| s.server_cpu_us).sum::<u64>() as f64
            / seen.iter().map(|s| s.latencies_us.len()).sum::<usize>() as f64;
        let (lo, hi) = (
            ratios.iter().copied().fold(f64::MAX, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        );
        println!(
            "{:<28} {:>8.0} {:>6.2} {:>7.2}-{:<7.2}   {:>6.2} {:>6.2} {:>6.2} {:>7.2}  {:>5.1}  {errors}",
            scenario.name,
            median(&rates),
            median(&ratios),
            lo,
            hi,
            at(0.5),
            at(0.99),
            at(0.999),
            slowest,
            cpu
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
