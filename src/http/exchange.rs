//! A request that is owed an answer, and how the answer is written: whole, in one write.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use log::Level;
use tiny_http::Request;

use super::answer::{Answer, reason};
use super::client::ClientAddress;
use super::dispose;
use super::head;
use super::lanes::Lanes;
use super::limiter::Standing;
use super::problem::Problem;
use crate::logging;

/// What is known of a request apart from what it asks for.
pub struct Known {
    pub request_id: String,
    pub client: ClientAddress,
    /// For the log: never a ticket's id, which is a secret.
    pub path: String,
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
        self.log(answer.status);
        self.answer_unseen(answer);
    }

    /// Without a line in the log.
    pub fn answer_unseen(mut self, answer: Answer) {
        let unread = head::has_unread_body(&self.request);
        self.known.closes |= self.known.ends_in_doubt;
        let bytes = self.render(&answer);
        let peer = self.request.remote_addr().copied();
        if unread {
            dispose::answer_and_dispose(self.request, bytes);
        } else {
            let mut writer = self.request.into_writer();
            // A client that went away is no news.
            let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
        }
        if self.known.ends_in_doubt {
            self.lanes.close(peer);
        } else {
            self.lanes.leave(peer);
        }
    }

    fn render(&self, answer: &Answer) -> Vec<u8> {
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
            let _ = write!(out, "Content-Length: {}\r\n", answer.body.len());
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

    fn log(&self, status: u16) {
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
            started,
            ..
        } = &self.known;
        let method = method_for_log(&self.request);
        let duration_us = started.elapsed().as_micros();
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
