//! Looks at what a client has sent before tiny_http reads it (`MSG_PEEK`).
//!
//! tiny_http reads whatever it is given for as long as it takes, answers by itself what it does not
//! understand, and a request line of HTTP/2.0 or HTTP/3.0 has its thread wait for itself for ever.
//! So it gets to read a request when its head has come and is one that is not refused, and a small
//! body has come too. It can then not be held up in the middle.
//!
//! tiny_http reads ahead: of a client that does not wait for its answers (pipelining) it may hold
//! the beginning of the next request already. Those bytes are remembered here. How many there are
//! the kernel tells, by how many have been read from the socket in all.

use std::net::IpAddr;
use std::time::Duration;

use memchr::memmem;
use nix::sys::socket::MsgFlags;

use super::socket::Socket;
use crate::message::{BODY_BYTES_MAX, Head, Headers, Request};

/// A head, and also a body, has to be there so long after its beginning.
pub const COMPLETE_WITHIN: Duration = Duration::from_secs(15);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIRST_LOOK_BYTES: usize = 2 * 1024;
const EMPTY_LINE: &[u8] = b"\r\n";
/// RFC 9110's and RFC 5789's.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// What stands at the beginning of what has come.
pub struct Seen {
    /// For tiny_http to read, unless it is refused.
    pub request: Request,
    /// How long its head is. None: it is no HTTP, or too long.
    pub head_bytes: Option<usize>,
}

pub struct LookAhead<'s> {
    socket: &'s Socket,
    peer: Option<IpAddr>,
    /// What has come from the beginning of the next request on; as far as `known` says.
    bytes: Vec<u8>,
    known: usize,
    /// How much of that tiny_http has read already.
    held: usize,
    /// How much has been read from the socket up to the beginning of the next request.
    position: u64,
}

