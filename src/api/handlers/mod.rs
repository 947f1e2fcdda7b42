//! One function an endpoint: understand the request, call the box office, shape the answer.
//!
//! Each refuses in this order: 415 and 400 on the body, 404 for an id that cannot exist, then what
//! the box office refuses.

mod attendees;
pub mod events;
pub mod index;
pub mod metrics;
pub mod service;
pub mod tickets;

use super::auth::check_reach;
use super::body::invalid;
use super::endpoint::{Call, Outcome, Work};
use super::state::Context;
use crate::box_office::{About, Replay};
use crate::error::Error;
use crate::message::{Field, JSON, Problem, Response};
use crate::model::{IdempotencyKey, TicketId, Timestamp};
use crate::store::{Scope, Tx};

type Handled = Result<Outcome, Problem>;

/// Has `run` done to what was asked for in a transaction about `scope`, and answers with what
/// `respond` makes of its result once that is committed.
fn commit<A, T, F>(asked: A, scope: fn(&A) -> Scope, run: F, respond: fn(T) -> Response) -> Handled
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
        done: None,
    })))
}

struct Transaction<A, T, F> {
    asked: A,
    scope: fn(&A) -> Scope,
    run: F,
    respond: fn(T) -> Response,
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
            Some(done) => Ok((self.respond)(done?)),
            None => Err(Error::Internal("committed without having been run".into()).into()),
        }
    }
}

/// The first response once more, and what has become of the ticket since.
fn replayed(status: u16, replay: Replay) -> Response {
    let response = Response::new(status, JSON, replay.body + "\n");
    let response = response.header("Idempotent-Replayed", "true");
    let (response, location) = match replay.about {
        About::Event(id) => (response, format!("/events/{id}")),
        About::Ticket(id, status) => (
            response.header("Ticket-Status", status.as_str()),
            format!("/tickets/{id}"),
        ),
    };
    match status {
        201 => response.header("Location", &location),
        _ => response,
    }
}

/// The event that the path names.
///
/// Errors: `event_not_found`, also for another organizer's.
fn event_id(context: &Context, call: &Call) -> Result<i64, Problem> {
    let digits = call.id.bytes().all(|b| b.is_ascii_digit());
    let id = call.id.parse().ok().filter(|_| digits);
    let id = id.ok_or(Error::EventNotFound)?;
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
fn idempotency_key(call: &Call, member: Option<String>) -> Result<Option<IdempotencyKey>, Problem> {
    let name = "Idempotency-Key";
    let header = match call.request.head.headers.one(name) {
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
    let key = header.or(member);
    Ok(key.map(|key| key.of_caller(call.caller.key_id)))
}
