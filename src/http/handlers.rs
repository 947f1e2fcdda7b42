//! One function an endpoint: understand the request, call the box office, shape the answer.
//!
//! Each refuses in this order: 415 and 400 on the body, 404 for an id that cannot exist, then what
//! the box office refuses.

use serde_json::json;

use super::answer::{Answer, TEXT};
use super::body::{Members, invalid, required};
use super::head::{Field, Head};
use super::problem::{Code, Problem};
use super::routes::{Call, Outcome};
use super::worker::{Committed, Context, Work};
use crate::box_office::{self, Confirmation, Registration};
use crate::error::Error;
use crate::model::{
    Email, EventName, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, IdempotencyKey, NewEvent, SPOTS_MAX,
    TicketId,
};

const LIST_LIMIT_DEFAULT: usize = 50;
const LIST_LIMIT_MAX: usize = 100;

type Handled = Result<Outcome, Problem>;

pub fn create_event(context: &Context, call: &Call) -> Handled {
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

pub fn list_events(context: &Context, call: &Call) -> Handled {
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

pub fn show_event(context: &Context, call: &Call) -> Handled {
    let id = event_id(call.id)?;
    let now = context.shared.clock.now();
    let event = context
        .db
        .read_one(|tx| box_office::show_event(tx, now, id))?;
    Ok(Outcome::Answer(Answer::json(200, &event)))
}

pub fn register(context: &Context, call: &Call) -> Handled {
    let mut members = Members::parse(call.head, call.body)?;
    let email = required(members.text("email")?, "email")?;
    let email = Email::parse(&email).map_err(|why| invalid("email", why))?;
    let key_member = members.text("idempotency_key")?;
    members.none_left()?;
    let key = idempotency_key(call.head, key_member)?;
    let event_id = event_id(call.id)?;
    // Made here, because randomness takes time that nobody has under the write lock.
    let ticket_id = TicketId::new(context.shared.clock.now());
    let asked = Registration {
        event_id,
        email,
        key,
        ticket_id,
    };
    let shared = &context.shared;
    // Once the spots are gone, most buyers are refused; that takes no turn at the write lock.
    if shared.sold_out.contains(event_id) {
        let now = shared.clock.now();
        // One statement, unless there is a key to look for.
        match asked.key {
            None => context
                .db
                .read_one(|tx| box_office::foresee(tx, now, &asked))?,
            Some(_) => context.db.read(|tx| box_office::foresee(tx, now, &asked))?,
        }
        shared.sold_out.remove(event_id);
    }
    let shared = shared.clone();
    commit(move |tx, now| {
        let done = box_office::register(tx, now, &asked);
        if matches!(done, Err(Error::SoldOut { .. })) {
            shared.sold_out.insert(event_id);
        }
        done.map(Committed::Registration)
    })
}

pub fn show_ticket(context: &Context, call: &Call) -> Handled {
    let id = ticket_id(call.id)?;
    let now = context.shared.clock.now();
    let ticket = context
        .db
        .read_one(|tx| box_office::show_ticket(tx, now, &id))?;
    Ok(Outcome::Answer(Answer::json(200, &ticket)))
}

pub fn confirm(_: &Context, call: &Call) -> Handled {
    let mut members = Members::parse_optional(call.head, call.body)?;
    let email = members.text("email")?;
    let email = email
        .map(|e| Email::parse(&e))
        .transpose()
        .map_err(|why| invalid("email", why))?;
    members.none_left()?;
    let key = idempotency_key(call.head, None)?;
    let asked = Confirmation {
        ticket_id: ticket_id(call.id)?,
        email,
        key,
    };
    commit(move |tx, now| box_office::confirm(tx, now, &asked).map(Committed::Ticket))
}

pub fn show_problem(_: &Context, call: &Call) -> Handled {
    let code = Code::from_slug(call.id);
    let code = code.ok_or_else(|| Problem::new(Code::RouteNotFound, "there is no such problem"))?;
    let text = format!(
        "{} ({})\n\n{}\n",
        code.title(),
        code.status(),
        code.explanation()
    );
    Ok(Outcome::Answer(Answer::new(200, TEXT, text)))
}

pub fn health(_: &Context, _: &Call) -> Handled {
    Ok(Outcome::Answer(Answer::json(200, &json!({"status": "ok"}))))
}

/// Ready is who can commit, so a commit is made.
pub fn ready(context: &Context, _: &Call) -> Handled {
    let reaper = context.shared.reaper_state();
    commit(move |tx, now| {
        box_office::prove_ready(tx, now)?;
        Ok(Committed::Ready { reaper })
    })
}

fn commit<F>(work: F) -> Handled
where
    F: FnMut(&crate::store::Tx, crate::model::Timestamp) -> Result<Committed, Error>
        + Send
        + 'static,
{
    let work: Work = Box::new(work);
    Ok(Outcome::Commit(work))
}

/// An id that is no number has no event.
fn event_id(text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let id = text.parse().ok().filter(|_| digits);
    id.ok_or_else(|| Error::EventNotFound.into())
}

fn ticket_id(text: &str) -> Result<TicketId, Problem> {
    TicketId::parse(text).ok_or_else(|| Error::TicketNotFound.into())
}

/// The key may come as a header, as a member, or as both if they agree.
fn idempotency_key(head: &Head, member: Option<String>) -> Result<Option<IdempotencyKey>, Problem> {
    let name = "Idempotency-Key";
    let header = match head.idempotency_key {
        Field::Absent => None,
        Field::Once(value) => {
            Some(IdempotencyKey::parse_header(value).map_err(|why| invalid(name, why))?)
        }
        Field::Repeated => return Err(invalid(name, "must be sent once")),
    };
    let member = member.map(|m| IdempotencyKey::parse(&m)).transpose();
    let member = member.map_err(|why| invalid("idempotency_key", why))?;
    if let (Some(header), Some(member)) = (&header, &member)
        && header != member
    {
        return Err(invalid(
            "idempotency_key",
            "differs from the header Idempotency-Key",
        ));
    }
    Ok(header.or(member))
}

/// Where a list goes on, and how far.
struct Page {
    limit: usize,
    after: i64,
}

impl Page {
    fn parse(query: &str) -> Result<Page, Problem> {
        let mut limit = None;
        let mut after = None;
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match name {
                "limit" => &mut limit,
                "after" => &mut after,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(invalid(name, "must be given once"));
            }
        }
        let limit = match limit {
            None => LIST_LIMIT_DEFAULT,
            Some(text) => whole(text)
                .filter(|n| (1..=LIST_LIMIT_MAX as i64).contains(n))
                .ok_or_else(|| invalid("limit", "must be a whole number from 1 to 100"))?
                as usize,
        };
        let after = match after {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix('e')
                .and_then(whole)
                .ok_or_else(|| invalid("after", "must be a cursor from a Link header"))?,
        };
        Ok(Page { limit, after })
    }
}

fn whole(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}
