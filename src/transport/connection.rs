//! One connection, on a thread of its own: one request after the other is read, answered and sent
//! before the next one is looked at. A client that pipelines, stalls or does not read holds up
//! itself.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Method};

use super::look_ahead::{COMPLETE_WITHIN, LookAhead, Seen};
use super::socket::Socket;
use crate::message::{
    BODY_BYTES_MAX, Body, Code, Head, Headers, Live, Pieces, Problem, Request, Response, Service,
    reason,
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
    let mut ahead = LookAhead::new();
    loop {
        let head_bytes = match ahead.wait(socket) {
            Seen::Request(bytes) => bytes,
            Seen::Nothing => break,
            Seen::NotHttp => {
                count_unread(service, socket);
                let _ = socket.send(NOT_HTTP);
                socket.read_away(READ_AWAY_FOR, READ_AWAY_BYTES_MAX);
                break;
            }
            Seen::Refused(code, detail) => {
                refuse_unread(socket, service, code, detail);
                break;
            }
        };
        let mut received = match requests.next() {
            Some(Ok(received)) => received,
            // tiny_http has said by itself, in a bare 400, that it cannot read it.
            Some(Err(_)) => {
                // On a Unix socket it may as well be the end of the connection.
                if socket.is_tcp() {
                    count_unread(service, socket);
                }
                break;
            }
            None => break,
        };
        let Some((request, body_is_read)) = read(socket, &mut received) else {
            // It never came to its end.
            abandon(socket, received);
            break;
        };
        // Something may follow the last chunk of a body.
        let is_read_whole = body_is_read && !request.head.is_chunked();
        let framing = Framing::of(&request, is_read_whole);
        let request_bytes = head_bytes + request.body.len();
        let response = service.respond(request);
        let closes = framing.closes || response.closes;
        let may_go_on = !closes && ahead.advance(socket, request_bytes);
        let framing = Framing {
            closes: !may_go_on,
            ..framing
        };
        let sent = framing.send(socket, response);
        if sent.is_ok() && !is_read_whole {
            socket.read_away(READ_AWAY_FOR, READ_AWAY_BYTES_MAX);
        }
        if sent.is_err() || !may_go_on {
            abandon(socket, received);
            break;
        }
        drop(received.into_writer());
    }
    drop(requests);
    socket.shutdown(Shutdown::Both);
}

/// Answers a request that tiny_http must not read.
fn refuse_unread(socket: &Socket, service: &dyn Service, code: Code, detail: &str) {
    let request = unread(socket, Problem::new(code, detail));
    let framing = Framing {
        is_head: false,
        version: (1, 1),
        keeps_alive: false,
        closes: true,
    };
    if framing.send(socket, service.respond(request)).is_ok() {
        socket.read_away(READ_AWAY_FOR, READ_AWAY_BYTES_MAX);
    }
}

/// What is answered without the service counts all the same, in the log and against the rate limit.
fn count_unread(service: &dyn Service, socket: &Socket) {
    let problem = Problem::new(Code::BadRequest, "it was answered without this");
    drop(service.respond(unread(socket, problem)));
}

fn unread(socket: &Socket, refusal: Problem) -> Request {
    let head = Head {
        method: "other",
        target: String::new(),
        version: (1, 1),
        headers: Headers::default(),
        has_control: false,
    };
    let mut request = Request::new(head, socket.peer());
    request.refusal = Some(refusal);
    request
}

/// Lets go of a request whose body may not have been read. (tiny_http would wait for the rest of it,
/// and answer by itself.)
fn abandon(socket: &Socket, received: tiny_http::Request) {
    socket.shutdown(Shutdown::Both);
    drop(received.into_writer());
}

/// The request, and whether its body was read to the end. None: that did not come in time.
fn read(socket: &Socket, received: &mut tiny_http::Request) -> Option<(Request, bool)> {
    let mut request = Request::new(head(received), received.remote_addr().map(|a| a.ip()));
    let length = received.body_length().unwrap_or(0);
    let is_chunked = request.head.is_chunked();
    if request.refusal.is_some() || length == 0 && !is_chunked {
        let is_whole = length == 0 && !is_chunked && request.refusal.is_none();
        return Some((request, is_whole));
    }
    let limit = match is_chunked {
        true => BODY_BYTES_MAX + 1,
        false => length,
    };
    match read_body(socket, received, limit) {
        Ok(body) if body.len() > BODY_BYTES_MAX => {
            request.refusal = Some(Problem::body_too_large());
            Some((request, false))
        }
        Ok(body) if is_chunked || body.len() == length => {
            request.body = body;
            Some((request, true))
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            let detail = "the body's chunks are malformed, or followed by trailers";
            request.refusal = Some(Problem::new(Code::BadRequest, detail));
            Some((request, false))
        }
        _ => None,
    }
}

fn read_body(
    socket: &Socket,
    received: &mut tiny_http::Request,
    limit: usize,
) -> io::Result<Vec<u8>> {
    let mut body = vec![0; limit];
    let has_come = received.body_length().is_some() && !expects_continue(received);
    let reader = received.as_reader();
    let read = match has_come {
        true => read_up_to(reader, &mut body)?,
        false => socket.within(COMPLETE_WITHIN, || read_up_to(reader, &mut body))?,
    };
    body.truncate(read);
    Ok(body)
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

fn expects_continue(received: &tiny_http::Request) -> bool {
    received.headers().get("Expect").is_some()
}

fn head(received: &tiny_http::Request) -> Head {
    let mut headers = Headers::default();
    let method = received.method().as_str();
    let mut has_control = has_control_in(received.url()) || has_control_in(method);
    for header in all_headers(received) {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        has_control |= has_control_in(name) || has_control_in(value);
        headers.add(name, value);
    }
    let HTTPVersion(major, minor) = *received.http_version();
    Head {
        method: known_method(received.method()),
        target: received.url().to_owned(),
        version: (major, minor),
        headers,
        has_control,
    }
}

/// tiny_http shows headers one by one, by their names, and of each name the first.
fn all_headers(received: &tiny_http::Request) -> &[tiny_http::Header] {
    let headers: *const tiny_http::Headers = received.headers();
    // SAFETY: `Headers` is declared `#[repr(transparent)]` over a `Vec<Header>` in the version of
    // tiny_http that Cargo.toml pins.
    unsafe { &*headers.cast::<Vec<tiny_http::Header>>() }
}

fn known_method(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::NonStandard(_) => "other",
    }
}

/// A tab is allowed inside a value (RFC 9110, 5.5).
fn has_control_in(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_control() && b != b'\t')
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

    fn send(mut self, socket: &Socket, mut response: Response) -> io::Result<()> {
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
