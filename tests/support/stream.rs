//! Server-sent events, read as a browser reads them.

use super::client::{Client, Response, request_text};
use super::server::Server;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Longer than the server is ever silent.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stream {
    pub head: Response,
    client: Client,
    /// The beginning of an event whose end has not come.
    rest: String,
    events: VecDeque<Sent>,
}

/// A comment has no data.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub id: Option<i64>,
    pub data: Option<Value>,
}

impl Stream {
    /// Asks for it, and reads as far as the head of the answer.
    pub fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Stream {
        Stream::try_open(server.client(), path, headers).expect("a head")
    }

    pub fn try_open(
        mut client: Client,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Stream> {
        let headers = [headers, &[("Accept", "text/event-stream")]].concat();
        client.wait_at_most(PATIENCE);
        client.try_send_raw(request_text("GET", path, &headers, None).as_bytes())?;
        let (rest, events) = (String::new(), VecDeque::new());
        Ok(Stream {
            head: client.try_read_head()?,
            client,
            rest,
            events,
        })
    }

    /// What is sent next, comments included; None at the end of it. Errors: it broke off.
    pub fn try_next(&mut self) -> io::Result<Option<Sent>> {
        while self.events.is_empty() {
            let chunk = self.client.read_chunk()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            self.rest
                .push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                self.events.push_back(parse(event));
                self.rest = rest.to_owned();
            }
        }
        Ok(self.events.pop_front())
    }

    /// The next event.
    #[track_caller]
    pub fn next(&mut self) -> Sent {
        loop {
            let sent = self.try_next().expect("a stream").expect("more of it");
            if sent.data.is_some() {
                return sent;
            }
        }
    }
}

fn parse(event: &str) -> Sent {
    let (mut id, mut data) = (None, None);
    for line in event.lines() {
        match line.split_once(':').expect("a field or a comment") {
            ("id", value) => id = Some(value.trim().parse().expect("a number")),
            ("data", value) => data = Some(serde_json::from_str(value.trim()).expect("JSON")),
            ("", _) => {}
            (field, _) => panic!("an unknown field {field}"),
        }
    }
    Sent { id, data }
}
