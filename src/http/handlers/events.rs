//! Events: put on sale, shown, listed.

use super::{Handled, commit, event_id, idempotency_key};
use crate::box_office;
use crate::http::answer::Answer;
use crate::http::body::{Members, invalid, required};
use crate::http::page::Page;
use crate::http::routes::{Call, Outcome};
use crate::http::worker::{Committed, Context};
use crate::model::{EventName, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, NewEvent, SPOTS_MAX};

pub fn create(context: &Context, call: &Call) -> Handled {
    let mut members = Members::parse(call.head, call.body)?;
    let name = required(members.text("name")?, "name")?;
    let name = EventName::parse(&name).map_err(|why| invalid("name", why))?;
    let total_spots = members.integer("total_spots", 1, SPOTS_MAX)?;
    let new = NewEvent {
        name,
        total_spots: required(total_spots, "total_spots")?,
        starts_at: members.time("starts_at")?,
        sales_open_at: members.time("sales_open_at")?,
        sales_close_at: members.time("sales_close_at")?,
        hold_seconds: members.integer("hold_seconds", HOLD_SECONDS_MIN, HOLD_SECONDS_MAX)?,
    };
    members.none_left()?;
    if let (Some(open), Some(close)) = (new.sales_open_at, new.sales_close_at)
        && close <= open
    {
        return Err(invalid("sales_close_at", "must be after sales_open_at"));
    }
    let key = idempotency_key(call.head, None)?;
    let hold_ms = context.shared.hold_ms_default;
    commit(move |tx, now| {
        box_office::create_event(tx, now, &new, hold_ms, key.as_ref()).map(Committed::NewEvent)
    })
}

pub fn list(context: &Context, call: &Call) -> Handled {
    let page = Page::parse(call.query)?;
    let now = context.shared.clock.now();
    let mut events = context
        .db
        .read_one(|tx| box_office::list_events(tx, now, page.after, page.limit + 1))?;
    let more = events.len() > page.limit;
    events.truncate(page.limit);
    let mut answer = Answer::json(200, &events);
    if let Some(last) = events.last().filter(|_| more) {
        let next = format!(
            "</events?limit={}&after=e{}>; rel=\"next\"",
            page.limit, last.id
        );
        answer = answer.header("Link", next);
    }
    Ok(Outcome::Answer(answer))
}

pub fn show(context: &Context, call: &Call) -> Handled {
    let id = event_id(call.id)?;
    let now = context.shared.clock.now();
    let event = context
        .db
        .read_one(|tx| box_office::show_event(tx, now, id))?;
    Ok(Outcome::Answer(Answer::json(200, &event)))
}
