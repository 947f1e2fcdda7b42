//! What a transaction's jobs are about, said before they run. To an engine that is far away each look
//! is a round trip, and buyers wait behind the event's lock meanwhile: it takes all locks and looks
//! for all jobs at once. An engine that is near has no use for it.

use super::events::sale_find;
use super::keys::key_find;
use super::tickets::ticket_find;
use super::{Call, Tx};
use crate::clock::Clock;
use crate::error::Error;
use crate::model::{Email, IdempotencyKey, TicketId, Timestamp};
use crate::store::engine::{Ahead, Look};

/// What a job is about, and so what it will write and look at.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'j> {
    /// Nothing that others may be at as well.
    Nothing,
    NewEvent(Option<&'j IdempotencyKey>),
    Event(i64, Option<&'j IdempotencyKey>),
    Ticket(&'j TicketId, Option<&'j IdempotencyKey>),
    Sale {
        event_id: i64,
        email: &'j Email,
        key: Option<&'j IdempotencyKey>,
    },
}

impl Tx<'_> {
    /// Has the transaction own the events that its jobs are about, and returns its time, which is not
    /// before that of any change of theirs.
    pub(in crate::store) fn look_ahead<'j>(
        &self,
        scopes: impl Iterator<Item = Scope<'j>>,
        clock: &Clock,
    ) -> Result<Timestamp, Error> {
        let found = match self.engine.is_far() {
            true => self.engine.look_ahead(&ahead(scopes))?,
            false => None,
        };
        Ok(match found {
            None => clock.now(),
            Some(moment) => clock.or(moment.now).max(moment.last_change),
        })
    }
}

fn ahead<'j>(scopes: impl Iterator<Item = Scope<'j>>) -> Ahead<'j> {
    let mut ahead = Ahead::default();
    for scope in scopes {
        let key = match scope {
            Scope::Nothing => None,
            Scope::NewEvent(key) => {
                ahead.new_events = true;
                key
            }
            Scope::Event(id, key) => {
                ahead.events.push(id);
                key
            }
            Scope::Ticket(id, key) => {
                ahead.tickets.push(id.as_bytes());
                ahead.looks.push(look(ticket_find(id)));
                key
            }
            Scope::Sale {
                event_id,
                email,
                key,
            } => {
                ahead.events.push(event_id);
                ahead.looks.push(look(sale_find(event_id, email)));
                ahead.sales += 1;
                key
            }
        };
        ahead.looks.extend(key.map(|key| look(key_find(key))));
    }
    // Most of a batch is about the same few.
    ahead.events.sort_unstable();
    ahead.events.dedup();
    ahead
}

fn look<'v, const N: usize>(call: Call<'v, N>) -> Look<'v> {
    Look {
        statement: call.statement,
        values: call.values.into(),
    }
}
