//! What happened: an event's ledger in pages, or as soon as there is something, or as a stream; and
//! the stream of an event's numbers.
//!
//! Whoever waits does so on its connection's thread (see `watch.rs`), and reads from the connections
//! of the exports, so that neither a worker nor a snapshot is held meanwhile.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Handled, event_id};
use crate::api::body::invalid;
use crate::api::endpoint::{Call, Outcome};
use crate::api::pagination::{Page, parameter, whole};
use crate::api::state::{Context, State};
use crate::api::watch::{Sight, Subject, Waited, Watcher};
use crate::box_office;
use crate::error::Error;
use crate::message::{Body, EVENT_STREAM, Field, JSON, Live, Problem, Response, prefers_text};
use crate::model::{Change, Event};

const CHANGES_PER_PIECE: usize = 200;
const WAIT_S_MAX: i64 = 30;
/// A wait is interrupted as often, to see whether the client is still there.
const GLANCE_EVERY: Duration = Duration::from_secs(1);
/// Something is sent at least as often, so that both ends and what is between them know of each other.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b":\n\n";
/// An event is sent twice a second at most.
const NUMBERS_EVERY: Duration = Duration::from_millis(500);

pub fn list(context: &Context, call: &Call) -> Handled {
    match prefers_stream(call) {
        true => follow(context, call),
        false => list_page(context, call),
    }
}

pub fn prefers_stream(call: &Call) -> bool {
    prefers_text(call.request.head.headers.all("Accept"), "event-stream")
}

fn list_page(context: &Context, call: &Call) -> Handled {
    let page = page(call)?;
    let patience = patience(call)?;
    let event_id = event_id(context, call)?;
    let now = context.state.clock.now();
    let changes = context
        .db
        .read(|tx| box_office::list_changes(tx, now, event_id, page.after, page.rows()))?;
    if changes.is_empty() && !patience.is_zero() {
        let ledger = Ledger::open(context, call, event_id, page.after, page.limit)?;
        let body = Body::Live(wait_for_changes(ledger, patience));
        return respond(Response::new(200, JSON, Vec::new()), body);
    }
    let base_path = context.state.settings.base_path;
    let path = format!("{base_path}/events/{event_id}/changes?");
    Ok(Outcome::Respond(page.response(&path, &changes)))
}

fn respond(mut response: Response, body: Body) -> Handled {
    response.body = body;
    Ok(Outcome::Respond(response))
}

/// `Last-Event-ID` is what `after` is, and goes before it.
fn page(call: &Call) -> Result<Page, Problem> {
    let mut page = Page::parse(call.request.query(), "")?;
    let name = "Last-Event-ID";
    match call.request.head.headers.one(name) {
        Field::Absent => {}
        Field::Once(n) => {
            page.after = whole(n).ok_or_else(|| invalid(name, "must be a change's n"))?;
        }
        Field::Repeated => return Err(invalid(name, "must be sent once")),
    }
    Ok(page)
}

/// `wait`: whole seconds, with or without their unit.
fn patience(call: &Call) -> Result<Duration, Problem> {
    let Some(text) = parameter(call.request.query(), "wait")? else {
        return Ok(Duration::ZERO);
    };
    let seconds = whole(text.strip_suffix('s').unwrap_or(&text));
    match seconds.filter(|s| *s <= WAIT_S_MAX) {
        Some(seconds) => Ok(Duration::from_secs(seconds as u64)),
        None => Err(invalid("wait", "must be a time from 0s to 30s")),
    }
}

/// The array, once there is something to be in it, or the wait is over.
fn wait_for_changes(mut ledger: Ledger, patience: Duration) -> Live {
    let until = Instant::now() + patience;
    let mut is_done = false;
    Box::new(move || {
        if is_done {
            return Ok(None);
        }
        let now = Instant::now();
        let waited = ledger.wait(now, GLANCE_EVERY.min(until.saturating_duration_since(now)));
        let changes = match waited {
            Waited::Come(_) => ledger.read()?,
            Waited::Nothing | Waited::Over => Vec::new(),
        };
        let goes_on = !matches!(waited, Waited::Over) && Instant::now() < until;
        if changes.is_empty() && goes_on {
            return Ok(Some(Vec::new()));
        }
        is_done = true;
        Ok(Some((serde_json::to_string(&changes)? + "\n").into_bytes()))
    })
}

