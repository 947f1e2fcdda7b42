//! The sale: one spot, one ticket, one transaction.

use super::holds::{release_hold, release_holds};
use super::once::{Done, Subject, check_replay, once};
use crate::error::Error;
use crate::model::{
    Email, EventStatus, IdempotencyKey, LedgerKind, Sale, Ticket, TicketId, Timestamp,
};
use crate::store::{Account, Tx};

/// At most so many expired holds are released by one sale: enough to find a spot, and no buyer
/// waits for a sweep.
const RELEASED_PER_SALE_MAX: i64 = 32;

/// What a buyer asks for.
#[derive(Clone, Debug)]
pub struct Registration {
    pub event_id: i64,
    pub email: Email,
    pub key: Option<IdempotencyKey>,
    /// The ticket's id, should one be sold.
    pub ticket_id: TicketId,
}

/// Sells one spot.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `EventCancelled`,
/// `SalesNotOpen`, `SalesClosed`, `AlreadyRegistered`, `SoldOut`.
pub fn register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Done<Ticket>, Error> {
    let (sale, account) = find_sale(tx, asked)?;
    once(tx, now, asked.key.as_ref(), request(asked), || {
        check_sale(&sale, now)?;
        sell(tx, now, asked, &sale, account)
    })
}

/// Refuses on a snapshot what a transaction would refuse. Not even a replay is answered from a
/// snapshot: what it shows may not be on disk yet. Errors as [`register`].
pub fn check_can_register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<(), Error> {
    let (sale, _) = find_sale(tx, asked)?;
    if let Some(key) = &asked.key
        && check_replay(tx, now, key, request(asked))?
    {
        return Ok(());
    }
    check_sale(&sale, now)
}

fn find_sale(tx: &Tx, asked: &Registration) -> Result<(Sale, Account), Error> {
    let found = tx.sale_find(asked.event_id, &asked.email)?;
    found.ok_or(Error::EventNotFound)
}

/// What a key stands for.
fn request(asked: &Registration) -> (&'static str, i64, &str) {
    ("register", asked.event_id, asked.email.folded())
}

fn check_sale(sale: &Sale, now: Timestamp) -> Result<(), Error> {
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
        Some(own) if !own.is_expired_hold(now) => Err(Error::AlreadyRegistered),
        // An expired hold of one's own frees a spot.
        Some(_) => Ok(()),
        None if sale.available_spots == 0 && sale.next_expiry.is_none_or(|t| now < t) => {
            Err(sold_out(sale))
        }
        None => Ok(()),
    }
}

fn sell(
    tx: &Tx,
    now: Timestamp,
    asked: &Registration,
    sale: &Sale,
    mut account: Account,
) -> Result<(Ticket, Subject), Error> {
    let event_id = asked.event_id;
    if let Some(own) = &sale.own {
        account = release_hold(tx, now, account, own.seq)?;
    } else if sale.available_spots == 0 {
        account = release_holds(tx, now, account, RELEASED_PER_SALE_MAX)?;
    }
    if !tx.event_take_spots(account, 1) {
        return Err(sold_out(sale));
    }
    let expires_at = now.plus_ms(sale.hold_ms);
    let seq = tx.ticket_insert(&asked.ticket_id, event_id, &asked.email, now, expires_at)?;
    tx.ledger_insert(
        now,
        account.after(1, -1),
        LedgerKind::Reserved,
        Some(seq),
        -1,
    )?;
    let email = asked.email.as_str().to_owned();
    let ticket = Ticket::reserved(asked.ticket_id, event_id, email, now, expires_at);
    Ok((ticket, Subject::Ticket(seq)))
}

fn sold_out(sale: &Sale) -> Error {
    Error::SoldOut {
        next_expiry: sale.next_expiry,
    }
}
