//! What a request's headers say, read once, and what is refused for them alone.
//!
//! The gate is strict because tiny_http is not: a request that two parsers could understand in two
//! ways is not understood at all.

use std::io::Read;

use tiny_http::{HTTPVersion, Header, Method, Request};

use super::problem::{Code, Problem};

pub const BODY_BYTES_MAX: usize = 1_024;
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Values are as received: not one of them may be sent back or logged unchecked.
#[derive(Default)]
pub struct Head<'r> {
    headers: &'r [Header],
    pub request_id: Option<&'r str>,
    pub role: Field<'r>,
    pub authorization: Field<'r>,
    pub content_type: Option<&'r str>,
    pub idempotency_key: Field<'r>,
    pub forwarded_for: Vec<&'r str>,
    /// The client will not use the connection again.
    pub closes: bool,
    pub keeps_alive: bool,
    host: Field<'r>,
    content_length: Field<'r>,
    has_transfer_encoding: bool,
    has_expect: bool,
    upgrades: bool,
    has_control: bool,
}

/// A header that may be sent once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Field<'r> {
    #[default]
    Absent,
    Once(&'r str),
    Repeated,
}

impl<'r> Field<'r> {
    fn add(&mut self, value: &'r str) {
        *self = match self {
            Field::Absent => Field::Once(value),
            _ => Field::Repeated,
        };
    }
}

impl<'r> Head<'r> {
    /// A Content-Length that any two parsers understand alike, and a body that comes unasked.
    pub fn has_one_length(&self) -> bool {
        let is_doubtful = self.has_transfer_encoding || self.has_expect || self.upgrades;
        !is_doubtful && matches!(self.content_length, Field::Once(digits) if is_digits(digits))
    }

    pub fn read(request: &'r Request) -> Head<'r> {
        let mut head = Head {
            headers: request.headers(),
            ..Head::default()
        };
        for header in request.headers() {
            head.take(header);
        }
        head.has_control |= has_control(request.url()) || has_control(request.method().as_str());
        if *request.http_version() < HTTPVersion(1, 1) {
            head.closes = !head.keeps_alive;
        } else {
            head.keeps_alive = false;
        }
        head
    }

    fn take(&mut self, header: &'r Header) {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        self.has_control |= has_control(name) || has_control(value);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Host") {
            self.host.add(value);
        } else if is("Content-Length") {
            self.content_length.add(value);
        } else if is("Content-Type") {
            self.content_type = Some(value);
        } else if is("X-Role") {
            self.role.add(value);
        } else if is("Authorization") {
            self.authorization.add(value);
        } else if is("X-Request-Id") {
            self.request_id = self.request_id.or(is_request_id(value).then_some(value));
        } else if is("Idempotency-Key") {
            self.idempotency_key.add(value);
        } else if is("X-Forwarded-For") {
            self.forwarded_for.push(value);
        } else if is("Transfer-Encoding") {
            self.has_transfer_encoding = true;
        } else if is("Expect") {
            self.has_expect = true;
        } else if is("Connection") {
            let has = |token: &str| value.to_ascii_lowercase().contains(token);
            self.closes |= has("close") || has("upgrade");
            self.keeps_alive |= has("keep-alive");
            self.upgrades |= has("upgrade");
        }
    }

    /// The values of Accept, which few handlers care about.
    pub fn accept(&self) -> impl Iterator<Item = &'r str> + Clone {
        let named = |h: &&Header| h.field.equiv("Accept");
        let headers = self.headers.iter().filter(named);
        headers.map(|h| h.value.as_str())
    }

    /// Why the request is refused for what its headers alone show, in this order: 411, 413, 417,
    /// 400.
    pub fn refusal(&self, request: &Request) -> Option<Problem> {
        let problem = |code, detail: &str| Some(Problem::new(code, detail));
        if self.has_transfer_encoding {
            return problem(Code::LengthRequired, "send the body with a Content-Length");
        }
        let length = match self.content_length {
            Field::Absent => Some(0),
            Field::Once(digits) if is_digits(digits) => Some(digits.parse().unwrap_or(usize::MAX)),
            _ => None,
        };
        if length.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return problem(Code::BodyTooLarge, "a body may have 1,024 bytes at most");
        }
        if self.has_expect {
            return problem(Code::ExpectationFailed, "send the request without Expect");
        }
        if length.is_none() {
            return problem(
                Code::BadRequest,
                "Content-Length must be one number, sent once",
            );
        }
        if self.upgrades && length != Some(0) {
            return problem(
                Code::BadRequest,
                "a request with a body cannot upgrade the connection",
            );
        }
        if self.has_control {
            return problem(
                Code::BadRequest,
                "control characters in the request line or a header",
            );
        }
        if *request.http_version() < HTTPVersion(1, 0) {
            return problem(Code::BadRequest, "use HTTP/1.1");
        }
        let needs_host = *request.http_version() >= HTTPVersion(1, 1);
        match self.host {
            Field::Repeated => problem(Code::BadRequest, "more than one Host header"),
            Field::Absent if needs_host => problem(Code::BadRequest, "no Host header"),
            _ => None,
        }
    }
}

/// Whether bytes may be on the connection that belong to this request and have not been read. To
/// drop such a request is to wait for them.
pub fn has_unread_body(request: &Request) -> bool {
    request
        .body_length()
        .is_some_and(|bytes| bytes > BODY_BYTES_MAX || bytes > 0 && has(request, "Expect"))
}

/// The body, if tiny_http has read it already: nobody can make a worker wait for the rest.
pub fn read_body(request: &mut Request) -> Vec<u8> {
    let length = request.body_length().unwrap_or(0);
    // After an upgrade the reader is the bare connection.
    if length == 0 || has_unread_body(request) || upgrades(request) {
        return Vec::new();
    }
    let mut body = Vec::with_capacity(length);
    let _ = request
        .as_reader()
        .take(length as u64)
        .read_to_end(&mut body);
    body
}

pub fn has(request: &Request, name: &'static str) -> bool {
    request.headers().iter().any(|h| h.field.equiv(name))
}

fn upgrades(request: &Request) -> bool {
    let connection = request
        .headers()
        .iter()
        .filter(|h| h.field.equiv("Connection"));
    connection
        .into_iter()
        .any(|h| h.value.as_str().to_ascii_lowercase().contains("upgrade"))
}

pub fn is_head(request: &Request) -> bool {
    *request.method() == Method::Head
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_request_id(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.bytes().all(allowed)
}

/// A tab is allowed inside a value (RFC 9110, 5.5).
fn has_control(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_control() && b != b'\t')
}
