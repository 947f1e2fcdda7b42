//! Getting rid of requests whose body has not been read.
//!
//! To drop such a request is to wait for the rest of its body, and for an announced length of
//! 10^15 bytes to allocate as much, which ends the process. So this happens on threads of its own,
//! few of them, and what is announced too large is never dropped at all.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiny_http::{Request, Response, StatusCode};

use super::head::{self, Head};

const THREADS_MAX: usize = 32;
/// Up to this length, what has not come yet may be allocated when the request is dropped.
const DROPPED_BYTES_MAX: usize = 1024 * 1024;
/// How long the rest of a body is read and thrown away, so that the client gets to read the
/// answer before the connection is reset.
const LINGER: Duration = Duration::from_secs(2);

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Whether what follows the body is surely a request: there is one length, and so much is read. (Not
/// every client heeds the "close" that it is told, because tiny_http writes "upgrade" before it.)
pub fn can_be_read_away(request: &Request) -> bool {
    let length = request.body_length();
    Head::read(request).has_one_length() && length.is_some_and(|bytes| bytes <= DROPPED_BYTES_MAX)
}

/// Writes a whole answer, as rendered, and lets go of the request. Then tells whether its body has
/// been read to the end.
pub fn answer_and_dispose(
    request: Request,
    answer: Vec<u8>,
    done: impl FnOnce(bool) + Send + 'static,
) {
    let owed = Owed(Some((request, done)));
    // tiny_http sorts the values of TE before it writes the head of an upgrade, and panics if they
    // have no order; in the panic it would try to answer once more, which ends the process.
    if owed.has_te() {
        return log::warn!("an unread body with a TE header: a connection is abandoned");
    }
    if THREADS.fetch_add(1, Ordering::Relaxed) >= THREADS_MAX {
        THREADS.fetch_sub(1, Ordering::Relaxed);
        return log::warn!("too many unread bodies at once: a connection is abandoned");
    }
    let spawned = std::thread::Builder::new().spawn(move || {
        owed.settle(&answer);
        THREADS.fetch_sub(1, Ordering::Relaxed);
    });
    if let Err(e) = spawned {
        THREADS.fetch_sub(1, Ordering::Relaxed);
        log::warn!("no thread for an unread body: a connection is abandoned: {e}");
    }
}

/// A request to let go of, and who is told. If nobody does it, the connection is abandoned.
struct Owed<F: FnOnce(bool)>(Option<(Request, F)>);

impl<F: FnOnce(bool)> Owed<F> {
    fn has_te(&self) -> bool {
        matches!(&self.0, Some((request, _)) if head::has(request, "TE"))
    }

    fn settle(mut self, answer: &[u8]) {
        if let Some((request, done)) = self.0.take() {
            done(dispose(request, answer));
        }
    }
}

impl<F: FnOnce(bool)> Drop for Owed<F> {
    fn drop(&mut self) {
        if let Some((request, done)) = self.0.take() {
            std::mem::forget(request);
            done(false);
        }
    }
}

/// Lets go of a request without an answer. (A request that is simply dropped answers by itself.)
pub fn discard(request: Request) {
    if head::has_unread_body(&request) {
        answer_and_dispose(request, Vec::new(), |_| {});
    } else {
        drop(request.into_writer());
    }
}

/// Returns whether the body has been read to its end.
fn dispose(request: Request, answer: &[u8]) -> bool {
    let length = request.body_length().unwrap_or(0);
    // The only way to tiny_http's writer that does not drop the reader first is an upgrade, which
    // writes a head of its own. The rendered head goes out as a part of that.
    let (head, body) = split(answer);
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.get(9..12)?.parse().ok())
        .unwrap_or(400);
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("Date:")).collect();
    let upgrade = format!("none\r\n{}", lines.join("\r\n"));
    let mut stream = request.upgrade(&upgrade, Response::empty(StatusCode(status)));
    let _ = stream.write_all(body).and_then(|()| stream.flush());
    if length > DROPPED_BYTES_MAX {
        // Not read either: at the end of its input the reader drops what is inside by itself.
        std::mem::forget(stream);
        return false;
    }
    read_away(&mut stream, length)
}

/// A rendered answer's status line and headers, and its body.
fn split(answer: &[u8]) -> (&str, &[u8]) {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(answer.len());
    let head = std::str::from_utf8(&answer[..end]).unwrap_or_default();
    (head, answer.get(end + 4..).unwrap_or_default())
}

fn read_away(stream: &mut impl Read, length: usize) -> bool {
    let deadline = Instant::now() + LINGER;
    let mut buffer = [0; 8 * 1024];
    let mut read = 0;
    while read < length && Instant::now() < deadline {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(bytes) => read += bytes,
        }
    }
    read >= length
}
