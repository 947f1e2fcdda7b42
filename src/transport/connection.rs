//! One connection, on a thread of its own: one request after the other is read, answered and sent
//! before the next one is looked at. A client that pipelines, stalls or does not read holds up
//! itself.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::look_ahead::{COMPLETE_WITHIN, LookAhead};
use super::socket::Socket;
use crate::message::{
    BODY_BYTES_MAX, Body, Code, Live, Pieces, Problem, Request, Response, Service, reason,
};

/// What is left of a request that was not read to its end is read away for so long, or so much.
const READ_AWAY_FOR: Duration = Duration::from_secs(2);
const READ_AWAY_BYTES_MAX: usize = 1024 * 1024;
/// A response in pieces is broken off after this; each of them has to be taken much sooner.
const PIECES_WITHIN: Duration = Duration::from_secs(600);

const NOT_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Serves until either side ends the connection. When this returns, tiny_http has let go of it.
pub fn serve<E>(
    socket: &Socket,
    mut requests: impl Iterator<Item = Result<tiny_http::Request, E>>,
    service: &dyn Service,
) {
    let mut ahead = LookAhead::new(socket);
    while let Some(seen) = ahead.wait() {
        let Some(head_bytes) = seen.head_bytes else {
            // It counts all the same, in the log and against the rate limit.
            drop(service.respond(seen.request));
            let _ = socket.send(NOT_HTTP);
            socket.read_away(READ_AWAY_FOR, READ_AWAY_BYTES_MAX);
            break;
        };
        let mut request = seen.request;
        let mut received = None;
        if request.refusal.is_none() {
            ahead.start_counting();
            let Some(Ok(next)) = requests.next() else {
                break;
            };
            let next = received.insert(next);
            if !read_body(socket, next, &mut request) {
                let_go(socket, received);
                break;
            }
        }
        // Something may follow the last chunk of a body.
        let is_read_whole = request.refusal.is_none() && !request.head.is_chunked();
        let mut framing = Framing::of(&request, is_read_whole);
        let request_bytes = head_bytes + request.body.len();
        let response = service.respond(request);
        framing.closes = framing.closes || response.closes || !ahead.advance(request_bytes);
        let sent = framing.send(socket, response);
        if sent.is_ok() && !framing.closes {
            drop(received.map(tiny_http::Request::into_writer));
            continue;
        }
        if sent.is_ok() && (!is_read_whole || socket.bytes_waiting() > 0) {
            socket.read_away(READ_AWAY_FOR, READ_AWAY_BYTES_MAX);
        }
        let_go(socket, received);
        break;
    }
    drop(requests);
    socket.shutdown(Shutdown::Both);
}

/// Lets go of a request whose body may not have been read. (tiny_http would wait for the rest of it,
/// and answer by itself.)
fn let_go(socket: &Socket, received: Option<tiny_http::Request>) {
    socket.shutdown(Shutdown::Both);
    drop(received.map(tiny_http::Request::into_writer));
}

/// Reads the body into the request, or notes why it is refused. False: it did not come in time.
fn read_body(socket: &Socket, received: &mut tiny_http::Request, request: &mut Request) -> bool {
    let is_chunked = request.head.is_chunked();
    let length = request.head.length().unwrap_or(0);
    let limit = match is_chunked {
        true => BODY_BYTES_MAX + 1,
        false => length,
    };
    if limit == 0 {
        return true;
    }
    let mut body = vec![0; limit];
    let reader = received.as_reader();
    let read = match is_chunked || request.head.expects_continue() {
        true => socket.within(COMPLETE_WITHIN, || read_up_to(reader, &mut body)),
        false => read_up_to(reader, &mut body),
    };
    match read {
        Ok(read) if read > BODY_BYTES_MAX => request.refusal = Some(Problem::body_too_large()),
        Ok(read) if is_chunked || read == length => {
            body.truncate(read);
            request.body = body;
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            let detail = "the body's chunks are malformed, or followed by trailers";
            request.refusal = Some(Problem::new(Code::BadRequest, detail));
        }
        _ => return false,
    }
    true
}

/// Fills the buffer, if there is so much to be read.
fn read_up_to(reader: &mut dyn io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match reader.read(&mut buffer[read..])? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(read)
}

