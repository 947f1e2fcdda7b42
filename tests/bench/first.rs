//! How long the unluckiest of many waits who come at the very same moment: each opens a connection,
//! sends one registration and stays for a while, as browsers and proxies do, so that no other gets
//! what the server has for a connection. Beside those of bare tiny_http.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::load::{self, Ask, Connection, Target};
use super::scenarios::{self, EVENT_SPOTS, target};
use super::{requests, table, yardstick};

const CONNECTIONS: usize = 128;
const STAYS: Duration = Duration::from_millis(500);

/// Prints one line; returns how many answers were wrong.
pub fn measure(rounds: usize) -> u64 {
    let server = scenarios::server(&[]);
    let event = server.create_event("bench", EVENT_SPOTS);
    let (bare, _lives) = yardstick::start();
    let (mut slowest, mut slowest_bare, mut errors) = (Vec::new(), Vec::new(), 0);
    for round in 1..=rounds {
        eprint!("\r\x1b[Kround {round} of {rounds}: {CONNECTIONS} connections at once");
        let (ms, wrong) = arrive(target(&server), || requests::buyer(event));
        let (ms_bare, wrong_bare) = arrive(bare, yardstick::ask);
        slowest.push(ms);
        slowest_bare.push(ms_bare);
        errors += wrong + wrong_bare;
    }
    eprint!("\r\x1b[K");
    let told = |slowest: &[f64]| {
        let median = table::median(slowest.iter().copied());
        format!("{median:.1} ms, at most {:.1}", table::range(slowest).1)
    };
    println!(
        "first request of {CONNECTIONS} connections at once, the slowest of them in {rounds} rounds: \
         median {}; bare tiny_http: {}; errors {errors}",
        told(&slowest),
        told(&slowest_bare)
    );
    errors
}

/// The slowest from the call to connect to the answer, in ms, and how many answers were wrong.
fn arrive(server: Target, ask: impl Fn() -> Ask + Sync) -> (f64, u64) {
    let together = Barrier::new(CONNECTIONS);
    let arrived: Vec<(Duration, bool)> = std::thread::scope(|scope| {
        let come = |n| {
            let (together, ask) = (&together, &ask);
            scope.spawn(move || {
                let ask = ask();
                together.wait();
                let start = Instant::now();
                let mut connection = Connection::open(server.address, load::source(n)).ok();
                let status = connection.as_mut().and_then(|c| c.ask(&ask.bytes));
                let took = start.elapsed();
                std::thread::sleep(STAYS);
                drop(connection);
                (took, load::is_right(status, ask.expected))
            })
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(come).collect();
        let join = |thread: std::thread::ScopedJoinHandle<_>| thread.join().expect("a client");
        threads.into_iter().map(join).collect()
    });
    let slowest = arrived.iter().map(|(took, _)| *took).max();
    let wrong = arrived.iter().filter(|(_, is_right)| !is_right).count();
    (
        slowest.map_or(0.0, |s| s.as_secs_f64() * 1_000.0),
        wrong as u64,
    )
}
