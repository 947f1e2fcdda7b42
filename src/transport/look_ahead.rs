//! Looks at what a client has sent before tiny_http reads it (`MSG_PEEK`).
//!
//! tiny_http reads whatever it is given for as long as it takes, and a request line of HTTP/2.0 or
//! HTTP/3.0 has its thread wait for itself for ever. So it gets to read a request when its head has
//! come, is no longer than it may be, and is of HTTP/1; and a small body has come too. Neither can
//! then be held up in the middle.
//!
//! tiny_http reads ahead: of a client that does not wait for its answers (pipelining) it may hold
//! the beginning of the next request already. Those bytes are remembered here. How many there are
//! the kernel tells, by how many have been read from the socket in all.

use std::time::Duration;

use memchr::memmem;
use nix::sys::socket::MsgFlags;

use super::socket::Socket;
use crate::message::{BODY_BYTES_MAX, Code};

/// A connection on which nothing is said for so long is closed (as long as nginx keeps one).
pub const IDLE: Duration = Duration::from_secs(60);
/// A head, and also a body, has to be there so long after its beginning.
pub const COMPLETE_WITHIN: Duration = Duration::from_secs(15);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIRST_LOOK_BYTES: usize = 2 * 1024;

/// What stands at the beginning of what has come.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// A request for tiny_http to read; how long its head is.
    Request(usize),
    /// A request that tiny_http would answer by itself, or wait for itself over.
    Refused(Code, &'static str),
    /// Nothing that tiny_http should read, for it is no HTTP, or its head is too long.
    NotHttp,
    /// The client has finished, or takes too long.
    Nothing,
}

pub struct LookAhead {
    /// What has come from the beginning of the next request on; as far as `known` says.
    bytes: Vec<u8>,
    known: usize,
    /// How much of that tiny_http has read already.
    held: usize,
    /// How much has been read from the socket up to the beginning of the next request.
    position: u64,
}

impl LookAhead {
    pub fn new() -> LookAhead {
        LookAhead {
            bytes: vec![0; FIRST_LOOK_BYTES],
            known: 0,
            held: 0,
            position: 0,
        }
    }

    /// Waits for the next request.
    pub fn wait(&mut self, socket: &Socket) -> Seen {
        if !socket.is_tcp() {
            return self.glance(socket);
        }
        if self.known == 0 {
            let looked = socket.look(&mut self.bytes, MsgFlags::empty());
            self.known = looked.unwrap_or(0);
        }
        if self.known == 0 {
            return Seen::Nothing;
        }
        match examine(&self.bytes[..self.known]) {
            Some(seen) => seen,
            None => socket.within(COMPLETE_WITHIN, || self.wait_for_the_rest(socket)),
        }
    }

    fn wait_for_the_rest(&mut self, socket: &Socket) -> Seen {
        self.bytes.resize(HEAD_BYTES_MAX + BODY_BYTES_MAX, 0);
        loop {
            // Waits for one byte more than are known; all that have come are looked at then.
            let one_more = self.known + 1;
            let _ = socket.look(&mut self.bytes[self.held..one_more], MsgFlags::MSG_WAITALL);
            let all = socket.look(&mut self.bytes[self.held..], MsgFlags::MSG_DONTWAIT);
            let known = self.held + all.unwrap_or(0);
            if known > self.known {
                self.known = known;
                if let Some(seen) = examine(&self.bytes[..known]) {
                    return seen;
                }
            } else {
                // It has finished, takes too long, or sends urgent data, before which a look ends.
                return Seen::Nothing;
            }
        }
    }

    /// Of a Unix socket the kernel does not tell how much has been read, so tiny_http is let read
    /// whatever comes next. Who may use the socket is the operator's own proxy.
    fn glance(&mut self, socket: &Socket) -> Seen {
        let seen = socket.look(&mut self.bytes, MsgFlags::MSG_DONTWAIT);
        match examine(&self.bytes[..seen.unwrap_or(0)]) {
            Some(refused @ Seen::Refused(Code::VersionNotSupported, _)) => refused,
            _ => Seen::Request(0),
        }
    }

