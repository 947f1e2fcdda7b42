//! Tickets: sold, shown, confirmed.

use super::{Handled, commit, event_id, idempotency_key, ticket_id};
use crate::box_office::{self, Confirmation, Registration};
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::body::{Members, invalid, required};
use crate::http::routes::{Call, Outcome};
use crate::http::worker::{Committed, Context};
use crate::model::{Email, TicketId};

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

pub fn show(context: &Context, call: &Call) -> Handled {
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
