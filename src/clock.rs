//! The one source of time, so that a test can hold it still.

use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// Wall time for everything that is stored, monotonic time for everything that is only measured
/// (the rate limiter must not be moved by somebody setting the computer's clock).
#[derive(Clone, Debug)]
pub enum Clock {
    /// The computer's clocks; monotonic time counts from the instant given.
    System(Instant),
    /// For tests: both clocks are the decimal milliseconds since the Unix epoch in this file.
    File(PathBuf),
}

impl Clock {
    pub fn system() -> Clock {
        Clock::System(Instant::now())
    }

    /// Wall time in milliseconds since the Unix epoch. A transaction reads it once.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                Timestamp(since.map_or(0, |d| d.as_millis() as i64))
            }
            Clock::File(path) => Timestamp(read_ms(path)),
        }
    }

    /// The time of a database with a clock of its own, unless a test has another.
    pub fn or(&self, database: Timestamp) -> Timestamp {
        match self {
            Clock::System(_) => database,
            Clock::File(_) => self.now(),
        }
    }

    /// Nanoseconds since some fixed moment; never goes back.
    pub fn monotonic_ns(&self) -> u64 {
        match self {
            Clock::System(start) => start.elapsed().as_nanos() as u64,
            Clock::File(path) => read_ms(path) as u64 * 1_000_000,
        }
    }
}

fn read_ms(path: &PathBuf) -> i64 {
    let text = std::fs::read_to_string(path).expect("the test clock's file can be read");
    text.trim()
        .parse()
        .expect("the test clock's file holds milliseconds")
}
