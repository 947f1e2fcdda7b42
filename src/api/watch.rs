//! Who watches what happens: long polls and streams. Each waits on its connection's own thread, so
//! that none of them costs a worker, and is woken by the thread that looks (looking.rs).

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::{Code, Problem};
use crate::metrics::METRICS;

/// All streams of ledgers together are dealt so many changes a second, each in its turn: so many
/// take a twentieth of what two cores can do. In a rush they stay behind, and catch up after it.
const CHANGES_PER_SECOND: u32 = 10_000;
/// What it takes to read nothing, in changes.
const CHANGES_A_PIECE_COSTS: u32 = 20;

/// What can be watched of the event with this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Changes(i64),
    Numbers(i64),
}

/// What was seen of a subject at the last look.
#[derive(Clone, Default)]
pub struct Sight {
    /// The number of the event's last change; 0 before the first look.
    pub n: i64,
    /// The event itself, if its numbers are watched.
    pub text: Option<Arc<str>>,
    is_over: bool,
}

/// A subject, for all who watch it.
#[derive(Default)]
pub struct Watched {
    sight: Mutex<Sight>,
    changed: Condvar,
}

impl Watched {
    /// Wakes those who watch, if it says so.
    pub fn change(&self, change: impl FnOnce(&mut Sight) -> bool) {
        if change(&mut lock(&self.sight)) {
            self.changed.notify_all();
        }
    }
}

#[derive(Default)]
struct Open {
    /// With how many watch each.
    watched: HashMap<Subject, (Arc<Watched>, usize)>,
    watchers: usize,
    is_stopping: bool,
}

pub struct Watch {
    watchers_max: usize,
    open: Mutex<Open>,
    /// Somebody has begun to watch, or all is to stop.
    called: Condvar,
    dealt_until: Mutex<Instant>,
}

/// One who watches. Its place is free once this is dropped.
pub struct Watcher {
    watch: Arc<Watch>,
    subject: Subject,
    watched: Arc<Watched>,
}

/// How a wait ended.
pub enum Waited {
    Come(Sight),
    /// What was waited for has not come in time.
    Nothing,
    /// The server stops.
    Over,
}

impl Watch {
    pub fn new(watchers_max: usize) -> Watch {
        METRICS.streams_max.set(watchers_max as i64);
        Watch {
            watchers_max,
            open: Mutex::default(),
            called: Condvar::new(),
            dealt_until: Mutex::new(Instant::now()),
        }
    }

    /// Errors, in this order: `shutting_down`, `streams_full`.
    pub fn begin(self: &Arc<Watch>, subject: Subject) -> Result<Watcher, Problem> {
        let mut open = lock(&self.open);
        if open.is_stopping {
            return Err(Error::ShuttingDown.into());
        }
        if open.watchers >= self.watchers_max {
            let detail = format!("{} streams are open already", self.watchers_max);
            return Err(Problem::new(Code::StreamsFull, detail).header("Retry-After", "5"));
        }
        open.watchers += 1;
        METRICS.open_streams.set(open.watchers as i64);
        self.called.notify_all();
        let (watched, watchers) = open.watched.entry(subject).or_default();
        *watchers += 1;
        Ok(Watcher {
            watch: self.clone(),
            subject,
            watched: watched.clone(),
        })
    }

    /// Ends every wait, and refuses whoever comes then.
    pub fn stop(&self) {
        let mut open = lock(&self.open);
        open.is_stopping = true;
        for (watched, _) in open.watched.values() {
            watched.change(|sight| {
                sight.is_over = true;
                true
            });
        }
        self.called.notify_all();
    }

    /// What is watched, once anything is. None: no more is to be looked at.
    pub fn wait_for_watchers(&self) -> Option<Vec<(Subject, Arc<Watched>)>> {
        let is_idle = |open: &mut Open| !open.is_stopping && open.watched.is_empty();
        let open = self.called.wait_while(lock(&self.open), is_idle);
        let open = open.unwrap_or_else(PoisonError::into_inner);
        if open.is_stopping {
            return None;
        }
        let watched = open.watched.iter();
        Some(watched.map(|(s, (w, _))| (*s, w.clone())).collect())
    }

    /// Deals a stream so many changes. Returns when it may read the next ones.
    fn deal(&self, changes: usize) -> Instant {
        let cost = changes as u32 + CHANGES_A_PIECE_COSTS;
        let mut dealt_until = lock(&self.dealt_until);
        let from = (*dealt_until).max(Instant::now());
        *dealt_until = from + Duration::from_secs(1) * cost / CHANGES_PER_SECOND;
        *dealt_until
    }
}

impl Watcher {
    /// Waits for so long until what was seen is what is waited for, and it is not before that time.
    pub fn wait(
        &self,
        has_come: impl Fn(&Sight) -> bool,
        not_before: Instant,
        patience: Duration,
    ) -> Waited {
        let until = Instant::now() + patience;
        let mut sight = lock(&self.watched.sight);
        loop {
            let (now, has_come) = (Instant::now(), has_come(&sight));
            if sight.is_over {
                return Waited::Over;
            }
            if has_come && now >= not_before {
                return Waited::Come(sight.clone());
            }
            if now >= until {
                return Waited::Nothing;
            }
            let wake_at = if has_come {
                not_before.min(until)
            } else {
                until
            };
            let woken = self.watched.changed.wait_timeout(sight, wake_at - now);
            sight = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// See [`Watch::deal`].
    pub fn deal(&self, changes: usize) -> Instant {
        self.watch.deal(changes)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut open = lock(&self.watch.open);
        open.watchers -= 1;
        METRICS.open_streams.set(open.watchers as i64);
        if let Some((_, watchers)) = open.watched.get_mut(&self.subject) {
            *watchers -= 1;
            if *watchers == 0 {
                open.watched.remove(&self.subject);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
