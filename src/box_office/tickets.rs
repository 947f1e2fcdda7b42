//! A ticket after the sale: shown, confirmed.

use super::once::{Done, once};
use crate::error::Error;
use crate::model::{
    CancelReason, Email, IdempotencyKey, LedgerKind, Ticket, TicketId, TicketRecord, TicketStatus,
    Timestamp,
};
use crate::store::Tx;

/// What a holder asks for. An address that is given must be the ticket's.
#[derive(Clone, Debug)]
pub struct Confirmation {
    pub ticket_id: TicketId,
    pub email: Option<Email>,
    pub key: Option<IdempotencyKey>,
}

/// Errors: `TicketNotFound`.
pub fn show_ticket(tx: &Tx, now: Timestamp, ticket_id: &TicketId) -> Result<Ticket, Error> {
    Ok(find(tx, ticket_id)?.at(now))
}

/// Turns a live hold into a confirmed ticket; a confirmed one stays as it is.
///
/// Errors, in this order: `TicketNotFound`, `IdempotencyKeyReused`, (a replay,) `HoldExpired`,
/// `TicketCancelled`, `EmailMismatch`.
pub fn confirm(tx: &Tx, now: Timestamp, asked: &Confirmation) -> Result<Done<Ticket>, Error> {
    let ticket = find(tx, &asked.ticket_id)?;
    let email = asked
        .email
        .as_ref()
        .map(|e| e.as_str().to_ascii_lowercase());
    once(
        tx,
        asked.key.as_ref(),
        ("confirm", &ticket.ticket_id, email),
        || {
            let shown = ticket.at(now);
            if shown.cancel_reason == Some(CancelReason::Expired) {
                return Err(Error::HoldExpired {
                    expired_at: ticket.expires_at,
                });
            }
            if shown.status == TicketStatus::Cancelled {
                return Err(Error::TicketCancelled);
            }
            if asked
                .email
                .as_ref()
                .is_some_and(|email| !email.is(&ticket.email))
            {
                return Err(Error::EmailMismatch);
            }
            if shown.status == TicketStatus::Confirmed {
                return Ok(shown);
            }
            if !tx.ticket_confirm(ticket.seq, now)? {
                return Err(Error::Internal("the hold was not live after all".into()));
            }
            tx.ledger_insert(
                now,
                ticket.event_id,
                Some(&ticket.ticket_id),
                LedgerKind::Confirmed,
                0,
            )?;
            Ok(find(tx, &ticket.ticket_id)?.at(now))
        },
    )
}

fn find(tx: &Tx, ticket_id: &TicketId) -> Result<TicketRecord, Error> {
    tx.ticket_find(ticket_id)?.ok_or(Error::TicketNotFound)
}
