//! A request as received, and why it is refused for what its head alone shows.
//!
//! The rules are strict: a request that two parsers could understand in two ways is not understood
//! at all.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::problem::{Code, Problem};

pub const BODY_BYTES_MAX: usize = 1_024;
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The headers that are read; all others are dropped when a request comes in.
const NAMES: [&str; 20] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "X-Role",
    "Authorization",
    "X-Request-Id",
    "Idempotency-Key",
    "X-Forwarded-For",
    "Transfer-Encoding",
    "Expect",
    "Connection",
    "Accept",
    "Accept-Language",
    "If-None-Match",
    "If-Match",
    "Last-Event-ID",
    "Origin",
    "Access-Control-Request-Method",
    "traceparent",
    "X-Test-Panic",
];

/// Values are as received: not one of them may be sent back or logged unchecked.
#[derive(Debug, Default)]
pub struct Headers(Vec<(&'static str, String)>);

/// A header that may be sent once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Field<'r> {
    #[default]
    Absent,
    Once(&'r str),
    Repeated,
}

impl Headers {
    pub fn add(&mut self, name: &str, value: &str) {
        let known = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name));
        if let Some(name) = known {
            self.0.push((name, value.to_owned()));
        }
    }

    /// All values of a header, in the order received.
    pub fn all(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &str> + Clone {
        let headers = self.0.iter().filter(move |(known, _)| *known == name);
        headers.map(|(_, value)| value.as_str())
    }

    pub fn one(&self, name: &'static str) -> Field<'_> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(value), None) => Field::Once(value),
            (Some(_), Some(_)) => Field::Repeated,
        }
    }

    /// The caller's place in a trace (W3C Trace Context, 3.2), if it is well-formed.
    pub fn traceparent(&self) -> Option<&str> {
        let Field::Once(value) = self.one("traceparent") else {
            return None;
        };
        let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let lengths = value.split('-').map(str::len);
        let is_good = lengths.eq([2, 32, 16, 2]) && value.split('-').all(is_hex);
        is_good.then_some(value)
    }

    fn has(&self, name: &'static str) -> bool {
        self.all(name).next().is_some()
    }
}

/// What stands in front of a request's body.
pub struct Head {
    /// One of RFC 9110's and RFC 5789's; "other" stands for all that the field does not know.
    pub method: &'static str,
    pub target: String,
    /// Major, minor.
    pub version: (u8, u8),
    pub headers: Headers,
    /// The request line has three words, and every line the characters that it may have.
    pub is_plain: bool,
}

/// Of what is no request.
impl Default for Head {
    fn default() -> Head {
        Head {
            method: "other",
            target: String::new(),
            version: (1, 1),
            headers: Headers::default(),
            is_plain: false,
        }
    }
}

