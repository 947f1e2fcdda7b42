//! The server that is followed: its events, and what happens to each.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body, RequestBuilder};

use super::tls::{Authorities, tls};
use crate::model::Timestamp;

/// A server that has nothing to say says so four times in this.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// While other events wait to be followed, one that nothing happens to makes room.
const SILENCE_MAX_IN_TURN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What is told. The id is the same each time that it is.
pub struct Message {
    pub id: String,
    pub body: String,
}

/// Where to.
#[derive(Clone, Debug)]
pub struct Url(String);

impl Url {
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|s| text.strip_prefix(s));
        let is_url = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        match is_url && text.parse::<ureq::http::Uri>().is_ok() {
            true => Ok(Url(text.to_owned())),
            false => Err("expected a URL, as in https://tickets.example.com"),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why the server cannot be followed.
pub enum Trouble {
    /// When to come back, if the server has said so.
    Passing(String, Option<Duration>),
    /// Until somebody does something about it.
    Lasting(String),
}

impl From<ureq::Error> for Trouble {
    fn from(e: ureq::Error) -> Trouble {
        Trouble::Passing(e.to_string(), None)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(e: std::io::Error) -> Trouble {
        Trouble::Passing(e.to_string(), None)
    }
}

/// One of an event's changes, as the server tells it.
pub struct Change {
    pub n: i64,
    pub at: Timestamp,
    data: Value,
}

pub enum Seen {
    Change(Change),
    /// The server has said that there is nothing.
    Nothing,
    /// It is time for another event.
    Enough,
}

pub struct Source {
    agent: Agent,
    /// Without a slash at its end.
    url: String,
    key: Option<String>,
}

impl Source {
    pub fn new(url: Url, key: Option<String>, authorities: Option<&Authorities>) -> Source {
        let config = Agent::config_builder()
            .tls_config(tls(authorities))
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(ANSWER_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .timeout_per_read(Some(SILENCE_MAX))
            .user_agent(concat!("lastseat/", env!("CARGO_PKG_VERSION")))
            .build();
        Source {
            agent: config.into(),
            url: url.0.trim_end_matches('/').to_owned(),
            key,
        }
    }

    /// The ids of all events within reach.
    pub fn events(&self) -> Result<Vec<i64>, Trouble> {
        let mut ids = Vec::new();
        let mut next = Some("/events?limit=100".to_owned());
        while let Some(path) = next {
            let request = self.agent.get(format!("{}{path}", self.url));
            let mut response = check(self.as_organizer(request).call()?)?;
            let events: Vec<Value> = serde_json::from_reader(response.body_mut().as_reader())
                .map_err(|e| Trouble::Passing(e.to_string(), None))?;
            ids.extend(events.iter().filter_map(|event| event["id"].as_i64()));
            // The cursor alone: the path before it is where the server believes to be.
            let link = header(&response, "Link").unwrap_or_default();
            let after = link
                .split_once("after=")
                .and_then(|(_, rest)| rest.split_once('>'));
            next = after.map(|(after, _)| format!("/events?limit=100&after={after}"));
        }
        Ok(ids)
    }

    /// What happened to an event behind its change `after`, and what happens. It ends when the server
    /// ends it. `has_time`: no other event waits.
    pub fn follow(
        &self,
        event_id: i64,
        after: i64,
        has_time: bool,
    ) -> Result<impl Iterator<Item = Result<Seen, Trouble>> + use<>, Trouble> {
        let silence_max = match has_time {
            true => SILENCE_MAX,
            false => SILENCE_MAX_IN_TURN,
        };
        let request = self
            .agent
            .get(format!("{}/events/{event_id}/changes", self.url))
            .config()
            .timeout_per_read(Some(silence_max))
            .build()
            .header("Accept", "text/event-stream")
            .header("Last-Event-ID", after.to_string());
        let response = check(self.as_organizer(request).call()?)?;
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        Ok(lines.filter_map(move |line| match line {
            Ok(line) => read_line(&line).transpose(),
            Err(_) if !has_time => Some(Ok(Seen::Enough)),
            Err(e) => Some(Err(e.into())),
        }))
    }

    fn as_organizer<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("Authorization", format!("Bearer {key}")),
            None => request.header("X-Role", "organizer"),
        }
    }
}

/// A line of a stream; each event has its data in one.
fn read_line(line: &str) -> Result<Option<Seen>, Trouble> {
    if line.starts_with(':') {
        return Ok(Some(Seen::Nothing));
    }
    let Some(data) = line.strip_prefix("data: ") else {
        return Ok(None);
    };
    let strange = || Trouble::Passing("it sends what is no change".to_owned(), None);
    let data: Value = serde_json::from_str(data).map_err(|_| strange())?;
    let at = data["at"].as_str().and_then(Timestamp::parse);
    let (n, at) = data["n"].as_i64().zip(at).ok_or_else(strange)?;
    Ok(Some(Seen::Change(Change { n, at, data })))
}

impl Change {
    /// The same each time.
    pub fn message(&self, event_id: i64) -> Message {
        let kind = self.data["kind"].as_str().unwrap_or_default();
        let kind = match self.data["ticket_id"].is_null() {
            true => format!("event.{}", kind.trim_start_matches("event_")),
            false => format!("ticket.{kind}"),
        };
        let mut data = self.data.clone();
        data["event_id"] = json!(event_id);
        let body = json!({"type": kind, "timestamp": self.at, "data": data});
        Message {
            // With its time, so that changes of two servers are told apart.
            id: format!("change_{event_id}_{}_{}", self.n, self.at.0),
            body: body.to_string(),
        }
    }
}

fn check(response: Response<Body>) -> Result<Response<Body>, Trouble> {
    let status = response.status().as_u16();
    let why = format!("it answers {status}");
    match status {
        200 => Ok(response),
        401 | 403 => Err(Trouble::Lasting(format!(
            "the server does not take the key: {why}"
        ))),
        404 => Err(Trouble::Lasting(format!(
            "there is no such event at the server: {why}"
        ))),
        _ => Err(Trouble::Passing(why, retry_after(&response))),
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str();
    value.ok().map(str::to_owned)
}

/// In seconds (RFC 9110, 10.2.3); a date is left unread.
pub fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = header(response, "Retry-After")?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
