//! The usher: sees to it that every connection gets a thread.
//!
//! tiny_http leaves a new connection to a thread of its pool that waits, also if it has just left
//! another one to the same thread, which has not woken up yet. The second one then lies there until
//! any thread is done with its own client. So when connections come, the usher knocks: it connects,
//! and is turned away by tiny_http at once. The thread that did so takes up what lies there.
//!
//! The usher does not see everybody who comes: tiny_http may be quicker to take them. So it also knocks
//! when there have been requests, because who sent them may not have come alone.
//!
//! A knock that finds no thread waiting gets a new one. As long as that is so, or a knock itself is
//! left lying, there may be more to take up; once it is not, all have been.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use nix::poll::{PollFd, PollFlags, poll};

use super::pulse::{Beat, Target};
use crate::process;

/// No request line: tiny_http answers by itself, and closes the connection.
const KNOCK: &[u8] = b"\r\n";
/// At a time, for each takes three descriptors while it lasts;
const KNOCKS_MAX: usize = 8;
/// and so many are left lying at most, in a backlog that belongs to the clients.
const UNANSWERED_MAX: usize = 32;
/// Longer than a knock takes unless it is left lying.
const ANSWERED_WITHIN: Duration = Duration::from_millis(5);
const LOOKS_EVERY: Duration = Duration::from_micros(200);
/// Many come together. Also, where they come without end, each for one request, they are seen to so
/// often.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it watches before it asks whether there have been requests.
const POLL_MS: u16 = 10;

pub struct Usher {
    pub target: Target,
    /// To see that somebody comes; tiny_http takes them from it.
    pub listener: OwnedFd,
    /// How many requests there have been.
    pub requests: Box<dyn Fn() -> usize + Send>,
}

impl Usher {
    /// Works until `stop` is dropped.
    pub fn run(self, stop: &Receiver<()>) {
        let goes_on = |after| stop.recv_timeout(after) == Err(RecvTimeoutError::Timeout);
        let mut unanswered: Vec<Beat> = Vec::new();
        let mut requests = 0;
        while goes_on(Duration::ZERO) {
            let before = std::mem::replace(&mut requests, (self.requests)());
            let mut is_needed = self.sees_somebody() || requests != before;
            // Where a knock was needed more may have come since, who are not seen any more.
            while is_needed && goes_on(PAUSE) {
                let mut needed = self.knock(1, &mut unanswered);
                is_needed = needed > 0;
                while needed > 0 && goes_on(Duration::ZERO) {
                    needed = self.knock(KNOCKS_MAX.min(2 * needed), &mut unanswered);
                }
            }
        }
    }

    fn sees_somebody(&self) -> bool {
        let mut listener = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut listener, POLL_MS), Ok(1..))
    }

    /// Returns how many new threads that took, or how many knocks are left lying if that is more.
    fn knock(&self, knocks: usize, unanswered: &mut Vec<Beat>) -> usize {
        let before = process::threads().unwrap_or(0);
        let room = UNANSWERED_MAX.saturating_sub(unanswered.len());
        let send = |_| Beat::send(&self.target, KNOCK).ok();
        unanswered.extend((0..knocks.min(room)).filter_map(send));
        let deadline = Instant::now() + ANSWERED_WITHIN;
        loop {
            unanswered.retain(|knock| !knock.is_answered());
            if unanswered.is_empty() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(LOOKS_EVERY);
        }
        let new = process::threads().unwrap_or(0).saturating_sub(before);
        unanswered.len().max(new)
    }
}
