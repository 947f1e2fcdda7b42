//! Tickets: sold, shown, listed, extended, confirmed, cancelled, used to come in.

use qrcode::QrCode;
use qrcode::render::svg;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Handled, attendees, commit, event_id, idempotency_key, replayed, ticket_id};
use crate::api::auth::check_reach;
use crate::api::body::{self, invalid};
use crate::api::endpoint::{Call, Outcome};
use crate::api::pagination::{Page, parameter};
use crate::api::state::Context;
use crate::box_office::{self, Done, TicketFilter, TicketRequest};
use crate::error::Error;
use crate::message::{Problem, Response, SVG, prefers_text};
use crate::model::{
    DoorCode, Email, IdempotencyKey, PartySpots, PaymentRef, Registration, Ticket, TicketId,
    TicketStatus, given,
};
use crate::store::{Scope, Tx};

/// Who wants spots.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buyer {
    email: Email,
    /// How many, at most the event's `party_max`: all of them or none; 1, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "PartySpots")]
    spots: Option<PartySpots>,
    /// Whether to stand in line, if there are too few spots; false, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "bool")]
    wait: Option<bool>,
    /// As the header Idempotency-Key.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "IdempotencyKey")]
    idempotency_key: Option<IdempotencyKey>,
}

/// A holder may add the address, to be safe from using the wrong ticket.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Holder {
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Email")]
    email: Option<Email>,
}

/// A holder who confirms.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Payer {
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Email")]
    email: Option<Email>,
    /// What the payment is called where it was made; kept with the ticket.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "PaymentRef")]
    payment_ref: Option<PaymentRef>,
}

/// A holder who gives back.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Returner {
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Email")]
    email: Option<Email>,
    /// So many of the ticket's spots, fewer than all; all of them, if it is left out.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "PartySpots")]
    spots: Option<PartySpots>,
}

/// Those of a party who come in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guests {
    /// How many; all who have not come yet, if it is left out.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "PartySpots")]
    spots: Option<PartySpots>,
}

pub fn register(context: &Context, call: &Call) -> Handled {
    let buyer: Buyer = body::parse(call.request)?;
    let key = idempotency_key(call, buyer.idempotency_key)?;
    let event_id = event_id(context, call)?;
    // Made here, because randomness takes time that nobody has under the write lock.
    let ticket_id = TicketId::new(context.state.clock.now());
    let asked = Registration {
        event_id,
        email: buyer.email,
        spots: buyer.spots.map_or(1, PartySpots::get),
        waits: buyer.wait == Some(true),
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
        context,
        asked,
        |asked| Scope::Sale {
            event_id: asked.event_id,
            email: &asked.email,
            key: asked.key.as_ref(),
        },
        move |tx, now, asked| {
            let done = box_office::register(tx, now, asked);
            if matches!(done, Err(Error::SoldOut { .. } | Error::LineFull { .. })) {
                state.sold_out.insert(event_id);
            }
            done
        },
        registered,
    )
}

fn registered(done: Done<Ticket>, base_path: &str) -> Response {
    match done {
        Done::Fresh(ticket) => {
            let location = format!("{base_path}/tickets/{}", ticket.ticket_id);
            let status = match ticket.status {
                TicketStatus::Waiting => 202,
                _ => 201,
            };
            Response::json(status, &ticket).header("Location", &location)
        }
        // Quotes inside a JSON text are escaped, so that this is the member.
        Done::Replayed(replay) => match replay.body.contains(r#""status":"waiting""#) {
            true => replayed(202, replay, base_path),
            false => replayed(201, replay, base_path),
        },
    }
}

/// As pages of JSON, or all of them as CSV.
pub fn list(context: &Context, call: &Call) -> Handled {
    let status = parameter(call.request.query(), "status")?.map(|name| {
        TicketStatus::parse(&name).ok_or_else(|| {
            invalid(
                "status",
                "must be waiting, reserved, confirmed or cancelled",
            )
        })
    });
    let status = status.transpose()?;
    match prefers_text(call.request.head.headers.all("Accept"), "csv") {
        true => list_all(context, call, status),
        false => list_page(context, call, status),
    }
}