    /// Goes on behind a request whose head and body had so many bytes, and have been read. False if
    /// nobody can tell any more what comes next on the connection.
    pub fn advance(&mut self, socket: &Socket, request_bytes: usize) -> bool {
        if !socket.is_tcp() {
            return true;
        }
        self.position += request_bytes as u64;
        let (known, held) = match socket.bytes_received() {
            Some(received) if received == self.position => (0, 0),
            _ => match socket.bytes_read() {
                Some(read) if read >= self.position => {
                    let known = self.known.saturating_sub(request_bytes);
                    (known, (read - self.position) as usize)
                }
                _ => return false,
            },
        };
        // tiny_http may have read what came after the last look, and nobody has seen that.
        if held > known {
            return false;
        }
        self.bytes
            .copy_within(request_bytes.min(self.known)..self.known, 0);
        (self.known, self.held) = (known, held);
        true
    }
}

/// None: too little has come to tell.
fn examine(bytes: &[u8]) -> Option<Seen> {
    let first = *bytes.first()?;
    if !first.is_ascii_alphabetic() && first != b'\r' && first != b'\n' {
        return Some(Seen::NotHttp);
    }
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        let is_bare = |at: usize| at > 0 && bytes[at] == b'\n' && bytes[at - 1] != b'\r';
        let has_bare_line_end = memchr::memchr_iter(b'\n', bytes).any(is_bare);
        let is_no_http = has_bare_line_end || bytes.len() >= HEAD_BYTES_MAX;
        return is_no_http.then_some(Seen::NotHttp);
    };
    let (head, head_bytes) = (&bytes[..end], end + 4);
    if head_bytes > HEAD_BYTES_MAX {
        return Some(Seen::NotHttp);
    }
    if let Some((code, detail)) = refusal(head) {
        return Some(Seen::Refused(code, detail));
    }
    // tiny_http waits for so much before it says that there is a request.
    let length = header(head, b"content-length").map_or(0, to_number);
    let comes_at_once = length <= BODY_BYTES_MAX && header(head, b"expect").is_none();
    if comes_at_once && bytes.len() < head_bytes + length {
        return None;
    }
    Some(Seen::Request(head_bytes))
}

/// In the order of [`crate::message::Head::refusal`], as far as a request must not get there.
fn refusal(head: &[u8]) -> Option<(Code, &'static str)> {
    let length = header(head, b"content-length");
    let coding = header(head, b"transfer-encoding");
    let is_foreign_coding = coding.is_some_and(|coding| coding != b"chunked");
    let expected = header(head, b"expect");
    let is_foreign = |value: &[u8]| !value.eq_ignore_ascii_case(b"100-continue");
    let is_foreign_expectation = expected.is_some_and(is_foreign);
    let has_two_lengths = coding.is_some() && length.is_some();
    let is_readable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n');
    let is_number = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let is_readable = head.iter().all(is_readable)
        && has_plain_names(head)
        && length.is_none_or(is_number)
        && !is_foreign_coding
        && !has_two_lengths;
    let line_end = memmem::find(head, b"\r\n").unwrap_or(head.len());
    // As tiny_http does it: the third word is the version, whatever follows.
    let mut words = head[..line_end].trim_ascii().split(|byte| *byte == b' ');
    let (version, rest) = (words.nth(2).unwrap_or_default(), words.next());
    if length.map_or(0, to_number) > BODY_BYTES_MAX && is_foreign_expectation {
        Some((Code::BodyTooLarge, "a body may have 1,024 bytes at most"))
    } else if is_foreign_expectation {
        Some((Code::ExpectationFailed, "only 100-continue can be expected"))
    } else if matches!(version, b"HTTP/2.0" | b"HTTP/3.0") {
        Some((Code::VersionNotSupported, "this port speaks HTTP/1.1"))
    } else if rest.is_some() {
        let detail = "the request line has three words";
        Some((Code::BadRequest, detail))
    } else if !is_readable {
        let detail = "the head must be printable ASCII, name its headers by letters, \
                      digits, - and _, and tell a body's length in one way: \
                      Content-Length, or Transfer-Encoding: chunked";
        Some((Code::BadRequest, detail))
    } else {
        None
    }
}

/// tiny_http takes fewer characters in a header's name than RFC 9110, 5.1 allows.
fn has_plain_names(head: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.all(|line| match memchr::memchr(b':', line) {
        Some(end) => line[..end].iter().all(is_plain),
        None => false,
    })
}

/// Digits that are too many stand for more than there ever is.
fn to_number(digits: &[u8]) -> usize {
    let digit = |n: usize, digit: &u8| {
        let digit = usize::from(digit.wrapping_sub(b'0'));
        n.saturating_mul(10).saturating_add(digit)
    };
    digits.iter().fold(0, digit)
}

/// The value of the first header of that name (in lower case).
fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}
