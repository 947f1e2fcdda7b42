//! A ticket after the sale: shown, listed, extended, confirmed, cancelled, used to come in.

use super::events::show_event;
use super::ledger::{enter, open_account};
use super::line::serve_line;
use super::once::{Done, Subject, once};
use crate::error::Error;
use crate::model::{
    CancelReason, DoorCode, Email, IdempotencyKey, LedgerKind, PaymentRef, Ticket, TicketId,
    TicketRecord, TicketStatus, Timestamp, hold_max_ms,
};
use crate::store::{Entry, Tx};

/// What is asked of a ticket. An address that is given must be the ticket's.
#[derive(Clone, Debug)]
pub struct TicketRequest {
    pub ticket_id: TicketId,
    pub email: Option<Email>,
    /// To give back or to let in only so many of its spots.
    pub spots: Option<i64>,
    /// What it is confirmed with.
    pub payment: Option<PaymentRef>,
    pub key: Option<IdempotencyKey>,
}

/// Errors: `TicketNotFound`.
pub fn show_ticket(tx: &Tx, now: Timestamp, ticket_id: &TicketId) -> Result<Ticket, Error> {
    let ticket = find(tx, ticket_id)?;
    let mut shown = ticket.at(now);
    if let Some(place) = ticket
        .place
        .filter(|_| shown.status == TicketStatus::Waiting)
    {
        shown.ahead = Some(tx.line_find_ahead(ticket.event_id, place)?);
    }
    Ok(shown)
}

/// The ticket that a door code is of, which never changes: this may be asked outside of the
/// transaction that goes on from there.
///
/// Errors: `TicketNotFound`.
pub fn find_by_door_code(tx: &Tx, code: &DoorCode) -> Result<TicketId, Error> {
    let [first, last] = code.range();
    let tickets = tx.ticket_list_between(&first, &last)?;
    let found = tickets
        .into_iter()
        .find(|(id, event_id)| code.is_of(*event_id, id));
    found.map(|(id, _)| id).ok_or(Error::TicketNotFound)
}

/// What lets a confirmed ticket's party in, and nothing else.
///
/// Errors, in this order: `TicketNotFound`, `NotConfirmed`.
pub fn show_door_code(tx: &Tx, now: Timestamp, ticket_id: &TicketId) -> Result<DoorCode, Error> {
    let ticket = show_ticket(tx, now, ticket_id)?;
    match ticket.status {
        TicketStatus::Confirmed => Ok(DoorCode::of(ticket.event_id, ticket_id)),
        status => Err(Error::NotConfirmed { status }),
    }
}

/// Which of an event's tickets are asked for.
#[derive(Clone, Copy, Debug)]
pub struct TicketFilter {
    pub event_id: i64,
    /// None: any.
    pub status: Option<TicketStatus>,
}

/// Up to `limit` tickets behind the position `after` (0: from the beginning) as they are at `now`, in
/// the order in which they were asked for, each with its own position.
///
/// Errors: `EventNotFound`.
pub fn list_tickets(
    tx: &Tx,
    now: Timestamp,
    filter: TicketFilter,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, Ticket)>, Error> {
    let tickets = tx.ticket_list(filter.event_id, after, filter.status, now, limit)?;
    if tickets.is_empty() {
        show_event(tx, now, filter.event_id)?;
    }
    let shown = |(n, ticket): &(i64, TicketRecord)| (*n, ticket.at(now));
    Ok(tickets.iter().map(shown).collect())
}