impl<'s> LookAhead<'s> {
    pub fn new(socket: &'s Socket) -> LookAhead<'s> {
        LookAhead {
            socket,
            peer: socket.peer(),
            bytes: vec![0; FIRST_LOOK_BYTES],
            known: 0,
            held: 0,
            position: 0,
        }
    }

    /// Waits for the next request. None: the client has finished, or takes too long.
    pub fn wait(&mut self) -> Option<Seen> {
        if self.known == 0 {
            let looked = self.socket.look(&mut self.bytes, MsgFlags::empty());
            self.known = looked.unwrap_or(0);
        }
        if self.known == 0 {
            return None;
        }
        if let Some(seen) = self.examine() {
            return Some(seen);
        }
        let socket = self.socket;
        socket.within(COMPLETE_WITHIN, || self.wait_for_the_rest())
    }

    fn wait_for_the_rest(&mut self) -> Option<Seen> {
        self.bytes.resize(HEAD_BYTES_MAX + BODY_BYTES_MAX, 0);
        loop {
            // Waits for one byte more than are known; all that have come are looked at then.
            let one_more = self.known + 1;
            self.socket.wait_for(&mut self.bytes[self.held..one_more]);
            let came = &mut self.bytes[self.held..];
            let all = self.socket.look(came, MsgFlags::MSG_DONTWAIT);
            let known = self.held + all.unwrap_or(0);
            if known <= self.known {
                // It has finished, takes too long, or sends urgent data, before which a look ends.
                return None;
            }
            self.known = known;
            if let Some(seen) = self.examine() {
                return Some(seen);
            }
        }
    }

    /// None: too little has come to tell.
    fn examine(&mut self) -> Option<Seen> {
        if self.held == 0 && self.bytes[..self.known].starts_with(EMPTY_LINE) {
            self.skip_empty_line();
        }
        examine(&self.bytes[..self.known], self.peer)
    }

    /// Some clients send one behind a body (RFC 9112, 2.2). tiny_http does not take it.
    fn skip_empty_line(&mut self) {
        self.socket.skip(&mut [0; EMPTY_LINE.len()]);
        self.position += EMPTY_LINE.len() as u64;
        self.forget(EMPTY_LINE.len());
    }

    fn forget(&mut self, bytes: usize) {
        let bytes = bytes.min(self.known);
        self.bytes.copy_within(bytes..self.known, 0);
        self.known -= bytes;
    }

    /// To be called before tiny_http reads the request that was seen.
    pub fn start_counting(&self) {
        self.socket.start_counting();
    }

    /// Goes on behind a request whose head and body had so many bytes, and have been read. False if
    /// nobody can tell any more what comes next on the connection.
    pub fn advance(&mut self, request_bytes: usize) -> bool {
        let read_before = self.position + self.held as u64;
        self.position += request_bytes as u64;
        let read = self.socket.bytes_read(read_before, self.position);
        let held = read.and_then(|read| read.checked_sub(self.position));
        let Some(held) = held else {
            return false;
        };
        self.held = held as usize;
        self.forget(request_bytes);
        // tiny_http may have read what came after the last look, and nobody has seen that; or an
        // empty line, which it would not take.
        self.held <= self.known && (self.held == 0 || self.bytes[0] != EMPTY_LINE[0])
    }
}

fn examine(bytes: &[u8], peer: Option<IpAddr>) -> Option<Seen> {
    let end = memmem::find(bytes, b"\r\n\r\n");
    if end.is_none() && may_become_a_head(bytes) {
        return None;
    }
    let head_bytes = end
        .map(|end| end + 4)
        .filter(|bytes| *bytes <= HEAD_BYTES_MAX);
    let head = head_bytes.and_then(|end| parse(&String::from_utf8_lossy(&bytes[..end - 4])));
    let (Some(head), Some(head_bytes)) = (head, head_bytes) else {
        return Some(Seen {
            request: Request::new(Head::default(), peer),
            head_bytes: None,
        });
    };
    let request = Request::new(head, peer);
    // tiny_http waits for so much before it says that there is a request.
    let body_bytes = match request.head.expects_continue() || request.refusal.is_some() {
        true => 0,
        false => request.head.length().unwrap_or(0),
    };
    let has_come = bytes.len() >= head_bytes + body_bytes;
    has_come.then_some(Seen {
        request,
        head_bytes: Some(head_bytes),
    })
}

fn may_become_a_head(bytes: &[u8]) -> bool {
    let may_begin = |first: &u8| first.is_ascii_alphabetic() || *first == EMPTY_LINE[0];
    let is_bare = |at: usize| at > 0 && bytes[at - 1] != b'\r';
    bytes.len() < HEAD_BYTES_MAX
        && bytes.first().is_none_or(may_begin)
        && !memchr::memchr_iter(b'\n', bytes).any(is_bare)
}

/// As tiny_http does it: the third word is the version, whatever follows. None: it is no HTTP.
fn parse(text: &str) -> Option<Head> {
    let mut lines = text.split("\r\n");
    let line = lines.next()?;
    let mut words = line.trim_end().split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !method.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut head = Head {
        method: METHODS.iter().find(|m| **m == method).unwrap_or(&"other"),
        target: target.to_owned(),
        version: known_version(version)?,
        headers: Headers::default(),
        is_plain: words.next().is_none() && is_plain(line),
    };
    for line in lines {
        // A line that begins with a space goes on with the last one, for some (RFC 9112, 5.2).
        let (name, value) = line.split_once(':').unwrap_or_default();
        head.is_plain &= is_plain_name(name) && is_plain(value);
        head.headers.add(name, value.trim());
    }
    Some(head)
}

/// tiny_http does not take a tab either.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

fn known_version(word: &str) -> Option<(u8, u8)> {
    match word {
        "HTTP/0.9" => Some((0, 9)),
        "HTTP/1.0" => Some((1, 0)),
        "HTTP/1.1" => Some((1, 1)),
        "HTTP/2.0" => Some((2, 0)),
        "HTTP/3.0" => Some((3, 0)),
        _ => None,
    }
}

/// tiny_http takes fewer characters in a header's name than RFC 9110, 5.1 allows.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_plain)
}
