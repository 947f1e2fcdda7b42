//! A request that is owed an answer, and how the answer is written: whole, in one write.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use tiny_http::{HTTPVersion, Request};

use super::answer::{Answer, reason};
use super::client::ClientAddress;
use super::dispose;
use super::head;
use super::lanes::Lanes;
use super::limiter::Standing;
use super::problem::Problem;
use super::routes::{self, Route};
use super::unix_peers;
use crate::logging;

/// What is known of a request apart from what it asks for.
pub struct Known {
    pub request_id: String,
    pub client: ClientAddress,
    /// For the log: never a ticket's id, which is a secret.
    pub path: String,
    pub route: Option<&'static Route>,
    pub started: Instant,
    /// None: the rate limit does not cover it.
    pub standing: Option<Standing>,
    pub closes: bool,
    /// Where the request ends on its connection is not certain.
    pub ends_in_doubt: bool,
    pub keeps_alive: bool,
}

pub struct Exchange {
    pub request: Request,
    pub known: Known,
    pub lanes: Arc<Lanes>,
}

impl Exchange {
    pub fn answer_result(self, result: Result<Answer, Problem>) {
        match result {
            Ok(answer) => self.answer(answer),
            Err(problem) => {
                if let Some(cause) = &problem.cause {
                    log::error!(request_id = self.known.request_id.as_str(), code = problem.code.as_str(); "{cause}");
                }
                let answer = problem.into_answer(&self.known.request_id);
                self.answer(answer);
            }
        }
    }

    pub fn answer(self, answer: Answer) {
        self.record(answer.status);
        self.answer_unseen(answer);
    }

    /// Without a line in the log, and not counted.
    pub fn answer_unseen(mut self, answer: Answer) {
        let unread = head::has_unread_body(&self.request);
        self.known.closes |= self.known.ends_in_doubt;
        let bytes = self.render(&answer, Framing::Length);
        let peer = self.request.remote_addr().copied();
        if unread && dispose::can_be_read_away(&self.request) {
            let lanes = self.lanes;
            return dispose::answer_and_dispose(self.request, bytes, move |whole| match whole {
                true => lanes.leave(peer),
                false => lanes.close(peer),
            });
        }
        if unread {
            dispose::answer_and_dispose(self.request, bytes, |_| {});
        } else {
            let writer = self.request.into_writer();
            match peer {
                Some(_) => unix_peers::write(writer, &bytes),
                None => self.lanes.unix_peers.write(writer, bytes),
            }
        }
        if self.known.ends_in_doubt {
            self.lanes.close(peer);
        } else {
            self.lanes.leave(peer);
        }
    }

    /// Writes an answer whose body comes in pieces, the first of them and then those of `next` up to
    /// an empty one. Waits for a slow reader. If it breaks off, the client can tell: the last chunk
    /// (RFC 9112, 7.1) is missing. To HTTP/1.0, which has no chunks, it ends with the connection.
    pub fn answer_in_pieces(
        mut self,
        answer: &Answer,
        first: Vec<u8>,
        mut next: impl FnMut() -> io::Result<Vec<u8>>,
    ) {
        let chunked = *self.request.http_version() >= HTTPVersion(1, 1);
        self.known.closes |= !chunked;
        self.record(answer.status);
        let is_head = head::is_head(&self.request);
        let framing = match chunked {
            true => Framing::Chunked,
            false => Framing::UntilClose,
        };
        let mut bytes = self.render(answer, framing);
        let peer = self.request.remote_addr().copied();
        let mut writer = self.request.into_writer();
        let send = || -> io::Result<()> {
            let mut piece = first;
            while !is_head && !piece.is_empty() {
                framing.put(&mut bytes, &piece);
                writer.write_all(&bytes)?;
                bytes.clear();
                piece = next()?;
            }
            if !is_head {
                framing.put(&mut bytes, &[]);
            }
            writer.write_all(&bytes)?;
            writer.flush()
        };
        let sent = send();
        if let Err(e) = &sent {
            log::warn!(request_id = self.known.request_id.as_str(); "an answer broke off: {e}");
        }
        if sent.is_ok() && chunked {
            self.lanes.leave(peer);
        } else {
            self.lanes.close(peer);
        }
    }

    fn render(&self, answer: &Answer, framing: Framing) -> Vec<u8> {
        let known = &self.known;
        let mut out = Vec::with_capacity(512 + answer.body.len());
        let _ = write!(
            out,
            "HTTP/1.1 {} {}\r\n",
            answer.status,
            reason(answer.status)
        );
        put(&mut out, "X-Request-Id", &known.request_id);
        with_date(|date| put(&mut out, "Date", date));
        if let Some(content_type) = answer.content_type {
            put(&mut out, "Content-Type", content_type);
            match framing {
                Framing::Length => {
                    let _ = write!(out, "Content-Length: {}\r\n", answer.body.len());
                }
                Framing::Chunked => put(&mut out, "Transfer-Encoding", "chunked"),
                Framing::UntilClose => {}
            }
        }
        if let Some(Standing {
            limit,
            left,
            more_in_s,
            ..
        }) = known.standing
        {
            let (q, w) = (limit.requests, limit.window_s());
            let _ = write!(out, "RateLimit-Policy: \"default\";q={q};w={w}\r\n");
            let _ = write!(out, "RateLimit: \"default\";r={left};t={more_in_s}\r\n");
        }
        for (name, value) in &answer.headers {
            put(&mut out, name, value);
        }
        if known.closes {
            put(&mut out, "Connection", "close");
        } else if known.keeps_alive {
            put(&mut out, "Connection", "keep-alive");
        }
        out.extend_from_slice(b"\r\n");
        if !head::is_head(&self.request) {
            out.extend_from_slice(&answer.body);
        }
        out
    }

    /// Counts the answer, and writes its line in the log.
    fn record(&self, status: u16) {
        let took = self.known.started.elapsed();
        routes::count(
            self.known.route,
            self.request.method().as_str(),
            status,
            took,
        );
        self.log(status, took);
    }

    fn log(&self, status: u16, took: Duration) {
        let level = if status >= 500 {
            Level::Error
        } else {
            Level::Info
        };
        if level > log::max_level() {
            return;
        }
        let Known {
            request_id,
            client,
            path,
            ..
        } = &self.known;
        let method = method_for_log(&self.request);
        let duration_us = took.as_micros() as u64;
        // None of these can hold a character that JSON would have escaped.
        log::log!(
            target: logging::RENDERED,
            level,
            "\"message\":\"request\",\"request_id\":\"{request_id}\",\"method\":\"{method}\",\
             \"path\":\"{path}\",\"status\":{status},\"duration_us\":{duration_us},\
             \"client\":\"{client}\""
        );
    }
}

/// How a client knows where a body ends.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

impl Framing {
    /// A piece of a body; an empty one is the end.
    fn put(self, out: &mut Vec<u8>, piece: &[u8]) {
        if self != Framing::Chunked {
            return out.extend_from_slice(piece);
        }
        let _ = write!(out, "{:x}\r\n", piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
}

fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// A method that the field does not know is not repeated.
fn method_for_log(request: &Request) -> &str {
    match request.method() {
        tiny_http::Method::NonStandard(_) => "other",
        method => method.as_str(),
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
