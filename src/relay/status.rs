//! How it goes: a line in the log now and then, and a file for Prometheus's textfile collector.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::position::replace;
use crate::clock::Clock;
use crate::metrics::{self, Reading};
use crate::model::Timestamp;

const LOG_EVERY: Duration = Duration::from_secs(10);

pub struct Status {
    clock: Clock,
    metrics_file: Option<PathBuf>,
    followed: AtomicI64,
    told: AtomicI64,
    failed: AtomicI64,
    last_told_s: AtomicI64,
    /// Of each event that the receiver is being told of a change of: when that happened.
    untold: Mutex<BTreeMap<i64, Timestamp>>,
    logged: Mutex<(Instant, i64)>,
}

impl Status {
    pub fn new(metrics_file: Option<PathBuf>) -> Status {
        Status {
            clock: Clock::system(),
            metrics_file,
            followed: AtomicI64::new(0),
            told: AtomicI64::new(0),
            failed: AtomicI64::new(0),
            last_told_s: AtomicI64::new(0),
            untold: Mutex::default(),
            logged: Mutex::new((Instant::now(), 0)),
        }
    }

    /// So many events more are followed.
    pub fn follows(&self, events: i64) {
        self.followed.fetch_add(events, Ordering::Relaxed);
    }

    pub fn tells(&self, event_id: i64, of: Timestamp) {
        lock(&self.untold).insert(event_id, of);
    }

    pub fn told(&self, event_id: i64) {
        lock(&self.untold).remove(&event_id);
        self.told.fetch_add(1, Ordering::Relaxed);
        let now_s = self.clock.now().0 / 1_000;
        self.last_told_s.store(now_s, Ordering::Relaxed);
    }

    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The age of the oldest change that is known here, and not to the receiver.
    fn lag_s(&self) -> i64 {
        let oldest = lock(&self.untold).values().map(|at| at.0).min();
        let now = self.clock.now().0;
        oldest.map_or(0, |at| (now - at).max(0) / 1_000)
    }

    /// To be called every second or so. Errors: the file cannot be written.
    pub fn report(&self) -> Result<(), String> {
        let (lag_s, told) = (self.lag_s(), self.told.load(Ordering::Relaxed));
        let mut logged = lock(&self.logged);
        if logged.0.elapsed() >= LOG_EVERY && (told > logged.1 || lag_s > 0) {
            *logged = (Instant::now(), told);
            let failed = self.failed.load(Ordering::Relaxed);
            log::info!(told = told, failed = failed, lag_s = lag_s; "relaying");
        }
        let Some(file) = &self.metrics_file else {
            return Ok(());
        };
        let value = |of: &AtomicI64| of.load(Ordering::Relaxed);
        let text = metrics::render_gauges(&[
            Reading::one(
                "relay_lag_seconds",
                "Age of the oldest change that the receiver has not taken yet; 0 if there is none.",
                lag_s,
            ),
            Reading::one(
                "relay_followed",
                "Events that are followed just now.",
                value(&self.followed),
            ),
            Reading::one(
                "relay_told",
                "Changes that the receiver has taken since the start.",
                told,
            ),
            Reading::one(
                "relay_failed",
                "Attempts that failed since the start.",
                value(&self.failed),
            ),
            Reading::one(
                "relay_last_told_timestamp_seconds",
                "When the receiver last took a change; 0 before.",
                value(&self.last_told_s),
            ),
        ]);
        replace(file, &text).map_err(|e| format!("cannot write {}: {e}", file.display()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
