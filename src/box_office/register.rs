//! The sale: one party's spots, one ticket, one transaction; or a place in line.

use serde::{Serialize, Serializer};

use super::holds::{release_hold, release_holds};
use super::line::{join_line, serve_line};
use super::once::{Done, Subject, check_replay, once};
use crate::error::Error;
use crate::model::{EventStatus, LedgerKind, Registration, Sale, Ticket, Timestamp};
use crate::store::{Account, Entry, Tx};

/// At most so many expired holds are released by one sale: enough for the largest party, and no
/// buyer waits for a sweep.
const RELEASED_PER_SALE_MAX: i64 = 100;
/// With a line all of them are, because what they leave is the line's; so many in one transaction.
const RELEASED_FOR_LINE_MAX: i64 = 2_000;

/// Sells the party's spots, all of them or none, if nobody in line can use them; otherwise gives a
/// place in line to who wants to wait.
///
/// Errors, in this order: `EventNotFound`, `IdempotencyKeyReused`, (a replay,) `PartyTooLarge`,
/// `EventCancelled`, `SalesNotOpen`, `SalesClosed`, `AlreadyRegistered`, `SoldOut` or
/// `LineFull`; `Unfinished`.
pub fn register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<Done<Ticket>, Error> {
    let (sale, account) = find_sale(tx, asked)?;
    once(tx, now, asked.key.as_ref(), request(asked), || {
        check_sale(&sale, now, asked, account)?;
        sell(tx, now, asked, &sale, account)
    })
}

/// Refuses on a snapshot what a transaction would refuse. Not even a replay is answered from a
/// snapshot: what it shows may not be on disk yet. Errors as [`register`].
pub fn check_can_register(tx: &Tx, now: Timestamp, asked: &Registration) -> Result<(), Error> {
    let (sale, account) = find_sale(tx, asked)?;
    if let Some(key) = &asked.key
        && check_replay(tx, now, key, request(asked))?
    {
        return Ok(());
    }
    check_sale(&sale, now, asked, account)
}

fn find_sale(tx: &Tx, asked: &Registration) -> Result<(Sale, Account), Error> {
    let found = tx.sale_find(asked.event_id, &asked.email)?;
    found.ok_or(Error::EventNotFound)
}

/// What a key stands for.
fn request(asked: &Registration) -> impl Serialize {
    Request(asked)
}

struct Request<'r>(&'r Registration);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Registration {
            event_id, spots, ..
        } = self.0;
        let email = self.0.email.folded();
        match (spots, self.0.waits) {
            (1, false) => ("register", event_id, email).serialize(to),
            (_, false) => ("register", event_id, email, spots).serialize(to),
            (_, true) => ("register", event_id, email, spots, "wait").serialize(to),
        }
    }
}

fn check_sale(
    sale: &Sale,
    now: Timestamp,
    asked: &Registration,
    account: Account,
) -> Result<(), Error> {
    if asked.spots > sale.party_max {
        let party_max = sale.party_max;
        return Err(Error::PartyTooLarge { party_max });
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
        Some(own) if !own.is_expired_hold(now) => Err(Error::AlreadyRegistered),
        // An expired hold of one's own frees a spot.
        Some(_) => Ok(()),
        None if sale.available_spots < asked.spots && sale.next_expiry.is_none_or(|t| now < t) => {
            check_line(sale, account, asked)
        }
        None => Ok(()),
    }
}

fn sell(
    tx: &Tx,
    now: Timestamp,
    asked: &Registration,
    sale: &Sale,
    account: Account,
) -> Result<(Ticket, Subject), Error> {
    let (event_id, spots) = (asked.event_id, asked.spots);
    let account = make_room(tx, now, asked, sale, account)?;
    let expires_at = now.plus_ms(sale.hold_ms);
    if !tx.event_take_spots(account, spots, expires_at) {
        let (sale, account) = find_sale(tx, asked)?;
        check_line(&sale, account, asked)?;
        let (ticket, seq) = join_line(tx, now, asked, account)?;
        return Ok((ticket, Subject::Ticket(seq)));
    }
    let (id, email) = (asked.ticket_id, &asked.email);
    let seq = tx.ticket_insert(&id, event_id, email, spots, now, expires_at)?;
    let entry = Entry::of_ticket(LedgerKind::Reserved, seq, spots).taking();
    tx.ledger_insert(now, account.with(entry), entry)?;
    let email = email.as_str().to_owned();
    let ticket = Ticket::reserved(id, event_id, email, spots, now, Some(expires_at));
    Ok((ticket, Subject::Ticket(seq)))
}

/// Releases what has expired, as far as it is needed, and leaves to the line what is the line's.
fn make_room(
    tx: &Tx,
    now: Timestamp,
    asked: &Registration,
    sale: &Sale,
    mut account: Account,
) -> Result<Account, Error> {
    if let Some(own) = &sale.own {
        account = release_hold(tx, now, account, own)?;
    }
    let limit = match account.waiting {
        0 => RELEASED_PER_SALE_MAX,
        _ => RELEASED_FOR_LINE_MAX,
    };
    let is_due = sale.next_expiry.is_some_and(|end| end <= now);
    if is_due && (account.waiting > 0 || account.available_spots < asked.spots) {
        let before = account;
        account = release_holds(tx, now, account, limit)?;
        if before.waiting > 0 && account.changes - before.changes == limit {
            serve_line(tx, now, account)?;
            return Err(Error::Unfinished);
        }
    }
    serve_line(tx, now, account)
}

/// Whether there is a place in line for who finds too few spots.
fn check_line(sale: &Sale, account: Account, asked: &Registration) -> Result<(), Error> {
    let waiting = account.waiting;
    if !asked.waits {
        return Err(Error::SoldOut {
            available_spots: account.available_spots,
            waiting,
            next_expiry: sale.next_expiry,
        });
    }
    match waiting < sale.waiting_max {
        true => Ok(()),
        false => Err(Error::LineFull { waiting }),
    }
}
