//! Numbers for the tables, and the table of the scenarios.

use std::time::Duration;

use super::load::Seen;
use super::scenarios::Scenario;

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The value below which such a share of them is; 0 of none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// The smallest and the largest.
pub fn range(values: &[f64]) -> (f64, f64) {
    let widen = |(low, high): (f64, f64), value: &f64| (low.min(*value), high.max(*value));
    values.iter().fold((f64::MAX, 0.0), widen)
}

/// The median of the ratios in each round, with the smallest and the largest.
pub fn ratio(rates: &[f64], to: &[f64]) -> (f64, f64, f64) {
    let ratios: Vec<f64> = rates.iter().zip(to).map(|(a, b)| a / b).collect();
    let (low, high) = range(&ratios);
    (median(ratios.into_iter()), low, high)
}

pub fn rates(seen: &[Seen]) -> Vec<f64> {
    seen.iter().map(Seen::per_second).collect()
}

/// The scenarios, the yardstick first.
pub fn print(running: &[Scenario], seen: &[Vec<Seen>], clients: usize, time: Duration) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores, {clients} keep-alive connections, clients on the same cores, \
         {} rounds of {} ms a scenario",
        seen[0].len(),
        time.as_millis()
    );
    println!("ratio: to bare tiny_http in the same round, median (min-max); latencies in ms");
    println!(
        "{:<28} {:>7} {:>6} {:>11} {:>6} {:>6} {:>6} {:>7} {:>7} {:>6}",
        "", "req/s", "ratio", "", "p50", "p99", "p99.9", "slowest", "cpu us", "errors"
    );
    let yardstick = rates(&seen[0]);
    for (scenario, seen) in running.iter().zip(seen) {
        let rates = rates(seen);
        let (ratio, low, high) = ratio(&rates, &yardstick);
        let at = |share| median(seen.iter().map(|s| s.percentile_ms(share)));
        let slowest = seen
            .iter()
            .map(|s| s.percentile_ms(1.0))
            .fold(0.0, f64::max);
        let requests: usize = seen.iter().map(|s| s.latencies_us.len()).sum();
        let cpu_us = seen.iter().map(|s| s.server_cpu_us).sum::<u64>() as f64 / requests as f64;
        let errors: u64 = seen.iter().map(|s| s.errors).sum();
        println!(
            "{:<28} {:>7.0} {ratio:>6.2} {low:>5.2}-{high:<5.2} {:>6.2} {:>6.2} {:>6.2} \
             {slowest:>7.1} {cpu_us:>7.1} {errors:>6}",
            scenario.name,
            median(rates.into_iter()),
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
}
