//! The rate limit: so many requests from one client (an address, or an organizer's key) in any
//! window, exactly.
//!
//! For each client the times of its latest admitted requests are kept, as many as are allowed;
//! a request is admitted if the oldest of them has left the window. Refused requests do not count.
//! Memory is bounded: clients that have been idle for a window are dropped when room is needed,
//! and if every client in the table is active, a new one is refused rather than let in uncounted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::message::{Code, Problem, Response};

const SHARDS: usize = 16;
/// What all tables together may hold; a client takes about 100 bytes plus 8 for each request.
const TABLE_BYTES_MAX: usize = 16 * 1024 * 1024;
const ENTRY_BYTES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    pub requests: usize,
    pub window: Duration,
}

impl RateLimit {
    /// Whole seconds, rounded up, for people and headers.
    pub fn window_s(&self) -> u64 {
        self.window.as_millis().div_ceil(1_000) as u64
    }
}

/// How a request fared, for the response's headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub policy: &'static str,
    pub limit: RateLimit,
    pub admitted: bool,
    /// Requests left in the current window.
    pub left: usize,
    /// Until one more request is allowed; whole seconds, rounded up.
    pub more_in_s: u64,
}

impl Standing {
    /// Into every response that the limit covers (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn add_to(self, response: Response) -> Response {
        let (q, w) = (self.limit.requests, self.limit.window_s());
        let (r, t) = (self.left, self.more_in_s);
        let name = self.policy;
        let policy = format!("\"{name}\";q={q};w={w}");
        response
            .header("RateLimit-Policy", &policy)
            .header("RateLimit", &format!("\"{name}\";r={r};t={t}"))
    }

    pub fn refusal(self) -> Problem {
        let (seconds, window_s) = (self.more_in_s, self.limit.window_s());
        let requests = self.limit.requests;
        let detail = format!(
            "{requests} requests in {window_s} s are allowed; the next one is in {seconds} s"
        );
        Problem::new(Code::RateLimited, detail).header("Retry-After", seconds.to_string())
    }
}

/// Times are nanoseconds of the monotonic clock, oldest first.
type Admitted = VecDeque<u64>;

pub struct Limiter<C> {
    policy: &'static str,
    limit: RateLimit,
    entries_max: usize,
    hasher: RandomState,
    shards: Vec<Mutex<Shard<C>>>,
}

struct Shard<C> {
    clients: HashMap<C, Admitted>,
    /// Before this time a search for idle entries would find none.
    full_until_ns: u64,
}

impl<C: Copy + Eq + Hash> Limiter<C> {
    /// `policy` is what clients know the limit by.
    pub fn new(policy: &'static str, limit: RateLimit) -> Limiter<C> {
        let entry_bytes = ENTRY_BYTES + 8 * limit.requests;
        let shard = || {
            Mutex::new(Shard {
                clients: HashMap::new(),
                full_until_ns: 0,
            })
        };
        Limiter {
            policy,
            limit,
            entries_max: TABLE_BYTES_MAX / entry_bytes / SHARDS,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    /// Counts a request, if it is admitted.
    pub fn admit(&self, client: C, clock: &Clock) -> Standing {
        let window_ns = self.limit.window.as_nanos() as u64;
        let shard = self.hasher.hash_one(client) as usize % SHARDS;
        let mut shard = self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the times of one client are in order.
        let now = clock.monotonic_ns();
        if !shard.clients.contains_key(&client) && shard.clients.len() >= self.entries_max {
            shard.drop_idle(now, window_ns);
            if shard.clients.len() >= self.entries_max {
                return self.standing(false, 0, shard.full_until_ns.saturating_sub(now));
            }
        }
        let times = match shard.clients.entry(client) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(VecDeque::with_capacity(self.limit.requests)),
        };
        while times.front().is_some_and(|t| now >= t + window_ns) {
            times.pop_front();
        }
        let admitted = times.len() < self.limit.requests;
        if admitted {
            times.push_back(now);
        }
        let left = self.limit.requests - times.len();
        self.standing(admitted, left, times[0] + window_ns - now)
    }

    fn standing(&self, admitted: bool, left: usize, more_in_ns: u64) -> Standing {
        let more_in_s = more_in_ns.div_ceil(1_000_000_000).max(1);
        Standing {
            policy: self.policy,
            limit: self.limit,
            admitted,
            left,
            more_in_s,
        }
    }
}

impl<C: Eq + Hash> Shard<C> {
    fn drop_idle(&mut self, now: u64, window_ns: u64) {
        if now < self.full_until_ns {
            return;
        }
        let ends = |times: &Admitted| times.back().map_or(0, |t| t + window_ns);
        self.clients.retain(|_, times| now < ends(times));
        self.full_until_ns = self.clients.values().map(ends).min().unwrap_or(0);
    }
}