impl Head {
    /// Why the request is refused for what its head alone shows, in this order: 413, 417, 505, 400.
    pub fn refusal(&self) -> Option<Problem> {
        let problem = |code, detail: &str| Some(Problem::new(code, detail));
        let length = self.length();
        if length.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Some(Problem::body_too_large());
        }
        match self.headers.one("Expect") {
            Field::Once(expected) if !expected.eq_ignore_ascii_case("100-continue") => {
                return problem(Code::ExpectationFailed, "only 100-continue can be expected");
            }
            Field::Repeated => return problem(Code::ExpectationFailed, "send one Expect header"),
            _ => {}
        }
        if self.version > (1, 1) {
            return problem(Code::VersionNotSupported, "this port speaks HTTP/1.1");
        }
        if length.is_none() {
            let detail = "Content-Length must be one number, sent once";
            return problem(Code::BadRequest, detail);
        }
        let malformed = self.malformed()?;
        problem(Code::BadRequest, malformed)
    }

    fn malformed(&self) -> Option<&'static str> {
        if self.is_chunked() && self.headers.has("Content-Length") {
            return Some("send Content-Length or Transfer-Encoding, not both");
        }
        match self.headers.one("Transfer-Encoding") {
            Field::Absent => {}
            // In capitals tiny_http does not understand it.
            Field::Once("chunked") if !self.upgrades() => {}
            _ => return Some("chunked is the one transfer coding that is understood"),
        }
        if !self.is_plain {
            return Some(
                "the request line has three words, a header's name letters, digits, - and _, \
                 and all of the head is printable ASCII",
            );
        }
        if self.version < (1, 0) {
            return Some("use HTTP/1.1");
        }
        if self.headers.one("Content-Type") == Field::Repeated {
            return Some("more than one Content-Type header");
        }
        match self.headers.one("Host") {
            Field::Repeated => Some("more than one Host header"),
            Field::Absent if self.version >= (1, 1) => Some("no Host header"),
            _ => None,
        }
    }

    /// The body's announced length; None if that is no number, or not one number.
    pub fn length(&self) -> Option<usize> {
        match self.headers.one("Content-Length") {
            Field::Absent => Some(0),
            Field::Once(digits) if is_digits(digits) => Some(digits.parse().unwrap_or(usize::MAX)),
            _ => None,
        }
    }

    pub fn is_chunked(&self) -> bool {
        self.headers.has("Transfer-Encoding")
    }

    pub fn expects_continue(&self) -> bool {
        self.headers.has("Expect")
    }

    /// An upgrade is not made, and the request answered as if it had not been asked for (RFC 9110,
    /// 7.8).
    pub fn upgrades(&self) -> bool {
        self.connection_has("upgrade")
    }

    /// HTTP/1.0 that asks for a connection which stays open is told that it does.
    pub fn keeps_alive(&self) -> bool {
        self.version < (1, 1) && self.connection_has("keep-alive") && !self.connection_has("close")
    }

    /// The client uses the connection for no other request.
    pub fn closes(&self) -> bool {
        self.connection_has("close") || self.version < (1, 1) && !self.keeps_alive()
    }

    fn connection_has(&self, token: &str) -> bool {
        let mut values = self.headers.all("Connection");
        values.any(|value| value.to_ascii_lowercase().contains(token))
    }
}

pub struct Request {
    /// The caller's, if it is a good one, or a new one.
    pub id: String,
    pub head: Head,
    pub body: Vec<u8>,
    /// None: on a Unix socket.
    pub peer: Option<IpAddr>,
    pub received: Instant,
    /// Set if it is refused for its head or the form of its body. It is not looked at any further.
    pub refusal: Option<Problem>,
}

impl Request {
    pub fn new(head: Head, peer: Option<IpAddr>) -> Request {
        let given = head
            .headers
            .all("X-Request-Id")
            .find(|id| is_request_id(id));
        let id = given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Request {
            id,
            refusal: head.refusal(),
            head,
            body: Vec::new(),
            peer,
            received: Instant::now(),
        }
    }

    /// Decoded. What does not stand for UTF-8, or for a slash in the middle of a name, stays as it is,
    /// and leads nowhere.
    pub fn path(&self) -> Cow<'_, str> {
        let path = split_target(&self.head.target).0;
        if path.to_ascii_lowercase().contains("%2f") {
            return path.into();
        }
        percent_decode_str(path)
            .decode_utf8()
            .unwrap_or(path.into())
    }

    pub fn query(&self) -> &str {
        split_target(&self.head.target).1
    }

    pub fn is_head(&self) -> bool {
        self.head.method == "HEAD"
    }
}

/// The path and the query of a request's target, which may be absolute (RFC 9112, 3.2.2). An empty
/// path is the same as "/", and the scheme has no case (RFC 9110, 4.2.3).
fn split_target(target: &str) -> (&str, &str) {
    let is_ours = |scheme: &str| {
        ["http", "https"]
            .iter()
            .any(|s| scheme.eq_ignore_ascii_case(s))
    };
    let path = match target.split_once("://") {
        Some((scheme, rest)) if is_ours(scheme) => {
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => target,
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_request_id(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.bytes().all(allowed)
}