fn list_page(context: &Context, call: &Call, status: Option<TicketStatus>) -> Handled {
    let page = Page::parse(call.request.query(), "t")?;
    let event_id = event_id(context, call)?;
    let filter = TicketFilter { event_id, status };
    let now = context.state.clock.now();
    let tickets = context
        .db
        .read(|tx| box_office::list_tickets(tx, now, filter, page.after, page.rows()))?;
    let base_path = context.state.settings.base_path;
    let mut path = format!("{base_path}/events/{event_id}/tickets?");
    if let Some(status) = status {
        path.push_str(&format!("status={}&", status.as_str()));
    }
    Ok(Outcome::Respond(page.response(&path, &tickets)))
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
    let payer: Payer = body::parse_optional(call.request)?;
    let mut asked = ticket_request(context, call, payer.email)?;
    asked.payment = payer.payment_ref;
    commit(context, asked, of_ticket, box_office::confirm, shown)
}

pub fn extend(context: &Context, call: &Call) -> Handled {
    let holder: Holder = body::parse_optional(call.request)?;
    let asked = ticket_request(context, call, holder.email)?;
    commit(context, asked, of_ticket, box_office::extend, shown)
}

pub fn cancel(context: &Context, call: &Call) -> Handled {
    let returner: Returner = body::parse_optional(call.request)?;
    let mut asked = ticket_request(context, call, returner.email)?;
    asked.spots = returner.spots.map(PartySpots::get);
    commit(context, asked, of_ticket, box_office::cancel_ticket, shown)
}

pub fn check_in(context: &Context, call: &Call) -> Handled {
    let guests: Guests = body::parse_optional(call.request)?;
    let key = idempotency_key(call, None)?;
    let asked = TicketRequest {
        ticket_id: ticket_at_door(context, call)?,
        email: None,
        spots: guests.spots.map(PartySpots::get),
        payment: None,
        key,
    };
    commit(context, asked, of_ticket, box_office::check_in, shown)
}

/// At the door a ticket is named by its code as well as by its id.
fn ticket_at_door(context: &Context, call: &Call) -> Result<TicketId, Problem> {
    let Some(code) = DoorCode::parse(call.id) else {
        return ticket_id(context, call);
    };
    let find = |tx: &Tx| box_office::find_by_door_code(tx, &code);
    let id = context.db.read(find)?;
    check_reach(context, call.caller, call.reach, &id.to_string())?;
    Ok(id)
}

/// The picture of the door code.
pub fn show_qr(context: &Context, call: &Call) -> Handled {
    let id = ticket_id(context, call)?;
    let now = context.state.clock.now();
    let code = context
        .db
        .read(|tx| box_office::show_door_code(tx, now, &id))?;
    let qr = QrCode::new(code.to_string()).map_err(|e| Error::Internal(e.to_string()))?;
    let svg = qr.render::<svg::Color>().module_dimensions(1, 1).build();
    Ok(Outcome::Respond(Response::new(200, SVG, svg)))
}

fn of_ticket(asked: &TicketRequest) -> Scope<'_> {
    Scope::Ticket(&asked.ticket_id, asked.key.as_ref())
}

fn shown(done: Done<Ticket>, base_path: &str) -> Response {
    match done {
        Done::Fresh(ticket) => Response::json(200, &ticket),
        Done::Replayed(replay) => replayed(200, replay, base_path),
    }
}

fn ticket_request(
    context: &Context,
    call: &Call,
    email: Option<Email>,
) -> Result<TicketRequest, Problem> {
    let key = idempotency_key(call, None)?;
    Ok(TicketRequest {
        ticket_id: ticket_id(context, call)?,
        email,
        spots: None,
        payment: None,
        key,
    })
}
