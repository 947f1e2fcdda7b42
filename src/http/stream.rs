//! Answers of any length, made and sent piece by piece.
//!
//! A worker that wrote one would wait for a slow reader, so threads of their own do it: few of them,
//! each with its own connection. Only one piece is in memory at a time, and no snapshot of the
//! database is held while a client reads, or else the WAL could not start over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::answer::Answer;
use super::exchange::Exchange;
use super::problem::{Code, Problem};
use crate::error::Error;
use crate::store::Db;

/// So many at once.
pub const STREAMS_MAX: usize = 4;
/// Whoever reads more slowly than this is cut off. (Who reads nothing is cut off much sooner, by the
/// listener's TCP_USER_TIMEOUT.)
const SENT_WITHIN: Duration = Duration::from_secs(600);

/// Makes the next piece of a body; an empty one is its end.
pub type Pieces = Box<dyn FnMut(&Db) -> Result<Vec<u8>, Error> + Send>;

/// An answer whose body is yet to be made.
pub struct Stream {
    pub exchange: Exchange,
    pub answer: Answer,
    pub pieces: Pieces,
}

/// Hands streams to the threads that send them.
pub struct Streams {
    sender: Sender<Stream>,
    sending: Arc<AtomicUsize>,
}

impl Streams {
    /// One thread for each connection.
    pub fn start(readers: Vec<Db>) -> std::io::Result<Streams> {
        let (sender, receiver) = bounded(0);
        let sending = Arc::new(AtomicUsize::new(0));
        for (n, db) in readers.into_iter().enumerate() {
            let (receiver, sending) = (receiver.clone(), sending.clone());
            let thread = std::thread::Builder::new().name(format!("stream-{n}"));
            thread.spawn(move || serve(&db, &receiver, &sending))?;
        }
        Ok(Streams { sender, sending })
    }

    /// Sends it, or refuses if all threads are busy.
    pub fn send(&self, stream: Stream) {
        self.sending.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) =
            self.sender.try_send(stream)
        {
            self.sending.fetch_sub(1, Ordering::Relaxed);
            let why = "as many lists as can be sent at once are being sent; try again";
            let problem = Problem::new(Code::Overloaded, why).header("Retry-After", "1");
            refused.exchange.answer_result(Err(problem));
        }
    }

    /// How many are being sent.
    pub fn sending(&self) -> usize {
        self.sending.load(Ordering::Relaxed)
    }
}

fn serve(db: &Db, streams: &Receiver<Stream>, sending: &AtomicUsize) {
    while let Ok(stream) = streams.recv() {
        // A panic is a bug; it costs its request, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| stream.send(db)));
        sending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    /// Refuses if the first piece cannot be made; afterwards an error can only break the answer off.
    fn send(mut self, db: &Db) {
        let deadline = Instant::now() + SENT_WITHIN;
        let first = match (self.pieces)(db) {
            Ok(first) => first,
            Err(e) => return self.exchange.answer_result(Err(e.into())),
        };
        self.exchange
            .answer_in_pieces(&self.answer, first, || match Instant::now() < deadline {
                true => (self.pieces)(db).map_err(std::io::Error::other),
                false => Err(std::io::ErrorKind::TimedOut.into()),
            });
    }
}
