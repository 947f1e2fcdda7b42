//! One function an endpoint: understand the request, call the box office, shape the answer.
//!
//! Each refuses in this order: 415 and 400 on the body, 404 for an id that cannot exist, then what
//! the box office refuses.

mod attendees;
pub mod changes;
pub mod events;
pub mod index;
pub mod metrics;
pub mod pages;
pub mod service;
pub mod tickets;

use schemars::JsonSchema;
use serde::Deserialize;

pub use attendees::csv_head;
pub use changes::event_in_stream;

use super::auth::check_reach;
use super::body::invalid;
use super::endpoint::{Call, Outcome, Work};
use super::state::Context;
use crate::box_office::{About, Replay};
use crate::error::Error;
use crate::message::{Field, JSON, Problem, Response};
use crate::model::{IdempotencyKey, TicketId, Timestamp};
use crate::store::{Scope, Tx};

/// A body that may be there, and says nothing.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

type Handled = Result<Outcome, Problem>;

/// Has `run` done to what was asked for in a transaction about `scope`, and answers with what
/// `respond` makes of its result (and of the base path) once that is committed.
fn commit<A, T, F>(
    context: &Context,
    asked: A,
    scope: fn(&A) -> Scope,
    run: F,
    respond: fn(T, &str) -> Response,
) -> Handled
where
    A: Send + 'static,
    T: Send + 'static,
    F: FnMut(&Tx, Timestamp, &A) -> Result<T, Error> + Send + 'static,
{
    Ok(Outcome::Commit(Box::new(Transaction {
        asked,
        scope,
        run,
        respond,
        base_path: context.state.settings.base_path,
        done: None,
    })))
}

struct Transaction<A, T, F> {
    asked: A,
    scope: fn(&A) -> Scope,
    run: F,
    respond: fn(T, &str) -> Response,
    base_path: &'static str,
    done: Option<Result<T, Error>>,
}

impl<A: Send, T: Send, F> Work for Transaction<A, T, F>
where
    F: FnMut(&Tx, Timestamp, &A) -> Result<T, Error> + Send,
{
    fn scope(&self) -> Scope<'_> {
        (self.scope)(&self.asked)
    }

    fn run(&mut self, tx: &Tx, now: Timestamp) -> Result<(), Error> {
        match (self.run)(tx, now, &self.asked) {
            Err(failure) if failure.is_failure() => Err(failure),
            done => {
                self.done = Some(done);
                Ok(())
            }
        }
    }

    fn respond(self: Box<Self>) -> Result<Response, Problem> {
        match self.done {
            Some(done) => Ok((self.respond)(done?, self.base_path)),
            None => Err(Error::Internal("committed without having been run".into()).into()),
        }
    }
}

/// The first response once more, and what has become of the ticket since.
fn replayed(status: u16, replay: Replay, base_path: &str) -> Response {
    let response = Response::new(status, JSON, replay.body + "\n");
    let response = response.header("Idempotent-Replayed", "true");
    let (response, location) = match replay.about {
        About::Event(id) => (response, format!("{base_path}/events/{id}")),
        About::Ticket(id, status) => (
            response.header("Ticket-Status", status.as_str()),
            format!("{base_path}/tickets/{id}"),
        ),
    };
    match status {
        201 | 202 => response.header("Location", &location),
        _ => response,
    }
}

/// The event that the path names.
///
/// Errors: `event_not_found`, also for another organizer's.
fn event_id(context: &Context, call: &Call) -> Result<i64, Problem> {
    let id: i64 = call.id.parse().unwrap_or(0);
    // An id is written in one way only: what has one name is cached and counted as one.
    if id.to_string() != call.id {
        return Err(Error::EventNotFound.into());
    }
    check_reach(context, call.caller, call.reach, call.id)?;
    Ok(id)
}

/// The ticket that the path names.
///
/// Errors: `ticket_not_found`, also for one of another organizer's event.
fn ticket_id(context: &Context, call: &Call) -> Result<TicketId, Problem> {
    let id = TicketId::parse(call.id).ok_or(Error::TicketNotFound)?;
    check_reach(context, call.caller, call.reach, call.id)?;
    Ok(id)
}

/// The key may come as a header, as a member, or as both if they agree.
fn idempotency_key(
    call: &Call,
    member: Option<IdempotencyKey>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let name = "Idempotency-Key";
    let header = match call.request.head.headers.one(name) {
        Field::Absent => None,
        Field::Once(value) => {
            Some(IdempotencyKey::parse_header(value).map_err(|why| invalid(name, why))?)
        }
        Field::Repeated => return Err(invalid(name, "must be sent once")),
    };
    if let (Some(header), Some(member)) = (&header, &member)
        && header != member
    {
        return Err(invalid(
            "idempotency_key",
            "differs from the header Idempotency-Key",
        ));
    }
    let key = header.or(member);
    Ok(key.map(|key| key.of_caller(call.caller.key_id)))
}
