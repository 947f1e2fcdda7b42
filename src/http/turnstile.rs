//! How workers take requests from tiny_http: one worker at a time, as many as are there.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};

use tiny_http::Request;

use super::worker::Shared;

/// A worker takes so many requests at most before it sees to the commit queue: the more of them are
/// taken together, the more share a snapshot and an fsync.
pub const TAKEN_TOGETHER_MAX: usize = 32;
const STOPPING: &str = "stopping";

/// Takes the requests that are there, and waits for one if there is none. Also an error may come
/// behind requests that have been taken: each of them is owed an answer.
///
/// A request is taken and put into its lane in one step, or else the second one of a connection
/// could enter its lane first. So only one worker takes at a time; whoever waits for a request
/// behind the turnstile is not waited for by one that has some.
pub fn take(shared: &Shared, taken: &mut Vec<Request>) -> io::Result<()> {
    // A client that pipelines gets one of each worker's turns, not all of them.
    taken.extend(shared.resumed.try_recv());
    let turnstile = match taken.is_empty() {
        true => shared.turnstile.lock(),
        false => match shared.turnstile.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Poisoned(poisoned)) => Err(poisoned),
            Ok(turnstile) => Ok(turnstile),
        },
    };
    let _turnstile = turnstile.unwrap_or_else(PoisonError::into_inner);
    while taken.len() < TAKEN_TOGETHER_MAX {
        let peers = &shared.lanes.unix_peers;
        if !peers.has_room() {
            if !taken.is_empty() {
                break;
            }
            peers.wait_for_room(&shared.stopping, || shared.commits.lead());
        }
        let request = match shared.server.try_recv()? {
            Some(request) => request,
            None if !taken.is_empty() || !shared.resumed.is_empty() => break,
            // `try_recv` swallows the call to stop, and the one to commit, without a word.
            None if shared.stopping.load(Ordering::Acquire) => {
                return Err(io::Error::other(STOPPING));
            }
            None if shared.commits.calls() => break,
            None => wait(shared)?,
        };
        taken.extend(shared.lanes.enter(request));
    }
    Ok(())
}

fn wait(shared: &Shared) -> io::Result<Request> {
    shared.idle_workers.fetch_add(1, Ordering::Relaxed);
    let received = shared.server.recv();
    shared.idle_workers.fetch_sub(1, Ordering::Relaxed);
    received
}

/// Another thread's `unblock()`: there is something to look after that is no request.
pub fn is_wake_up(error: &io::Error) -> bool {
    error.to_string() == "thread unblocked"
}

/// There is no request left, and the server is to stop.
pub fn is_end(error: &io::Error) -> bool {
    error.to_string() == STOPPING
}
