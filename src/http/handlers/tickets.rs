//! Tickets: sold, shown, listed, confirmed, cancelled, used to come in.

use super::{Handled, attendees, commit, event_id, idempotency_key, ticket_id};
use crate::box_office::{self, Registration, TicketFilter, TicketRequest};
use crate::error::Error;
use crate::http::accept;
use crate::http::answer::Answer;
use crate::http::body::{Members, invalid, required};
use crate::http::page::{Page, parameter};
use crate::http::problem::Problem;
use crate::http::routes::{Call, Outcome};
use crate::http::worker::{Committed, Context};
use crate::model::{Email, TicketId, TicketStatus};

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
        context.db.read(|tx| box_office::foresee(tx, now, &asked))?;
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

/// As pages of JSON, or all of them as CSV.
pub fn list(context: &Context, call: &Call) -> Handled {
    let status = parameter(call.query, "status")?.map(|name| {
        TicketStatus::parse(name)
            .ok_or_else(|| invalid("status", "must be reserved, confirmed or cancelled"))
    });
    let status = status.transpose()?;
    match accept::prefers_csv(call.head.accept()) {
        true => list_all(context, call, status),
        false => list_page(context, call, status),
    }
}

fn list_page(context: &Context, call: &Call, status: Option<TicketStatus>) -> Handled {
    let page = Page::parse(call.query, 't')?;
    let event_id = event_id(call.id)?;
    let filter = TicketFilter { event_id, status };
    let now = context.shared.clock.now();
    let tickets = context
        .db
        .read(|tx| box_office::list_tickets(tx, now, filter, page.after, page.rows()))?;
    let mut path = format!("/events/{event_id}/tickets?");
    if let Some(status) = status {
        path.push_str(&format!("status={}&", status.as_str()));
    }
    let answer = page.answer(&path, &tickets).header("Vary", "Accept");
    Ok(Outcome::Answer(answer))
}

fn list_all(context: &Context, call: &Call, status: Option<TicketStatus>) -> Handled {
    for name in ["limit", "after"] {
        if parameter(call.query, name)?.is_some() {
            let why = "does not go with text/csv, which is not paged";
            return Err(invalid(name, why));
        }
    }
    let event_id = event_id(call.id)?;
    let filter = TicketFilter { event_id, status };
    let clock = context.shared.clock.clone();
    Ok(attendees::export(filter, clock))
}

pub fn show(context: &Context, call: &Call) -> Handled {
    let id = ticket_id(call.id)?;
    let now = context.shared.clock.now();
    let ticket = context
        .db
        .read(|tx| box_office::show_ticket(tx, now, &id))?;
    Ok(Outcome::Answer(Answer::json(200, &ticket)))
}

pub fn confirm(_: &Context, call: &Call) -> Handled {
    let asked = holders_request(call)?;
    commit(move |tx, now| box_office::confirm(tx, now, &asked).map(Committed::Ticket))
}

pub fn cancel(_: &Context, call: &Call) -> Handled {
    let asked = holders_request(call)?;
    commit(move |tx, now| box_office::cancel_ticket(tx, now, &asked).map(Committed::Ticket))
}

pub fn check_in(_: &Context, call: &Call) -> Handled {
    let members = Members::parse_optional(call.head, call.body)?;
    let asked = ticket_request(call, members, None)?;
    commit(move |tx, now| box_office::check_in(tx, now, &asked).map(Committed::Ticket))
}

/// A holder may add the address, to be safe from using the wrong ticket.
fn holders_request(call: &Call) -> Result<TicketRequest, Problem> {
    let mut members = Members::parse_optional(call.head, call.body)?;
    let email = members.text("email")?.map(|text| Email::parse(&text));
    let email = email.transpose().map_err(|why| invalid("email", why))?;
    ticket_request(call, members, email)
}

fn ticket_request(
    call: &Call,
    members: Members,
    email: Option<Email>,
) -> Result<TicketRequest, Problem> {
    members.none_left()?;
    let key = idempotency_key(call.head, None)?;
    Ok(TicketRequest {
        ticket_id: ticket_id(call.id)?,
        email,
        key,
    })
}
