//! One request of a connection at a time.
//!
//! A client may send its next request before it has the last answer (pipelining). tiny_http makes
//! the writer of the second answer wait for the first; a worker caught in that wait while the
//! first request is in the commit queue could be the one that has to commit it. So a request
//! whose predecessor is not answered yet waits here, and no worker waits with it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::Sender;
use tiny_http::Request;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<SocketAddr, VecDeque<Request>>>;

pub struct Lanes {
    shards: Vec<Shard>,
    /// Where a request goes when its turn comes.
    resumed: Sender<Request>,
    /// Makes a worker look there.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Lanes {
    pub fn new(resumed: Sender<Request>, wake: Box<dyn Fn() + Send + Sync>) -> Lanes {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Lanes {
            shards,
            resumed,
            wake,
        }
    }

    /// Gives the request back if it is the first of its connection. A peer on a Unix socket has no
    /// address to tell its connections by; it is a proxy, and proxies do not pipeline.
    pub fn enter(&self, request: Request) -> Option<Request> {
        let Some(peer) = request.remote_addr().copied() else {
            return Some(request);
        };
        let mut shard = self
            .shard(&peer)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match shard.get_mut(&peer) {
            Some(waiting) => {
                waiting.push_back(request);
                None
            }
            None => {
                shard.insert(peer, VecDeque::new());
                Some(request)
            }
        }
    }

    /// The connection's request has been answered; its next one, if any, has its turn.
    pub fn leave(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer else {
            return;
        };
        let mut shard = self
            .shard(&peer)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let next = shard.get_mut(&peer).and_then(VecDeque::pop_front);
        match next {
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

    fn shard(&self, peer: &SocketAddr) -> &Shard {
        &self.shards[usize::from(peer.port()) % SHARDS]
    }
}
