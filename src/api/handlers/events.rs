//! Events: put on sale, shown, listed, changed, cancelled.

use super::{Handled, commit, event_id, idempotency_key, replayed};
use crate::api::body::{Members, invalid, required};
use crate::api::endpoint::{Call, Outcome};
use crate::api::pagination::Page;
use crate::api::state::Context;
use crate::box_office::{self, Done};
use crate::error::Error;
use crate::message::{Problem, Response};
use crate::model::{
    Event, EventChange, EventName, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, IdempotencyKey, NewEvent,
    SPOTS_MAX, is_sales_window,
};
use crate::store::Scope;

pub fn create(context: &Context, call: &Call) -> Handled {
    let mut members = Members::parse(call.request)?;
    let name = required(name(&mut members)?, "name")?;
    let total_spots = members.integer("total_spots", 1, SPOTS_MAX)?;
    let new = NewEvent {
        name,
        total_spots: required(total_spots, "total_spots")?,
        starts_at: members.time("starts_at")?,
        sales_open_at: members.time("sales_open_at")?,
        sales_close_at: members.time("sales_close_at")?,
        hold_seconds: members.integer("hold_seconds", HOLD_SECONDS_MIN, HOLD_SECONDS_MAX)?,
        owner_key_id: call.caller.organizer_key,
    };
    members.none_left()?;
    if !is_sales_window(new.sales_open_at, new.sales_close_at) {
        return Err(Error::SalesWindowInvalid.into());
    }
    let key = idempotency_key(call, None)?;
    let hold_ms = context.state.settings.hold_ms_default;
    commit(
        (new, key),
        |(_, key)| Scope::NewEvent(key.as_ref()),
        move |tx, now, (new, key)| box_office::create_event(tx, now, new, hold_ms, key.as_ref()),
        created,
    )
}

fn created(done: Done<Event>) -> Response {
    match done {
        Done::Fresh(event) => {
            let location = format!("/events/{}", event.id);
            Response::json(201, &event).header("Location", &location)
        }
        Done::Replayed(replay) => replayed(201, replay),
    }
}

pub fn list(context: &Context, call: &Call) -> Handled {
    let page = Page::parse(call.request.query(), 'e')?;
    let owner = call.caller.organizer_key;
    let now = context.state.clock.now();
    let events = context
        .db
        .read(|tx| box_office::list_events(tx, now, owner, page.after, page.rows()))?;
    Ok(Outcome::Respond(page.response("/events?", &events)))
}

pub fn show(context: &Context, call: &Call) -> Handled {
    let id = event_id(context, call)?;
    let now = context.state.clock.now();
    let event = context.db.read(|tx| box_office::show_event(tx, now, id))?;
    Ok(Outcome::Respond(Response::json(200, &event)))
}

pub fn change(context: &Context, call: &Call) -> Handled {
    let mut members = Members::parse(call.request)?;
    let change = EventChange {
        name: name(&mut members)?,
        total_spots: members.integer("total_spots", 1, SPOTS_MAX)?,
        starts_at: members.time_or_null("starts_at")?,
        sales_open_at: members.time_or_null("sales_open_at")?,
        sales_close_at: members.time_or_null("sales_close_at")?,
        hold_seconds: members.integer("hold_seconds", HOLD_SECONDS_MIN, HOLD_SECONDS_MAX)?,
    };
    members.none_left()?;
    let window = (change.sales_open_at, change.sales_close_at);
    if !is_sales_window(window.0.flatten(), window.1.flatten()) {
        return Err(Error::SalesWindowInvalid.into());
    }
    let key = idempotency_key(call, None)?;
    let id = event_id(context, call)?;
    commit(
        (id, key),
        of_event,
        move |tx, now, (id, key)| box_office::change_event(tx, now, *id, &change, key.as_ref()),
        shown,
    )
}

pub fn cancel(context: &Context, call: &Call) -> Handled {
    Members::parse_optional(call.request)?.none_left()?;
    let key = idempotency_key(call, None)?;
    let id = event_id(context, call)?;
    commit(
        (id, key),
        of_event,
        |tx, now, (id, key)| box_office::cancel_event(tx, now, *id, key.as_ref()),
        shown,
    )
}

fn of_event((id, key): &(i64, Option<IdempotencyKey>)) -> Scope<'_> {
    Scope::Event(*id, key.as_ref())
}

fn shown(done: Done<Event>) -> Response {
    match done {
        Done::Fresh(event) => Response::json(200, &event),
        Done::Replayed(replay) => replayed(200, replay),
    }
}

fn name(members: &mut Members) -> Result<Option<EventName>, Problem> {
    let name = members.text("name")?.map(|text| EventName::parse(&text));
    name.transpose().map_err(|why| invalid("name", why))
}
