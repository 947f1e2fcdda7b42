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

use super::body::invalid;
use super::head::{Field, Head};
use super::problem::Problem;
use super::routes::Outcome;
use super::worker::{Committed, Work};
use crate::error::Error;
use crate::model::{IdempotencyKey, TicketId, Timestamp};
use crate::store::Tx;

type Handled = Result<Outcome, Problem>;

fn commit<F>(work: F) -> Handled
where
    F: FnMut(&Tx, Timestamp) -> Result<Committed, Error> + Send + 'static,
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
