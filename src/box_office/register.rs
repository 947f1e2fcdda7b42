//! The sale: one spot, one ticket, one transaction.

use super::holds::{release_expired_holds, release_hold};
use super::once::Done;
use crate::error::Error;
use crate::model::{
    Email, EventStatus, IdempotencyKey, LedgerKind, Sale, Ticket, TicketId, Timestamp,
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
    /// The ticket's id, should one be sold.
    pub ticket_id: TicketId,
}

enum Decision {
    Replay(Ticket),
    Sell(Sale),
}

/// Sells one spot.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `EventCancelled`,
/// `SalesNotOpen`, `SalesClosed`, `AlreadyRegistered`, `SoldOut`.
pub fn register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Done<Ticket>, Error> {
    let sale = match decide(tx, now, asked)? {
        Decision::Replay(ticket) => {
            return Ok(Done {
                value: ticket,
                replayed: true,
            });
        }
        Decision::Sell(sale) => sale,
    };
    let event_id = asked.event_id;
    if let Some(own) = sale.own {
        release_hold(tx, now, event_id, own.seq, &own.ticket_id)?;
    } else if sale.available_spots == 0 {
        release_expired_holds(tx, now, event_id, RELEASED_PER_SALE_MAX)?;
    }
    if !tx.event_take_spot(event_id)? {
        return Err(Error::SoldOut {
            next_expiry: sale.next_expiry,
        });
    }
    let expires_at = now.plus_ms(sale.hold_ms);
    let ticket_id = asked.ticket_id.clone();
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

/// Refuses on a snapshot what a transaction would refuse. Not even a replay is answered from a
/// snapshot: what it shows may not be on disk yet. Errors as [`register`].
pub fn check_can_register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<(), Error> {
    decide(tx, now, asked).map(drop)
}

/// Reads only, so that the write path and the read path cannot come to different answers.
fn decide(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Decision, Error> {
    let sale = tx
        .sale_find(asked.event_id, &asked.email)?
        .ok_or(Error::EventNotFound)?;
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
    match &sale.own {
        Some(own) if !own.is_expired_hold(now) => return Err(Error::AlreadyRegistered),
        // An expired hold of one's own frees a spot.
        Some(_) => {}
        None if sale.available_spots == 0 && sale.next_expiry.is_none_or(|t| now < t) => {
            return Err(Error::SoldOut {
                next_expiry: sale.next_expiry,
            });
        }
        None => {}
    }
    Ok(Decision::Sell(sale))
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
