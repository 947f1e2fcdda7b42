//! Getting rid of requests whose body has not been read.
//!
//! To drop such a request is to wait for the rest of its body, and for an announced length of
//! 10^15 bytes to allocate as much, which ends the process. So this happens on threads of its own,
//! few of them, and what is announced too large is never dropped at all.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiny_http::{Request, Response, StatusCode};

const THREADS_MAX: usize = 32;
/// Up to this length, what has not come yet may be allocated when the request is dropped.
const DROPPED_BYTES_MAX: usize = 1024 * 1024;
/// How long the rest of a body is read and thrown away, so that the client gets to read the
/// answer before the connection is reset.
const LINGER: Duration = Duration::from_secs(2);

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Writes `answer` and lets go of the request.
pub fn answer_and_dispose(request: Request, answer: Vec<u8>) {
    if THREADS.fetch_add(1, Ordering::Relaxed) >= THREADS_MAX {
        THREADS.fetch_sub(1, Ordering::Relaxed);
        log::warn!("too many unread bodies at once: a connection is abandoned");
        std::mem::forget(request);
        return;
    }
    std::thread::spawn(move || {
        dispose(request, &answer);
        THREADS.fetch_sub(1, Ordering::Relaxed);
    });
}

fn dispose(request: Request, answer: &[u8]) {
    let length = request.body_length().unwrap_or(0);
    // The only way to tiny_http's writer that does not drop the reader first is an upgrade, which
    // sends an answer of its own. As an interim answer (RFC 9110, 15.2) it is one to be ignored.
    let interim = Response::empty(StatusCode(100));
    let mut stream = request.upgrade("close", interim);
    let _ = stream.write_all(answer).and_then(|()| stream.flush());
    let read = read_away(&mut stream, length);
    if length - read > DROPPED_BYTES_MAX {
        std::mem::forget(stream);
    }
}

/// Returns how much came of `length` bytes.
fn read_away(stream: &mut impl Read, length: usize) -> usize {
    let deadline = Instant::now() + LINGER;
    let mut buffer = [0; 8 * 1024];
    let mut read = 0;
    while read < length && Instant::now() < deadline {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(bytes) => read += bytes,
        }
    }
    read
}
