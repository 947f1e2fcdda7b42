//! Answers to peers on a Unix socket.
//!
//! Their connections have no address to tell them apart by, so `lanes.rs` cannot see to it that an
//! answer does not have to wait for the one before it on its connection; nor does a time limit end
//! the wait for a peer that does not read. Proxies do neither, but should another peer do it, no
//! worker may be caught in that wait: it may be the one to commit what the others wait for. So
//! threads of their own write these answers, as many as there are answers that wait.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Answers on their way, at most. Beyond that only another server helps.
const UNWRITTEN_MAX: usize = 1_024;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(5);
/// What a stop leaves to peers that do not read.
const FINISHED_WITHIN: Duration = Duration::from_millis(500);

type Writer = Box<dyn Write + Send>;
type Unwritten = (Writer, Vec<u8>);

pub struct UnixPeers {
    /// To a thread that waits for work, if there is one.
    hand: (Sender<Unwritten>, Receiver<Unwritten>),
    unwritten: Arc<AtomicUsize>,
    retire: Sender<String>,
}

impl UnixPeers {
    pub fn new(retire: Sender<String>) -> UnixPeers {
        UnixPeers {
            hand: bounded(0),
            unwritten: Arc::default(),
            retire,
        }
    }

    /// Returns at once.
    pub fn write(&self, writer: Writer, bytes: Vec<u8>) {
        if self.unwritten.fetch_add(1, Ordering::AcqRel) >= UNWRITTEN_MAX {
            let why = "too many answers on the Unix socket that nobody reads";
            let _ = self.retire.try_send(why.to_owned());
            std::mem::forget(writer);
            return;
        }
        if let Err(TrySendError::Full(first) | TrySendError::Disconnected(first)) =
            self.hand.0.try_send((writer, bytes))
        {
            let (hand, unwritten) = (self.hand.1.clone(), self.unwritten.clone());
            std::thread::spawn(move || {
                let mut next = Ok(first);
                while let Ok((writer, bytes)) = next {
                    write(writer, &bytes);
                    unwritten.fetch_sub(1, Ordering::AcqRel);
                    next = hand.recv_timeout(IDLE);
                }
            });
        }
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
