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

pub struct Exchange {
    pub request: Request,
    pub request_id: String,
    pub client: ClientAddress,
    /// For the log: never a ticket's id, which is a secret.
    pub path: String,
    pub started: Instant,
    pub standing: Option<Standing>,
    pub closes: bool,
    pub keeps_alive: bool,
    pub lanes: Arc<Lanes>,
}

impl Exchange {
    pub fn answer_result(self, result: Result<Answer, Problem>) {
        match result {
            Ok(answer) => self.answer(answer),
            Err(problem) => {
                if let Some(cause) = &problem.cause {
                    log::error!(request_id = self.request_id.as_str(), code = problem.code.as_str(); "{cause}");
                }
                let answer = problem.into_answer(&self.request_id);
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
        // What was not read stands in the way of a next request.
        self.closes |= unread || matches!(answer.status, 411 | 413 | 417);
        let bytes = self.render(&answer);
        let peer = self.request.remote_addr().copied();
        if unread {
            dispose::answer_and_dispose(self.request, bytes);
        } else {
            let mut writer = self.request.into_writer();
            // A client that went away is no news.
            let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
        }
        self.lanes.leave(peer);
    }

    fn render(&self, answer: &Answer) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + answer.body.len());
        let mut put = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        put("X-Request-Id", &self.request_id);
        with_date(|date| put("Date", date));
        if let Some(content_type) = answer.content_type {
            put("Content-Type", content_type);
            put("Content-Length", &answer.body.len().to_string());
        }
        if let Some(standing) = self.standing {
            let (limit, window_s) = (standing.limit.requests, standing.limit.window.as_secs());
            put(
                "RateLimit-Policy",
                &format!("\"default\";q={limit};w={window_s}"),
            );
            put(
                "RateLimit",
                &format!("\"default\";r={};t={}", standing.left, standing.more_in_s),
            );
        }
        for (name, value) in &answer.headers {
            put(name, value);
        }
        if self.closes {
            put("Connection", "close");
        } else if self.keeps_alive {
            put("Connection", "keep-alive");
        }
        let mut whole =
            format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status)).into_bytes();
        whole.reserve(out.len() + 2 + answer.body.len());
        whole.extend_from_slice(&out);
        whole.extend_from_slice(b"\r\n");
        if !head::is_head(&self.request) {
            whole.extend_from_slice(&answer.body);
        }
        whole
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
        let client = self.client.to_string();
        log::log!(
            level,
            request_id = self.request_id.as_str(),
            method = method_for_log(&self.request),
            path = self.path.as_str(),
            status = status,
            duration_us = self.started.elapsed().as_micros() as i64,
            client = client.as_str();
            "request"
        );
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
