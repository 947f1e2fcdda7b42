//! Events: put on sale, shown, listed, changed, cancelled.

use super::{Handled, Nothing, changes, commit, event_id, idempotency_key, pages, replayed};
use crate::api::body;
use crate::api::caching::{cached, etag_of, is_expected};
use crate::api::endpoint::{Call, Outcome};
use crate::api::pagination::Page;
use crate::api::state::Context;
use crate::box_office::{self, Done};
use crate::error::Error;
use crate::message::{Body, JSON, Response};
use crate::model::{Event, EventChange, IdempotencyKey, NewEvent, is_sales_window};
use crate::store::Scope;

pub fn create(context: &Context, call: &Call) -> Handled {
    let mut new: NewEvent = body::parse(call.request)?;
    new.owner_key_id = call.caller.organizer_key;
    if !is_sales_window(new.sales_open_at, new.sales_close_at) {
        return Err(Error::SalesWindowInvalid.into());
    }
    let key = idempotency_key(call, None)?;
    let hold_ms = context.state.settings.hold_ms_default;
    commit(
        context,
        (new, key),
        |(_, key)| Scope::NewEvent(key.as_ref()),
        move |tx, now, (new, key)| box_office::create_event(tx, now, new, hold_ms, key.as_ref()),
        created,
    )
}

fn created(done: Done<Event>, base_path: &str) -> Response {
    match done {
        Done::Fresh(event) => {
            let location = format!("{base_path}/events/{}", event.id);
            Response::json(201, &event).header("Location", &location)
        }
        Done::Replayed(replay) => replayed(201, replay, base_path),
    }
}

pub fn list(context: &Context, call: &Call) -> Handled {
    let page = Page::parse(call.request.query(), "e")?;
    let owner = call.caller.organizer_key;
    let now = context.state.clock.now();
    let events = context
        .db
        .read(|tx| box_office::list_events(tx, now, owner, page.after, page.rows()))?;
    let path = format!("{}/events?", context.state.settings.base_path);
    let response = page.response(&path, &events);
    let headers = &call.request.head.headers;
    Ok(Outcome::Respond(cached(headers, response)))
}

pub fn show(context: &Context, call: &Call) -> Handled {
    if pages::is_asked_for(call) {
        return pages::show_buyer(context, call);
    }
    if changes::prefers_stream(call) {
        return changes::follow_event(context, call);
    }
    let id = event_id(context, call)?;
    let now = context.state.clock.now();
    let event = context.db.read(|tx| box_office::show_event(tx, now, id))?;
    let response = Response::json(200, &event);
    let headers = &call.request.head.headers;
    Ok(Outcome::Respond(cached(headers, response)))
}

pub fn change(context: &Context, call: &Call) -> Handled {
    let change: EventChange = body::parse(call.request)?;
    let window = (change.sales_open_at, change.sales_close_at);
    if !is_sales_window(window.0.flatten(), window.1.flatten()) {
        return Err(Error::SalesWindowInvalid.into());
    }
    let key = idempotency_key(call, None)?;
    let id = event_id(context, call)?;
    let if_match = call.request.head.headers.all("If-Match");
    let if_match: Vec<String> = if_match.map(str::to_owned).collect();
    commit(
        context,
        (id, key),
        of_event,
        move |tx, now, (id, key)| {
            let is_expected = |event: &Event| is_expected(&if_match, event);
            box_office::change_event(tx, now, *id, &change, is_expected, key.as_ref())
        },
        changed,
    )
}

pub fn cancel(context: &Context, call: &Call) -> Handled {
    let Nothing {} = body::parse_optional(call.request)?;
    let key = idempotency_key(call, None)?;
    let id = event_id(context, call)?;
    commit(
        context,
        (id, key),
        of_event,
        |tx, now, (id, key)| box_office::cancel_event(tx, now, *id, key.as_ref()),
        shown,
    )
}

/// It is made on the connection's thread, and so keeps no worker from selling.
pub fn verify(context: &Context, call: &Call) -> Handled {
    let id = event_id(context, call)?;
    let now = context.state.clock.now();
    context.db.read(|tx| box_office::show_event(tx, now, id))?;
    let state = context.state.clone();
    let mut is_made = false;
    let report = move || {
        if std::mem::replace(&mut is_made, true) {
            return Ok(Vec::new());
        }
        Ok(serde_json::to_vec(&state.verify_event(id))?)
    };
    let mut response = Response::new(200, JSON, Vec::new());
    // JSON may begin with a line's end.
    response.body = Body::InPieces(b"\n".to_vec(), Box::new(report));
    Ok(Outcome::Respond(response))
}

fn of_event((id, key): &(i64, Option<IdempotencyKey>)) -> Scope<'_> {
    Scope::Event(*id, key.as_ref())
}

/// With what the next change can name in `If-Match`.
fn changed(done: Done<Event>, base_path: &str) -> Response {
    match done {
        Done::Fresh(event) => Response::json(200, &event).header("ETag", &etag_of(&event)),
        replayed => shown(replayed, base_path),
    }
}

fn shown(done: Done<Event>, base_path: &str) -> Response {
    match done {
        Done::Fresh(event) => Response::json(200, &event),
        Done::Replayed(replay) => replayed(200, replay, base_path),
    }
}
