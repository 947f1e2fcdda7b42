//! The line before an event that is sold out: whoever frees spots serves it, in the same transaction.
//!
//! After every transaction, while sales are open, nobody in line fits into what is free. Each offer
//! goes to the first who fits; who does not fit keeps the place.

use super::ledger::enter;
use crate::error::Error;
use crate::model::{LedgerKind, Registration, Ticket, TicketStatus, Timestamp};
use crate::store::{Account, Entry, Tx};

/// From so many free spots on, those at the head of the line are served by statements for all of
/// them together: a statement for each would keep buyers waiting when a large event grows.
const TOGETHER_MIN: i64 = 16;

/// Offers what is free to those in line. Returns the account after it.
pub(super) fn serve_line(tx: &Tx, now: Timestamp, account: Account) -> Result<Account, Error> {
    let mut account = account;
    if account.waiting == 0 || account.available_spots == 0 {
        return Ok(account);
    }
    let Some(hold_ms) = tx.line_find_terms(account.event_id, now)? else {
        return Ok(account);
    };
    let expires_at = now.plus_ms(hold_ms);
    if account.available_spots >= TOGETHER_MIN {
        account = offer_together(tx, now, account, expires_at)?;
    }
    while account.waiting > 0
        && account.available_spots > 0
        && let Some(next) = tx.line_find_next(account)?
    {
        if !tx.ticket_offer(next.ticket_seq, now, expires_at)? {
            let what = format!("ticket {} left the line meanwhile", next.ticket_seq);
            return Err(Error::Internal(what));
        }
        tx.line_count(account.event_id, next.place, -1)?;
        let entry = Entry::of_ticket(LedgerKind::Offered, next.ticket_seq, next.spots);
        account = enter(tx, now, account, entry.taking().leaving_line())?;
    }
    Ok(account)
}

/// To those at the head of the line, as far as each fits behind the ones before.
fn offer_together(
    tx: &Tx,
    now: Timestamp,
    account: Account,
    expires_at: Timestamp,
) -> Result<Account, Error> {
    let rows = tx.ledger_insert_offered(now, account)?;
    let offered = tx.line_offer(now, account, expires_at)?;
    if offered != rows {
        return Err(Error::Internal(format!(
            "{offered} offers of event {} have {rows} ledger rows",
            account.event_id
        )));
    }
    if rows == 0 {
        return Ok(account);
    }
    let after = tx.ledger_find_balance(account, rows)?;
    tx.event_return_spots(account, after)?;
    tx.line_recount(account.event_id)?;
    Ok(after)
}

/// Puts a buyer at the end of the line; returns the ticket and its seq.
pub(super) fn join_line(
    tx: &Tx,
    now: Timestamp,
    asked: &Registration,
    account: Account,
) -> Result<(Ticket, i64), Error> {
    let (id, event_id, email) = (asked.ticket_id, asked.event_id, &asked.email);
    let spots = asked.spots;
    let seq = tx.ticket_insert_waiting(&id, event_id, email, spots, now)?;
    let entry = Entry::of_ticket(LedgerKind::Waiting, seq, spots);
    enter(
        tx,
        now,
        account,
        Entry {
            waiting: 1,
            ..entry
        },
    )?;
    let ticket = Ticket::reserved(id, event_id, email.as_str().to_owned(), spots, now, None);
    let ticket = Ticket {
        status: TicketStatus::Waiting,
        ahead: Some(account.waiting),
        ..ticket
    };
    Ok((ticket, seq))
}

/// The events whose line waits for something that happened by itself: a hold that has ended, or
/// sales that have opened.
pub fn events_with_line_due(tx: &Tx, now: Timestamp) -> Result<Vec<i64>, Error> {
    tx.line_list_due(now)
}
