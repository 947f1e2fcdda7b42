//! What the tests share: the real server as a child process, a small HTTP client, a clock that
//! stands still until it is told, and the invariants that must hold whatever happened.

// Four binaries include this module (suite, stress, bench, soak) and none of them uses all of it.
#![allow(dead_code, unused_imports)]

pub mod call;
mod client;
mod clock;
pub mod crowd;
pub mod fill;
pub mod hostile;
mod invariants;
pub mod model;
pub mod postgres;
mod processes;
pub mod random;
pub mod sale;
mod server;
pub mod slow_clients;
pub mod stampede;
mod stream;
mod usage;
mod verify;

pub use client::{Client, Response, fresh_source, request_text};
pub use clock::FrozenClock;
pub use invariants::{assert_invariants, check_invariants};
pub use processes::{is_alive, signal};
pub use server::{Server, ServerBuilder, StartFailure};
pub use stream::{Sent, Stream};
pub use usage::Usage;
pub use verify::{assert_sound, verify};

use std::time::{Duration, Instant};

/// How long a test waits for something that ought to happen at once. Generous: it is only
/// ever spent on a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `condition` again and again until it holds or `patience` is over; says whether it held.
pub fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Time for a request to reach the server and wait there for a lock that the test holds.
/// Nothing outside shows that it does; should the time be too short, the test is only less
/// strict.
pub fn pause_for_arrival() {
    std::thread::sleep(Duration::from_millis(300));
}
