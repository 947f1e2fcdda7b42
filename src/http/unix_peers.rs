//! Answers to peers on a Unix socket.
//!
//! Their connections have no address to tell them apart by, so `lanes.rs` cannot see to it that an
//! answer does not have to wait for the one before it on its connection; nor does a time limit end
//! the wait for a peer that does not read. Proxies do neither, but should another peer do it, no
//! worker may be caught in that wait: it may be the one to commit what the others wait for. So
//! threads of their own write these answers, as many as there are answers that wait. Only so many
//! requests are taken at a time; the next ones wait until some of these are answered.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Requests that have been taken and whose answers are not written yet, at most.
const OWED_MAX: usize = 1_024;
const TICK: Duration = Duration::from_millis(20);
/// Peers that read none of so many answers for two seconds are not going to. It is counted in ticks
/// because a machine that stood still for a while is not their fault.
const DEAF_TICKS: u32 = 100;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(5);
/// What a stop leaves to peers that do not read.
const FINISHED_WITHIN: Duration = Duration::from_millis(500);

type Writer = Box<dyn Write + Send>;
type Unwritten = (Writer, Vec<u8>);

pub struct UnixPeers {
    /// To a thread that waits for work, if there is one.
    hand: (Sender<Unwritten>, Receiver<Unwritten>),
    /// Requests that are being worked on.
    unanswered: AtomicUsize,
    /// Answers that wait for their turn, or for their reader.
    unwritten: Arc<AtomicUsize>,
    retire: Sender<String>,
}

impl UnixPeers {
    pub fn new(retire: Sender<String>) -> UnixPeers {
        UnixPeers {
            hand: bounded(0),
            unanswered: AtomicUsize::new(0),
            unwritten: Arc::default(),
            retire,
        }
    }

    /// A request has been taken.
    pub fn taken(&self) {
        self.unanswered.fetch_add(1, Ordering::AcqRel);
    }

    /// It has been answered, even if the answer is not written yet.
    pub fn answered(&self) {
        self.unanswered.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether one more may be taken.
    pub fn has_room(&self) -> bool {
        let owed = self.unanswered.load(Ordering::Acquire) + self.unwritten.load(Ordering::Acquire);
        owed < OWED_MAX
    }

    /// Returns when one more may be taken, or the server stops. Requests were taken in the order of
    /// their connection, so what is owed waits for a commit, or for a peer that does not read; that
    /// nothing is left to be done and still nothing is written is the peers' doing, and then only
    /// another server helps. Whoever waits may be the only one left to `commit`.
    pub fn wait_for_room(&self, stopping: &AtomicBool, commit: impl Fn()) {
        let mut ticks = 0;
        while !self.has_room() && !stopping.load(Ordering::Acquire) {
            std::thread::sleep(TICK);
            commit();
            let all_answered = self.unanswered.load(Ordering::Acquire) == 0;
            ticks = if all_answered { ticks + 1 } else { 0 };
            if ticks == DEAF_TICKS {
                self.retire("too many answers on the Unix socket that nobody reads");
            }
        }
    }

    /// Returns at once.
    pub fn write(&self, writer: Writer, bytes: Vec<u8>) {
        self.unwritten.fetch_add(1, Ordering::AcqRel);
        let Err(TrySendError::Full(first) | TrySendError::Disconnected(first)) =
            self.hand.0.try_send((writer, bytes))
        else {
            return;
        };
        // A writer that is dropped lets the next answer of its connection pass for its own.
        let first = ManuallyDrop::new(first);
        let (hand, unwritten) = (self.hand.1.clone(), self.unwritten.clone());
        let spawned = std::thread::Builder::new().spawn(move || {
            let mut next = Ok(ManuallyDrop::into_inner(first));
            while let Ok((writer, bytes)) = next {
                write(writer, &bytes);
                unwritten.fetch_sub(1, Ordering::AcqRel);
                next = hand.recv_timeout(IDLE);
            }
        });
        if let Err(e) = spawned {
            self.retire(&format!("an answer has no thread to write it: {e}"));
        }
    }

    fn retire(&self, why: &str) {
        let _ = self.retire.try_send(why.to_owned());
    }

    /// Waits until everything is written, but not long.
    pub fn finish(&self) {
        let deadline = Instant::now() + FINISHED_WITHIN;
        while self.unwritten.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A client that went away is no news.
pub fn write(mut writer: Writer, bytes: &[u8]) {
    let _ = writer.write_all(bytes).and_then(|()| writer.flush());
}
