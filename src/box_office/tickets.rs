//! A ticket after the sale: shown, listed, confirmed, cancelled, used to come in.

use super::events::show_event;
use super::ledger::{enter, open_account};
use super::once::{Done, Subject, once};
use crate::error::Error;
use crate::model::{
    CancelReason, DoorCode, Email, IdempotencyKey, LedgerKind, Ticket, TicketId, TicketRecord,
    TicketStatus, Timestamp,
};
use crate::store::Tx;

/// What is asked of a ticket. An address that is given must be the ticket's.
#[derive(Clone, Debug)]
pub struct TicketRequest {
    pub ticket_id: TicketId,
    pub email: Option<Email>,
    pub key: Option<IdempotencyKey>,
}

/// Errors: `TicketNotFound`.
pub fn show_ticket(tx: &Tx, now: Timestamp, ticket_id: &TicketId) -> Result<Ticket, Error> {
    Ok(find(tx, ticket_id)?.at(now))
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
/// the order of their sale, each with its own position.
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

/// Turns a live hold into a confirmed ticket; a confirmed one stays as it is.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `HoldExpired`,
/// `TicketCancelled`, `EmailMismatch`.
pub fn confirm(tx: &Tx, now: Timestamp, asked: &TicketRequest) -> Result<Done<Ticket>, Error> {
    change(tx, now, "confirm", asked, |ticket, shown| {
        if shown.cancel_reason == Some(CancelReason::Expired) {
            return Err(Error::HoldExpired {
                expired_at: ticket.expires_at,
            });
        }
        if shown.status == TicketStatus::Cancelled {
            return Err(Error::TicketCancelled);
        }
        check_email(asked, ticket)?;
        if shown.status == TicketStatus::Confirmed {
            return Ok(());
        }
        let changed = tx.ticket_confirm(ticket.seq, now)?;
        record(tx, now, ticket, changed, LedgerKind::Confirmed, 0)
    })
}

/// Gives a live ticket back; its spot is on sale at once. A cancelled ticket stays as it is,
/// whoever cancelled it, and so does an expired hold.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `EmailMismatch`,
/// `AlreadyCheckedIn`.
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
        check_not_in(ticket)?;
        let changed = tx.ticket_cancel(ticket.seq, now)?;
        record(tx, now, ticket, changed, LedgerKind::Cancelled, 1)
    })
}

/// Lets the holder of a confirmed ticket in, once: doing it again is an error, unless it is a replay.
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
        check_not_in(ticket)?;
        let changed = tx.ticket_check_in(ticket.seq, now)?;
        record(tx, now, ticket, changed, LedgerKind::CheckedIn, 0)
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
    let request = (verb, &ticket.ticket_id, email);
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

fn check_not_in(ticket: &TicketRecord) -> Result<(), Error> {
    match ticket.checked_in_at {
        Some(checked_in_at) => Err(Error::AlreadyCheckedIn { checked_in_at }),
        None => Ok(()),
    }
}

/// Writes into the ledger that the ticket was changed. `changed` false: the statement's own condition
/// does not agree with what was decided.
fn record(
    tx: &Tx,
    now: Timestamp,
    ticket: &TicketRecord,
    changed: bool,
    kind: LedgerKind,
    spots: i64,
) -> Result<(), Error> {
    if !changed {
        let (seq, status) = (ticket.seq, ticket.status.as_str());
        let what = format!(
            "ticket {seq}, found as {status}, could not be {}",
            kind.as_str()
        );
        return Err(Error::Internal(what));
    }
    let account = open_account(tx, ticket.event_id)?;
    enter(tx, now, account, kind, ticket.seq, spots).map(drop)
}
