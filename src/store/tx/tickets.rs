//! Statements about tickets and the holds they begin as.

use super::events::sale_find;
use super::{Call, Row, Statement, Tx, Value, call, get, parsed};
use crate::error::Error;
use crate::model::{
    CancelReason, Email, PaymentRef, TicketId, TicketRecord, TicketStatus, Timestamp,
};

impl Tx<'_> {
    /// Cancels all live tickets of an event; returns how many.
    pub fn ticket_cancel_all(&self, event_id: i64, now: Timestamp) -> Result<i64, Error> {
        self.execute(call!("ticket_cancel_all", event_id: event_id, now: now))
    }

    /// Returns the new ticket's seq.
    pub fn ticket_insert(
        &self,
        ticket_id: &TicketId,
        event_id: i64,
        email: &Email,
        spots: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<i64, Error> {
        let sale = sale_find(event_id, email);
        self.engine.forget(sale.statement, &sale.values);
        let seq = self.engine.next_ticket_seq()?;
        let call = call!("ticket_insert",
            seq: seq, ticket_id: ticket_id.as_bytes(), event_id: event_id, email: email.as_str(),
            email_folded: email.folded(), now: now, expires_at: expires_at, spots: spots);
        match seq {
            None => self.engine.insert(call.statement, &call.values),
            Some(seq) => self.engine_later(call).map(|()| seq),
        }
    }

    pub fn ticket_find(&self, ticket_id: &TicketId) -> Result<Option<TicketRecord>, Error> {
        self.look(ticket_find(ticket_id), ticket)
    }

    /// Tickets with an id from `first` to `last`, each with its event.
    pub fn ticket_list_between(
        &self,
        first: &[u8; 16],
        last: &[u8; 16],
    ) -> Result<Vec<(TicketId, i64)>, Error> {
        let call = call!("ticket_list_between", first: first, last: last);
        self.list(call, |row| {
            Ok((TicketId::stored(get(row, 0)?), get(row, 1)?))
        })
    }

    /// The key that created its event, if one did.
    pub fn ticket_find_owner(&self, ticket_id: &TicketId) -> Result<Option<i64>, Error> {
        let call = call!("ticket_find_owner", ticket_id: ticket_id.as_bytes());
        Ok(self.find(call, |row| get(row, 0))?.flatten())
    }

    /// Up to `limit` tickets of an event that were sold after its ledger row `after`, each with the
    /// row of its sale, in that order; of one status at `now`, or of any.
    pub fn ticket_list(
        &self,
        event_id: i64,
        after: i64,
        status: Option<TicketStatus>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(i64, TicketRecord)>, Error> {
        let call = call!("ticket_list",
            event_id: event_id, after: after, status: status.map(TicketStatus::as_str),
            now: now, limit: limit as i64);
        self.list(call, |row| Ok((get(row, 16)?, ticket(row)?)))
    }

    /// It must be a live hold.
    pub fn ticket_confirm(
        &self,
        seq: i64,
        now: Timestamp,
        payment: Option<&PaymentRef>,
    ) -> Result<(), Error> {
        self.engine_later(call!("ticket_confirm",
            seq: seq, now: now, payment_ref: payment.map(PaymentRef::as_str)))
    }

    /// It must be a live hold that ends sooner.
    pub fn ticket_extend(
        &self,
        seq: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        self.engine_later(call!("ticket_extend", seq: seq, now: now, expires_at: expires_at))
    }

    /// It must be a live ticket of more spots than that, with which nobody has come in.
    pub fn ticket_reduce(&self, seq: i64, now: Timestamp, spots: i64) -> Result<(), Error> {
        self.engine_later(call!("ticket_reduce", seq: seq, now: now, spots: spots))
    }

    /// Whether anybody may have bought it without a key.
    pub fn ticket_find_public(&self, ticket_id: &TicketId) -> Result<bool, Error> {
        let call = call!("ticket_find_public", ticket_id: ticket_id.as_bytes());
        Ok(self.find(call, |row| get(row, 0))? == Some(1))
    }

    /// It must be a live ticket, with which nobody has come in.
    pub fn ticket_cancel(&self, seq: i64, now: Timestamp) -> Result<(), Error> {
        self.engine_later(call!("ticket_cancel", seq: seq, now: now))
    }

    /// It must be confirmed, and so many still to come.
    pub fn ticket_check_in(&self, seq: i64, now: Timestamp, spots: i64) -> Result<(), Error> {
        self.engine_later(call!("ticket_check_in", seq: seq, now: now, spots: spots))
    }

    /// False: it was not an expired hold.
    pub fn ticket_expire(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let expired = self.execute(call!("ticket_expire", seq: seq, now: now))?;
        self.count_released(expired);
        Ok(expired == 1)
    }

    /// Ends up to `limit` expired holds of an event, the longest expired first; returns how many.
    pub fn hold_expire(&self, event_id: i64, now: Timestamp, limit: i64) -> Result<i64, Error> {
        let call = call!("hold_expire", event_id: event_id, now: now, limit: limit);
        let expired = self.execute(call)?;
        self.count_released(expired);
        Ok(expired)
    }

    /// The events that have an expired hold.
    pub fn hold_list_events(&self, now: Timestamp) -> Result<Vec<i64>, Error> {
        self.list(call!("hold_list_events", now: now), |row| get(row, 0))
    }

    fn count_released(&self, holds: i64) {
        self.holds_released
            .set(self.holds_released.get() + holds as u64);
    }
}

pub(super) fn ticket_find(ticket_id: &TicketId) -> Call<'_, 1> {
    call!("ticket_find", ticket_id: ticket_id.as_bytes())
}

fn ticket(row: &dyn Row) -> Result<TicketRecord, Error> {
    let reason: Option<&str> = get(row, 9)?;
    Ok(TicketRecord {
        seq: get(row, 0)?,
        ticket_id: TicketId::stored(get(row, 1)?),
        event_id: get(row, 2)?,
        email: get(row, 3)?,
        status: parsed(row, 4, TicketStatus::parse)?,
        created_at: get(row, 5)?,
        expires_at: get(row, 6)?,
        confirmed_at: get(row, 7)?,
        cancelled_at: get(row, 8)?,
        cancel_reason: reason.and_then(CancelReason::parse),
        checked_in_at: get(row, 10)?,
        spots: get(row, 11)?,
        checked_in_spots: get(row, 12)?,
        payment_ref: get(row, 13)?,
        place: get(row, 14)?,
        offered_at: get(row, 15)?,
    })
}