/// Turns a live hold into a confirmed ticket; one that was confirmed with the same payment, or of
/// which none is named now, stays as it is.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `HoldExpired`,
/// `TicketCancelled`, `EmailMismatch`, `AlreadyConfirmed`, `TicketWaiting`.
pub fn confirm(tx: &Tx, now: Timestamp, asked: &TicketRequest) -> Result<Done<Ticket>, Error> {
    change(tx, now, "confirm", asked, |ticket, shown| {
        check_live(ticket, shown)?;
        check_email(asked, ticket)?;
        let payment = asked.payment.as_ref();
        let payment_ref = payment.map(PaymentRef::as_str);
        if shown.status == TicketStatus::Confirmed {
            return match payment_ref {
                Some(other) if ticket.payment_ref.as_deref() != Some(other) => {
                    Err(already_confirmed(ticket))
                }
                _ => Ok(()),
            };
        }
        check_held(shown)?;
        tx.ticket_confirm(ticket.seq, now, payment)?;
        let entry = Entry::of_ticket(LedgerKind::Confirmed, ticket.seq, ticket.spots);
        let entry = Entry {
            payment_ref,
            ..entry
        };
        record(tx, now, ticket, entry)
    })
}

/// Gives a live hold a whole hold from now on, or as much of it as it may have. One that has a whole
/// hold stays as it is.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `HoldExpired`,
/// `TicketCancelled`, `EmailMismatch`, `AlreadyConfirmed`, `TicketWaiting`,
/// `ExtensionRefused`.
pub fn extend(tx: &Tx, now: Timestamp, asked: &TicketRequest) -> Result<Done<Ticket>, Error> {
    change(tx, now, "extend", asked, |ticket, shown| {
        check_live(ticket, shown)?;
        check_email(asked, ticket)?;
        if shown.status == TicketStatus::Confirmed {
            return Err(already_confirmed(ticket));
        }
        check_held(shown)?;
        let event = show_event(tx, now, ticket.event_id)?;
        let whole = now.plus_ms(event.hold_ms);
        let ends_at = ticket.expires_at.unwrap_or(whole);
        if whole <= ends_at {
            return Ok(());
        }
        let max_ms = hold_max_ms(event.hold_ms, event.hold_max_ms);
        let expires_at = whole.min(ticket.reserved_at().plus_ms(max_ms));
        if expires_at <= ends_at {
            let expires_at = ends_at;
            return Err(Error::ExtensionRefused { expires_at });
        }
        tx.ticket_extend(ticket.seq, now, expires_at)?;
        let entry = Entry::of_ticket(LedgerKind::Extended, ticket.seq, ticket.spots);
        record(tx, now, ticket, entry)
    })
}

/// Gives a live ticket back, or so many of its spots: they are the line's at once, or on sale. Who is
/// in line leaves it, or keeps the place with a smaller party. A cancelled ticket
/// stays as it is, whoever cancelled it, and so does an expired hold.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `EmailMismatch`,
/// `AlreadyCheckedIn`, `PartNotSmaller`.
pub fn cancel_ticket(
    tx: &Tx,
    now: Timestamp,
    asked: &TicketRequest,
) -> Result<Done<Ticket>, Error> {
    change(tx, now, "cancel", asked, |ticket, shown| {
        check_email(asked, ticket)?;
        if shown.status == TicketStatus::Cancelled {
            return Ok(());
        }
        if ticket.checked_in_spots > 0 {
            return Err(already_checked_in(ticket));
        }
        let (kind, spots) = match asked.spots {
            None => {
                tx.ticket_cancel(ticket.seq, now)?;
                (LedgerKind::Cancelled, ticket.spots)
            }
            Some(spots) if spots >= ticket.spots => {
                let spots = ticket.spots;
                return Err(Error::PartNotSmaller { spots });
            }
            Some(spots) => {
                tx.ticket_reduce(ticket.seq, now, spots)?;
                (LedgerKind::Reduced, spots)
            }
        };
        let entry = Entry::of_ticket(kind, ticket.seq, spots);
        let entry = match ticket
            .place
            .filter(|_| shown.status == TicketStatus::Waiting)
        {
            None => entry.freeing(),
            Some(place) if kind == LedgerKind::Cancelled => {
                tx.line_count(ticket.event_id, place, -1)?;
                entry.leaving_line()
            }
            Some(_) => entry,
        };
        record(tx, now, ticket, entry)
    })
}

