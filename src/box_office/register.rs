//! The sale: one spot, one ticket, one transaction.

use super::holds::{release_expired_holds, release_hold};
use super::once::Done;
use crate::error::Error;
use crate::model::{
    Email, EventStatus, IdempotencyKey, LedgerKind, Ticket, TicketId, TicketRecord, Timestamp,
};
use crate::store::{RememberedKey, Tx};

/// At most so many expired holds are released by one sale: enough to find a spot, and no buyer
/// waits for a sweep.
const RELEASED_PER_SALE_MAX: usize = 32;

/// What a buyer asks for.
#[derive(Clone, Debug)]
pub struct Registration {
    pub event_id: i64,
    pub email: Email,
    pub key: Option<IdempotencyKey>,
}

enum Decision {
    Replay(Ticket),
    Sell {
        available_spots: i64,
        hold_ms: i64,
        own_expired: Option<TicketRecord>,
    },
}

/// Sells one spot.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `EventCancelled`,
/// `SalesNotOpen`, `SalesClosed`, `AlreadyRegistered`, `SoldOut`.
pub fn register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Done<Ticket>, Error> {
    let (available_spots, hold_ms, own_expired) = match decide(tx, now, asked)? {
        Decision::Replay(ticket) => {
            return Ok(Done {
                value: ticket,
                replayed: true,
            });
        }
        Decision::Sell {
            available_spots,
            hold_ms,
            own_expired,
        } => (available_spots, hold_ms, own_expired),
    };
    let event_id = asked.event_id;
    if let Some(own) = own_expired {
        release_hold(tx, now, event_id, own.seq, &own.ticket_id)?;
    } else if available_spots == 0 {
        release_expired_holds(tx, now, event_id, RELEASED_PER_SALE_MAX)?;
    }
    if !tx.event_take_spot(event_id)? {
        return Err(Error::SoldOut {
            next_expiry: tx.hold_next_expiry(event_id)?,
        });
    }
    let ticket_id = TicketId::new(now);
    let expires_at = now.plus_ms(hold_ms);
    let seq = tx.ticket_insert(&ticket_id, event_id, &asked.email, now, expires_at)?;
    tx.ledger_insert(now, event_id, Some(&ticket_id), LedgerKind::Reserved, -1)?;
    if let Some(key) = &asked.key {
        tx.key_insert(key, &RememberedKey::Registration { ticket_seq: seq })?;
    }
    let ticket = Ticket::reserved(
        ticket_id,
        event_id,
        asked.email.as_str().into(),
        now,
        expires_at,
    );
    Ok(Done {
        value: ticket,
        replayed: false,
    })
}

/// Answers from a snapshot what needs no write: a refusal or a replay. None: it takes a
/// transaction to know. Errors as [`register`].
pub fn foresee(
    tx: &Tx,
    now: Timestamp,
    asked: &Registration,
) -> Result<Option<Done<Ticket>>, Error> {
    Ok(match decide(tx, now, asked)? {
        Decision::Replay(ticket) => Some(Done {
            value: ticket,
            replayed: true,
        }),
        Decision::Sell { .. } => None,
    })
}

/// Reads only, so that the write path and the read path cannot come to different answers.
fn decide(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Decision, Error> {
    let event_id = asked.event_id;
    let sale = tx.event_sale_state(event_id)?.ok_or(Error::EventNotFound)?;
    if let Some(key) = &asked.key
        && let Some(remembered) = tx.key_find(key)?
    {
        return first_answer(tx, asked, &remembered).map(Decision::Replay);
    }
    if sale.status == EventStatus::Cancelled {
        return Err(Error::EventCancelled);
    }
    if let Some(opens_at) = sale.sales_open_at.filter(|t| now < *t) {
        return Err(Error::SalesNotOpen { opens_at });
    }
    if let Some(closed_at) = sale.sales_close_at.filter(|t| now >= *t) {
        return Err(Error::SalesClosed { closed_at });
    }
    let own = tx.ticket_find_live(event_id, &asked.email)?;
    if own
        .as_ref()
        .is_some_and(|ticket| !ticket.is_expired_hold(now))
    {
        return Err(Error::AlreadyRegistered);
    }
    if sale.available_spots == 0 && own.is_none() {
        let next_expiry = tx.hold_next_expiry(event_id)?;
        if next_expiry.is_none_or(|t| now < t) {
            return Err(Error::SoldOut { next_expiry });
        }
    }
    Ok(Decision::Sell {
        available_spots: sale.available_spots,
        hold_ms: sale.hold_ms,
        own_expired: own,
    })
}

/// What the key's first use was answered, if this is the same request again.
fn first_answer(
    tx: &Tx,
    asked: &Registration,
    remembered: &RememberedKey,
) -> Result<Ticket, Error> {
    let RememberedKey::Registration { ticket_seq } = remembered else {
        return Err(Error::IdempotencyKeyReused);
    };
    let sold = tx.ticket_find_seq(*ticket_seq)?;
    let sold = sold.ok_or_else(|| Error::Internal("a key without its ticket".into()))?;
    if sold.event_id != asked.event_id || !asked.email.is(&sold.email) {
        return Err(Error::IdempotencyKeyReused);
    }
    Ok(sold.when_reserved())
}