/// How a response is put on the wire.
struct Framing {
    is_head: bool,
    version: (u8, u8),
    /// HTTP/1.0 has to be told.
    keeps_alive: bool,
    closes: bool,
}

impl Framing {
    fn of(request: &Request, is_read_whole: bool) -> Framing {
        let head = &request.head;
        // tiny_http ends a connection that asked for an upgrade.
        let ends = head.closes() || head.upgrades() || !is_read_whole;
        Framing {
            is_head: request.is_head(),
            version: head.version,
            keeps_alive: head.keeps_alive(),
            closes: ends,
        }
    }

    fn send(&mut self, socket: &Socket, mut response: Response) -> io::Result<()> {
        match std::mem::replace(&mut response.body, Body::Whole(Vec::new())) {
            Body::Whole(body) => {
                let mut bytes = self.head(&response, Some(body.len()));
                if !self.is_head {
                    bytes.extend_from_slice(&body);
                }
                socket.send(&bytes)
            }
            Body::InPieces(first, more) => {
                // HTTP/1.0 has no chunks: there the body ends with the connection.
                self.closes |= self.version < (1, 1);
                let sent = self.send_pieces(socket, &response, first, more);
                sent.inspect_err(|e| log::warn!("a response broke off: {e}"))
            }
            Body::Live(more) => {
                self.closes |= self.version < (1, 1);
                let sent = self.send_live(socket, &response, more);
                // Most that ends does so because the client has gone.
                sent.inspect_err(|e| log::debug!("a stream ended: {e}"))
            }
        }
    }

    /// If it breaks off, the client can tell: the last chunk (RFC 9112, 7.1) is missing.
    fn send_pieces(
        &self,
        socket: &Socket,
        response: &Response,
        first: Vec<u8>,
        mut more: Pieces,
    ) -> io::Result<()> {
        let deadline = Instant::now() + PIECES_WITHIN;
        let mut bytes = self.head(response, None);
        let mut piece = first;
        while !self.is_head && !piece.is_empty() {
            self.put_chunk(&mut bytes, &piece);
            socket.send(&bytes)?;
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            bytes.clear();
            piece = more()?;
        }
        if !self.is_head {
            self.put_chunk(&mut bytes, &[]);
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => socket.send(&bytes),
        }
    }

    /// Has no deadline of its own, but each piece has to be taken in time.
    fn send_live(&self, socket: &Socket, response: &Response, mut more: Live) -> io::Result<()> {
        let mut bytes = self.head(response, None);
        if self.is_head {
            return socket.send(&bytes);
        }
        socket.buffer_little();
        while let Some(piece) = more()? {
            if !piece.is_empty() {
                self.put_chunk(&mut bytes, &piece);
                socket.send(&bytes)?;
                bytes.clear();
            } else if socket.has_finished() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        self.put_chunk(&mut bytes, &[]);
        match bytes.is_empty() {
            true => Ok(()),
            false => socket.send(&bytes),
        }
    }

    /// An empty one is the last.
    fn put_chunk(&self, out: &mut Vec<u8>, piece: &[u8]) {
        if self.version < (1, 1) {
            return out.extend_from_slice(piece);
        }
        let _ = write!(out, "{:x}\r\n", piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }

    /// Everything in front of the body. `length` None: it comes in pieces.
    fn head(&self, response: &Response, length: Option<usize>) -> Vec<u8> {
        let status = response.status;
        let mut out = Vec::with_capacity(512 + length.unwrap_or(0));
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
        with_date(|date| drop(write!(out, "Date: {date}\r\n")));
        if let Some(content_type) = response.content_type {
            let _ = write!(out, "Content-Type: {content_type}\r\n");
            match length {
                Some(bytes) => drop(write!(out, "Content-Length: {bytes}\r\n")),
                None if self.version >= (1, 1) => {
                    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n")
                }
                None => {}
            }
        }
        out.extend_from_slice(response.headers.as_bytes());
        if self.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.keeps_alive {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// RFC 9110, 6.6.1. It is the same text for a second, so it is made once a second.
fn with_date(use_it: impl FnOnce(&str)) {
    thread_local! {
        static DATE: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = chrono::Utc::now();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now.timestamp() {
            *second = now.timestamp();
            *text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        use_it(text);
    });
}
