//! What is sent back: a status, a few headers, a body.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;

pub const JSON: &str = "application/json";
pub const CSV: &str = "text/csv; charset=utf-8; header=present";
pub const HTML: &str = "text/html; charset=utf-8";
pub const SVG: &str = "image/svg+xml";
/// Server-sent events (html.spec.whatwg.org, 9.2).
pub const EVENT_STREAM: &str = "text/event-stream";
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Makes the next piece of a body; an empty one is its end.
pub type Pieces = Box<dyn FnMut() -> io::Result<Vec<u8>> + Send>;

/// Waits for the next piece of a body that is made of what happens. An empty one: nothing has for a
/// while, so that it can be seen whether the client is still there. None: its end.
pub type Live = Box<dyn FnMut() -> io::Result<Option<Vec<u8>>> + Send>;

pub enum Body {
    Whole(Vec<u8>),
    /// The first piece, and how the others are made while it is sent.
    InPieces(Vec<u8>, Pieces),
    /// Goes with the first piece, and for as long as there are any.
    Live(Live),
}

pub struct Response {
    pub status: u16,
    /// None: there is no body (204, 304).
    pub content_type: Option<&'static str>,
    /// Lines of a head, each with its end. Values are ours, never a client's.
    pub headers: String,
    pub body: Body,
    /// The connection ends with this response.
    pub closes: bool,
    /// It says itself how long it may be kept. Nobody keeps the others.
    pub is_cacheable: bool,
}

impl Response {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
        Response {
            status,
            content_type: Some(content_type),
            headers: String::with_capacity(256),
            body: Body::Whole(body.into()),
            closes: false,
            is_cacheable: false,
        }
    }

    pub fn json(status: u16, value: &impl Serialize) -> Response {
        let mut body = Vec::with_capacity(320);
        serde_json::to_writer(&mut body, value).expect("plain data has a JSON form");
        // So that a terminal's prompt stands on a line of its own after curl.
        body.push(b'\n');
        Response::new(status, JSON, body)
    }

    pub fn no_content() -> Response {
        Response::without_body(204)
    }

    pub fn not_modified() -> Response {
        Response::without_body(304)
    }

    fn without_body(status: u16) -> Response {
        let mut response = Response::new(status, TEXT, Vec::new());
        response.content_type = None;
        response
    }

    pub fn header(mut self, name: &str, value: &str) -> Response {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }
}

/// RFC 9110, 15: the phrases for the statuses that are sent.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