/// Lets in those of a confirmed ticket's party who have not come yet, or so many of them: each once,
/// unless it is a replay.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `NotConfirmed`,
/// `AlreadyCheckedIn`.
pub fn check_in(tx: &Tx, now: Timestamp, asked: &TicketRequest) -> Result<Done<Ticket>, Error> {
    change(tx, now, "check_in", asked, |ticket, shown| {
        if shown.status != TicketStatus::Confirmed {
            return Err(Error::NotConfirmed {
                status: shown.status,
            });
        }
        let left = ticket.spots - ticket.checked_in_spots;
        let spots = asked.spots.unwrap_or(left);
        if left == 0 || spots > left {
            return Err(already_checked_in(ticket));
        }
        tx.ticket_check_in(ticket.seq, now, spots)?;
        let entry = Entry::of_ticket(LedgerKind::CheckedIn, ticket.seq, spots);
        record(tx, now, ticket, entry)
    })
}

/// Finds the ticket, does `act` unless its key says that this has been done, and shows the outcome.
/// `act` is given the ticket as stored and as it is now.
fn change(
    tx: &Tx,
    now: Timestamp,
    verb: &str,
    asked: &TicketRequest,
    act: impl FnOnce(&TicketRecord, &Ticket) -> Result<(), Error>,
) -> Result<Done<Ticket>, Error> {
    let ticket = find(tx, &asked.ticket_id)?;
    let email = asked.email.as_ref().map(Email::folded);
    let payment = asked.payment.as_ref().map(PaymentRef::as_str);
    let request = (verb, &ticket.ticket_id, email, asked.spots, payment);
    once(tx, now, asked.key.as_ref(), request, || {
        act(&ticket, &ticket.at(now))?;
        let after = show_ticket(tx, now, &ticket.ticket_id)?;
        Ok((after, Subject::Ticket(ticket.seq)))
    })
}

fn find(tx: &Tx, ticket_id: &TicketId) -> Result<TicketRecord, Error> {
    tx.ticket_find(ticket_id)?.ok_or(Error::TicketNotFound)
}

fn check_email(asked: &TicketRequest, ticket: &TicketRecord) -> Result<(), Error> {
    match &asked.email {
        Some(email) if !email.is(&ticket.email) => Err(Error::EmailMismatch),
        _ => Ok(()),
    }
}

/// Errors: `HoldExpired`, `TicketCancelled`.
fn check_live(ticket: &TicketRecord, shown: &Ticket) -> Result<(), Error> {
    if let (Some(CancelReason::Expired), Some(expired_at)) =
        (shown.cancel_reason, ticket.expires_at)
    {
        return Err(Error::HoldExpired { expired_at });
    }
    match shown.status {
        TicketStatus::Cancelled => Err(Error::TicketCancelled),
        _ => Ok(()),
    }
}

fn check_held(shown: &Ticket) -> Result<(), Error> {
    match shown.status {
        TicketStatus::Waiting => Err(Error::TicketWaiting),
        _ => Ok(()),
    }
}

fn already_confirmed(ticket: &TicketRecord) -> Error {
    let payment_ref = ticket.payment_ref.clone();
    Error::AlreadyConfirmed { payment_ref }
}

fn already_checked_in(ticket: &TicketRecord) -> Error {
    Error::AlreadyCheckedIn {
        checked_in_at: ticket.checked_in_at,
        spots: ticket.spots,
        checked_in_spots: ticket.checked_in_spots,
    }
}

/// Writes into the ledger that the ticket was changed, and serves the line.
fn record(tx: &Tx, now: Timestamp, ticket: &TicketRecord, entry: Entry) -> Result<(), Error> {
    let account = open_account(tx, ticket.event_id)?;
    let account = enter(tx, now, account, entry)?;
    serve_line(tx, now, account).map(drop)
}
