//! One request of a connection at a time.
//!
//! A client may send its next request before it has the last answer (pipelining). tiny_http makes
//! the writer of the second answer wait for the first; a worker caught in that wait while the
//! first request is in the commit queue could be the one that has to commit it. So a request
//! whose predecessor is not answered yet waits here, and no worker waits with it.
//!
//! tiny_http cannot be told to close a connection either. After a request whose end is in doubt
//! nothing that follows on its connection is believed to be one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use tiny_http::Request;

use super::dispose;
use super::unix_peers::UnixPeers;

const SHARDS: usize = 16;
/// What a client has sent behind a refused request is parsed at once. After this long the same
/// address may well be a new connection.
const CLOSED_FOR: Duration = Duration::from_secs(1);

enum Lane {
    /// A request is being worked on, and these wait for it.
    Busy(VecDeque<Request>),
    Closed {
        last_request: Instant,
    },
}

type Shard = HashMap<SocketAddr, Lane>;

pub struct Lanes {
    shards: Vec<Mutex<Shard>>,
    /// Where a request goes when its turn comes.
    resumed: Sender<Request>,
    /// Makes a worker look there.
    wake: Box<dyn Fn() + Send + Sync>,
    /// They have no lanes.
    pub unix_peers: UnixPeers,
}

impl Lanes {
    pub fn new(
        unix_peers: UnixPeers,
        resumed: Sender<Request>,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Lanes {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Lanes {
            shards,
            resumed,
            wake,
            unix_peers,
        }
    }

    /// Gives the request back if it is the first of its connection. A peer on a Unix socket has no
    /// address to tell its connections by, see `unix_peers.rs`.
    pub fn enter(&self, request: Request) -> Option<Request> {
        let Some(peer) = request.remote_addr().copied() else {
            self.unix_peers.taken();
            return Some(request);
        };
        match self.shard(&peer).entry(peer) {
            Entry::Vacant(entry) => {
                entry.insert(Lane::Busy(VecDeque::new()));
                return Some(request);
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Lane::Busy(waiting) => {
                    waiting.push_back(request);
                    return None;
                }
                Lane::Closed { last_request } if last_request.elapsed() < CLOSED_FOR => {
                    *last_request = Instant::now();
                }
                Lane::Closed { .. } => {
                    entry.insert(Lane::Busy(VecDeque::new()));
                    return Some(request);
                }
            },
        }
        dispose::discard(request);
        None
    }

    /// The connection's request has been answered; its next one, if any, has its turn.
    pub fn leave(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer else {
            return self.unix_peers.answered();
        };
        let mut shard = self.shard(&peer);
        let Some(Lane::Busy(waiting)) = shard.get_mut(&peer) else {
            return;
        };
        match waiting.pop_front() {
            None => {
                shard.remove(&peer);
            }
            Some(request) => {
                drop(shard);
                let _ = self.resumed.send(request);
                (self.wake)();
            }
        }
    }

    /// The connection's request has been refused, and where it ends is not certain.
    pub fn close(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer else {
            return self.unix_peers.answered();
        };
        let mut shard = self.shard(&peer);
        let is_stale = |lane: &Lane| matches!(lane, Lane::Closed { last_request } if last_request.elapsed() >= CLOSED_FOR);
        shard.retain(|_, lane| !is_stale(lane));
        let closed = Lane::Closed {
            last_request: Instant::now(),
        };
        let before = shard.insert(peer, closed);
        drop(shard);
        if let Some(Lane::Busy(waiting)) = before {
            waiting.into_iter().for_each(dispose::discard);
        }
    }

    fn shard(&self, peer: &SocketAddr) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(peer.port()) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
