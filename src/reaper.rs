//! Housekeeping off the selling path: sweeps up expired holds and checkpoints the WAL.
//!
//! Nothing depends on it to be right. An expired hold is gone at its end, whoever comes first; the
//! sweep is for events that nobody asks about. Only who is in line does not ask again: a line is
//! served at once when a hold ends or sales open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::box_office;
use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::Timestamp;
use crate::store::{CommitQueue, Db, Scope, Tx};

/// Holds released in one transaction at most: buyers wait no longer than that takes, and have as
/// long for themselves before the next.
const RELEASED_PER_TRANSACTION_MAX: i64 = 500;
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
pub struct Reaper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Reaper {
    /// `runs` is true as long as the thread is alive.
    pub fn start(
        db: Db,
        commits: Arc<CommitQueue>,
        clock: Clock,
        sweep_every: Duration,
        runs: Arc<AtomicBool>,
    ) -> std::io::Result<Reaper> {
        let (stop, stopped) = bounded(0);
        runs.store(true, Ordering::Relaxed);
        let work = move || {
            let _end = End {
                runs,
                commits: commits.clone(),
            };
            keep_house(&db, &commits, &clock, sweep_every, &stopped);
        };
        let thread = std::thread::Builder::new()
            .name("reaper".into())
            .spawn(work)?;
        Ok(Reaper { stop, thread })
    }

    pub fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

struct End {
    runs: Arc<AtomicBool>,
    commits: Arc<CommitQueue>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.runs.store(false, Ordering::Relaxed);
        if std::thread::panicking() {
            self.commits.retire("the reaper died".to_owned());
        }
    }
}

fn keep_house(
    db: &Db,
    commits: &CommitQueue,
    clock: &Clock,
    sweep_every: Duration,
    stopped: &Receiver<()>,
) {
    let mut next_sweep = Instant::now() + sweep_every;
    let mut trouble = None;
    loop {
        let wait = next_sweep
            .saturating_duration_since(Instant::now())
            .min(CHECKPOINT_EVERY);
        if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        if Instant::now() >= next_sweep {
            next_sweep = Instant::now() + sweep_every;
            METRICS.reaper_last_run.set(clock.now().0 as f64 / 1_000.0);
            let find = box_office::events_with_expired_holds;
            match sweep(db, commits, clock, stopped, find) {
                Ok(0) => {}
                Ok(released) => log::info!(released = released; "swept up expired holds"),
                Err(e) => log::error!("the sweep failed: {e}"),
            }
        }
        // Who is in line is served at once. What hinders that is said by the next sweep.
        let _ = sweep(
            db,
            commits,
            clock,
            stopped,
            box_office::events_with_line_due,
        );
        // What hinders one hinders the next: it is said once, and when it is over.
        let found = checkpoint(db, commits).err().map(|e| e.to_string());
        match (&trouble, &found) {
            (before, Some(e)) if before.as_ref() != Some(e) => {
                log::error!("checkpoints fail, so that the WAL grows: {e}");
            }
            (Some(_), None) => log::info!("checkpoints work again"),
            _ => {}
        }
        trouble = found;
    }
}

/// Releases expired holds of the events that are found, and serves their lines. Returns how many
/// holds were released.
fn sweep(
    db: &Db,
    commits: &CommitQueue,
    clock: &Clock,
    stopped: &Receiver<()>,
    find: fn(&Tx, Timestamp) -> Result<Vec<i64>, Error>,
) -> Result<i64, Error> {
    let now = clock.now();
    let mut released = 0;
    for event_id in db.read(|tx| find(tx, now))? {
        loop {
            let start = Instant::now();
            let some = commits.write_alone(Scope::Event(event_id, None), |tx, now| {
                box_office::release_expired_holds(tx, now, event_id, RELEASED_PER_TRANSACTION_MAX)
            })?;
            released += some;
            // Who waits for the baton has it again before a worker that only tries to take it.
            if stopped.recv_timeout(start.elapsed()) != Err(RecvTimeoutError::Timeout) {
                return Ok(released);
            }
            if some < RELEASED_PER_TRANSACTION_MAX {
                break;
            }
        }
    }
    Ok(released)
}

fn checkpoint(db: &Db, commits: &CommitQueue) -> Result<(), Error> {
    if commits.is_distrusted() {
        commits.bury_again();
        return Ok(());
    }
    let result = db.keep_house(commits);
    if let Err(e @ Error::DiskFailed(_)) = &result {
        commits.distrust(e);
    }
    result
}
