//! Tickets: sold, shown, listed, confirmed, cancelled, used to come in.

use super::{Handled, attendees, commit, event_id, idempotency_key, replayed, ticket_id};
use crate::api::body::{Members, invalid, required};
use crate::api::endpoint::{Call, Outcome};
use crate::api::pagination::{Page, parameter};
use crate::api::state::Context;
use crate::box_office::{self, Done, Registration, TicketFilter, TicketRequest};
use crate::error::Error;
use crate::message::{Problem, Response, prefers_csv};
use crate::model::{Email, Ticket, TicketId, TicketStatus};
use crate::store::Scope;

pub fn register(context: &Context, call: &Call) -> Handled {
    let mut members = Members::parse(call.request)?;
    let email = required(members.text("email")?, "email")?;
    let email = Email::parse(&email).map_err(|why| invalid("email", why))?;
    let key_member = members.text("idempotency_key")?;
    members.none_left()?;
    let key = idempotency_key(call, key_member)?;
    let event_id = event_id(context, call)?;
    // Made here, because randomness takes time that nobody has under the write lock.
    let ticket_id = TicketId::new(context.state.clock.now());
    let asked = Registration {
        event_id,
        email,
        key,
        ticket_id,
    };
    // Once the spots are gone, most buyers are refused; that takes no turn at the write lock.
    let state = context.state.clone();
    if state.sold_out.contains(event_id) && context.db.shows_what_lasts() {
        let now = state.clock.now();
        context
            .db
            .read(|tx| box_office::check_can_register(tx, now, &asked))?;
        state.sold_out.remove(event_id);
    }
    commit(
        asked,
        |asked| Scope::Sale {
            event_id: asked.event_id,
            email: &asked.email,
            key: asked.key.as_ref(),
        },
        move |tx, now, asked| {
            let done = box_office::register(tx, now, asked);
            if matches!(done, Err(Error::SoldOut { .. })) {
                state.sold_out.insert(event_id);
            }
            done
        },
        registered,
    )
}

fn registered(done: Done<Ticket>) -> Response {
    match done {
        Done::Fresh(ticket) => {
            let location = format!("/tickets/{}", ticket.ticket_id);
            Response::json(201, &ticket).header("Location", &location)
        }
        Done::Replayed(replay) => replayed(201, replay),
    }
}

/// As pages of JSON, or all of them as CSV.
pub fn list(context: &Context, call: &Call) -> Handled {
    let status = parameter(call.request.query(), "status")?.map(|name| {
        TicketStatus::parse(name)
            .ok_or_else(|| invalid("status", "must be reserved, confirmed or cancelled"))
    });
    let status = status.transpose()?;
    match prefers_csv(call.request.head.headers.all("Accept")) {
        true => list_all(context, call, status),
        false => list_page(context, call, status),
    }
}

fn list_page(context: &Context, call: &Call, status: Option<TicketStatus>) -> Handled {
    let page = Page::parse(call.request.query(), 't')?;
    let event_id = event_id(context, call)?;
    let filter = TicketFilter { event_id, status };
    let now = context.state.clock.now();
    let tickets = context
        .db
        .read(|tx| box_office::list_tickets(tx, now, filter, page.after, page.rows()))?;
    let mut path = format!("/events/{event_id}/tickets?");
    if let Some(status) = status {
        path.push_str(&format!("status={}&", status.as_str()));
    }
    let response = page.response(&path, &tickets);
    Ok(Outcome::Respond(response.header("Vary", "Accept")))
}

fn list_all(context: &Context, call: &Call, status: Option<TicketStatus>) -> Handled {
    for name in ["limit", "after"] {
        if parameter(call.request.query(), name)?.is_some() {
            let why = "does not go with text/csv, which is not paged";
            return Err(invalid(name, why));
        }
    }
    let event_id = event_id(context, call)?;
    let filter = TicketFilter { event_id, status };
    attendees::export(context, filter)
}

pub fn show(context: &Context, call: &Call) -> Handled {
    let id = ticket_id(context, call)?;
    let now = context.state.clock.now();
    let ticket = context
        .db
        .read(|tx| box_office::show_ticket(tx, now, &id))?;
    Ok(Outcome::Respond(Response::json(200, &ticket)))
}

pub fn confirm(context: &Context, call: &Call) -> Handled {
    let asked = holders_request(context, call)?;
    commit(asked, of_ticket, box_office::confirm, shown)
}

pub fn cancel(context: &Context, call: &Call) -> Handled {
    let asked = holders_request(context, call)?;
    commit(asked, of_ticket, box_office::cancel_ticket, shown)
}

pub fn check_in(context: &Context, call: &Call) -> Handled {
    let members = Members::parse_optional(call.request)?;
    let asked = ticket_request(context, call, members, None)?;
    commit(asked, of_ticket, box_office::check_in, shown)
}

fn of_ticket(asked: &TicketRequest) -> Scope<'_> {
    Scope::Ticket(&asked.ticket_id, asked.key.as_ref())
}

fn shown(done: Done<Ticket>) -> Response {
    match done {
        Done::Fresh(ticket) => Response::json(200, &ticket),
        Done::Replayed(replay) => replayed(200, replay),
    }
}

/// A holder may add the address, to be safe from using the wrong ticket.
fn holders_request(context: &Context, call: &Call) -> Result<TicketRequest, Problem> {
    let mut members = Members::parse_optional(call.request)?;
    let email = members.text("email")?.map(|text| Email::parse(&text));
    let email = email.transpose().map_err(|why| invalid("email", why))?;
    ticket_request(context, call, members, email)
}

fn ticket_request(
    context: &Context,
    call: &Call,
    members: Members,
    email: Option<Email>,
) -> Result<TicketRequest, Problem> {
    members.none_left()?;
    let key = idempotency_key(call, None)?;
    Ok(TicketRequest {
        ticket_id: ticket_id(context, call)?,
        email,
        key,
    })
}
