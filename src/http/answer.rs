//! What is sent back: a status, a body, a few headers. Nothing here knows a socket.

use serde::Serialize;

pub const JSON: &str = "application/json";
pub const JSON_PROBLEM: &str = "application/problem+json";
pub const CSV: &str = "text/csv; charset=utf-8; header=present";
pub const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// None: there is no body (204).
    pub content_type: Option<&'static str>,
    /// Beside those that every response has. Values are ours, never a client's.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(status: u16, value: &impl Serialize) -> Answer {
        let mut body = Vec::with_capacity(320);
        serde_json::to_writer(&mut body, value).expect("plain data has a JSON form");
        // So that a terminal's prompt stands on a line of its own after curl.
        body.push(b'\n');
        Answer::new(status, JSON, body)
    }

    pub fn no_content() -> Answer {
        Answer {
            status: 204,
            content_type: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// RFC 9110, 15: the phrases for the statuses that are sent.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