/// The changes that there are, as server-sent events, and those to come.
fn follow(context: &Context, call: &Call) -> Handled {
    for name in ["limit", "wait"] {
        if parameter(call.request.query(), name)?.is_some() {
            return Err(invalid(
                name,
                "does not go with text/event-stream, which has no end",
            ));
        }
    }
    let after = page(call)?.after;
    let event_id = event_id(context, call)?;
    let now = context.state.clock.now();
    context
        .db
        .read(|tx| box_office::show_event(tx, now, event_id))?;
    let mut ledger = Ledger::open(context, call, event_id, after, CHANGES_PER_PIECE)?;
    let (mut not_before, mut sent_at) = (Instant::now(), None);
    respond_stream(Box::new(move || {
        let comments_at = sent_at.map_or_else(Instant::now, |at| at + COMMENT_EVERY);
        let left = comments_at.saturating_duration_since(Instant::now());
        match ledger.wait(not_before, GLANCE_EVERY.min(left)) {
            Waited::Over => return Ok(None),
            Waited::Nothing if !left.is_zero() => return Ok(Some(Vec::new())),
            _ => {}
        }
        // Also when there is nothing, because the key may have been revoked.
        let changes = ledger.read()?;
        not_before = ledger.watcher.deal(changes.len());
        sent_at = Some(Instant::now());
        in_stream(&changes).map(Some)
    }))
}

fn in_stream(changes: &[Change]) -> io::Result<Vec<u8>> {
    if changes.is_empty() {
        return Ok(COMMENT.to_vec());
    }
    let mut out = Vec::with_capacity(changes.len() * 192);
    for change in changes {
        out.extend_from_slice(format!("id: {}\ndata: ", change.n).as_bytes());
        serde_json::to_writer(&mut out, change)?;
        out.extend_from_slice(b"\n\n");
    }
    Ok(out)
}

/// The event now, and whenever it is another, as server-sent events.
pub fn follow_event(context: &Context, call: &Call) -> Handled {
    let id = event_id(context, call)?;
    let now = context.state.clock.now();
    let (mut n, event) = context.db.read(|tx| {
        let event = box_office::show_event(tx, now, id)?;
        Ok((box_office::last_change(tx, id)?, event))
    })?;
    let watcher = context.state.watch.begin(Subject::Numbers(id))?;
    let mut shown: Arc<str> = event_in_stream(&event).into();
    let mut sent_at = None;
    respond_stream(Box::new(move || {
        let Some(last_sent_at) = sent_at else {
            sent_at = Some(Instant::now());
            return Ok(Some(shown.as_bytes().to_vec()));
        };
        // What was seen before this began may be older than what it began with.
        let is_new =
            |sight: &Sight| sight.n >= n && sight.text.as_ref().is_some_and(|t| *t != shown);
        match watcher.wait(is_new, last_sent_at + NUMBERS_EVERY, GLANCE_EVERY) {
            Waited::Over => return Ok(None),
            Waited::Nothing if last_sent_at.elapsed() < COMMENT_EVERY => {
                return Ok(Some(Vec::new()));
            }
            Waited::Nothing => {
                sent_at = Some(Instant::now());
                return Ok(Some(COMMENT.to_vec()));
            }
            Waited::Come(sight) => {
                n = sight.n;
                shown = sight.text.unwrap_or_default();
            }
        }
        sent_at = Some(Instant::now());
        Ok(Some(shown.as_bytes().to_vec()))
    }))
}

pub fn event_in_stream(event: &Event) -> String {
    let json = serde_json::to_string(event).expect("plain data has a JSON form");
    format!("data: {json}\n\n")
}

fn respond_stream(pieces: Live) -> Handled {
    // So that nginx hands on each piece at once.
    let response = Response::new(200, EVENT_STREAM, Vec::new()).header("X-Accel-Buffering", "no");
    respond(
        Response {
            closes: true,
            ..response
        },
        Body::Live(pieces),
    )
}

/// An event's ledger as one client reads it, as far as it has come.
struct Ledger {
    state: Arc<State>,
    watcher: Watcher,
    event_id: i64,
    key_id: Option<i64>,
    after: i64,
    limit: usize,
}

impl Ledger {
    /// Errors: `shutting_down`, `streams_full`.
    fn open(
        context: &Context,
        call: &Call,
        event_id: i64,
        after: i64,
        limit: usize,
    ) -> Result<Ledger, Problem> {
        Ok(Ledger {
            state: context.state.clone(),
            watcher: context.state.watch.begin(Subject::Changes(event_id))?,
            event_id,
            key_id: call.caller.key_id,
            after,
            limit,
        })
    }

    fn wait(&self, not_before: Instant, patience: Duration) -> Waited {
        self.watcher
            .wait(|sight| sight.n > self.after, not_before, patience)
    }

    /// What follows. Errors: also if the key has been revoked meanwhile.
    fn read(&mut self) -> io::Result<Vec<Change>> {
        let now = self.state.clock.now();
        let read = self.state.read_for_export(|db| {
            db.read(|tx| match self.key_id {
                Some(key_id) if !box_office::is_key_live(tx, key_id)? => Ok(None),
                _ => box_office::list_changes(tx, now, self.event_id, self.after, self.limit)
                    .map(Some),
            })
        });
        let changes = read.map_err(|e: Error| {
            log::error!("a stream ends, because its event cannot be read: {e}");
            io::Error::other(e)
        })?;
        let changes = changes.ok_or(io::ErrorKind::PermissionDenied)?;
        let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
        self.after = changes.last().map_or(self.after, |last| last.n);
        Ok(changes)
    }
}
