//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use ipnet::IpNet;

use super::cors::Cors;
use super::rate_limit::{Limiter, RateLimit};
use super::sold_out::SoldOut;
use super::watch::Watch;
use crate::clock::Clock;
use crate::error::Error;
use crate::message::ClientAddress;
use crate::store::{CommitQueue, Db, Location};
use crate::verify::{EventReport, Unready, verify_event};

/// A commit tells for so long that others can be made.
const PROOF_HOLDS_NS: u64 = 1_000_000_000;

/// Where a request's role comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The header `X-Role`, which is believed.
    Role,
    /// A key in `Authorization: Bearer` (RFC 6750, 2.1).
    Key,
}

/// What the API can be told.
pub struct Settings {
    pub auth: Auth,
    pub rate_limit: Option<RateLimit>,
    /// For organizers' keys, which do not count for their address.
    pub key_rate_limit: Option<RateLimit>,
    pub trusted_proxies: Vec<IpNet>,
    pub hold_ms_default: i64,
    /// Where a proxy mounts the server: "", or a slash and more.
    pub base_path: &'static str,
    pub cors: Cors,
    /// What is verified, one event at a time.
    pub db: Location,
    pub streams_max: usize,
    /// Why the server is not ready, if it is not.
    pub unready: Arc<Unready>,
    /// Whether X-Test-Panic is heeded.
    pub test_hooks: bool,
}

pub struct State {
    pub settings: Settings,
    pub clock: Clock,
    pub commits: Arc<CommitQueue>,
    /// By address, and by the key that is sent.
    pub limiter: Option<Limiter<ClientAddress>>,
    pub key_limiter: Option<Limiter<i64>>,
    pub sold_out: SoldOut,
    pub watch: Arc<Watch>,
    pub readiness: Readiness,
    pub reaper_runs: Arc<AtomicBool>,
    verifying: Mutex<()>,
    exports: (Sender<Db>, Receiver<Db>),
}

impl State {
    /// `export_readers` are connections for lists that are sent in pieces.
    pub fn new(
        settings: Settings,
        clock: Clock,
        commits: Arc<CommitQueue>,
        export_readers: Vec<Db>,
        reaper_runs: Arc<AtomicBool>,
    ) -> State {
        let exports = bounded(export_readers.len());
        for db in export_readers {
            exports.0.send(db).expect("the channel has room for each");
        }
        State {
            watch: Arc::new(Watch::new(settings.streams_max)),
            limiter: settings.rate_limit.map(|l| Limiter::new("default", l)),
            key_limiter: settings.key_rate_limit.map(|l| Limiter::new("key", l)),
            settings,
            clock,
            commits,
            sold_out: SoldOut::new(),
            readiness: Readiness::new(),
            reaper_runs,
            verifying: Mutex::new(()),
            exports,
        }
    }

    /// Waits for a connection that no other export reads from just now.
    pub fn read_for_export<T>(&self, read: impl FnOnce(&Db) -> T) -> T {
        let db = self.exports.1.recv().expect("the sender lives as long");
        let result = read(&db);
        let _ = self.exports.0.send(db);
        result
    }

    /// Waits while another event is verified: it takes as much of the machine as there is.
    pub fn verify_event(&self, event_id: i64) -> EventReport {
        let turn = self.verifying.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        verify_event(&self.settings.db, event_id)
    }

    pub fn reaper_state(&self) -> &'static str {
        match self.reaper_runs.load(Ordering::Relaxed) {
            true => "running",
            false => "stopped",
        }
    }
}

/// One worker's own connection, and what it shares with the others.
pub struct Context<'w> {
    pub db: &'w Db,
    pub state: &'w Arc<State>,
}

/// Whether a commit could be made now, told from the last one.
pub struct Readiness {
    /// Monotonic times; 0: never.
    committed_ns: AtomicU64,
    asked_ns: AtomicU64,
    has_failed: AtomicBool,
    /// Why the last one failed, if it has.
    failure: Mutex<Option<Error>>,
}

impl Readiness {
    fn new() -> Readiness {
        Readiness {
            committed_ns: AtomicU64::new(0),
            asked_ns: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// To be told of every commit.
    pub fn note(&self, now_ns: u64, outcome: &Result<(), Error>) {
        self.committed_ns.store(now_ns, Ordering::Relaxed);
        // In a sale one success follows the other, and none of them needs the lock.
        if outcome.is_err() || self.has_failed.load(Ordering::Relaxed) {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = outcome.clone().err();
            self.has_failed.store(failure.is_some(), Ordering::Relaxed);
        }
    }

    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// None: the last commit is too long ago, and whoever asks has to make one. At most one a second
    /// is told so, but for those who ask before there was any: they share one commit.
    pub fn known(&self, now_ns: u64) -> Option<Result<(), Error>> {
        let committed_ns = self.committed_ns.load(Ordering::Relaxed);
        let asked_ns = self.asked_ns.load(Ordering::Relaxed);
        if committed_ns == 0 {
            return None;
        }
        let is_old = |then: u64| now_ns.saturating_sub(then) >= PROOF_HOLDS_NS;
        let asks = is_old(committed_ns)
            && is_old(asked_ns)
            && self
                .asked_ns
                .compare_exchange(asked_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if asks {
            return None;
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        Some(failure.clone().map_or(Ok(()), Err))
    }
}
