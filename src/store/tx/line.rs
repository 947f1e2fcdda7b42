//! Statements about the lines of events.

use super::{Account, Call, Statement, Tx, Value, call, get};
use crate::error::Error;
use crate::model::{Email, TicketId, Timestamp};

/// Somebody in line.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub ticket_seq: i64,
    pub spots: i64,
    pub place: i64,
}

impl Tx<'_> {
    /// Puts a ticket at the end of the line; returns its seq. The event is written by its ledger's row.
    pub fn ticket_insert_waiting(
        &self,
        ticket_id: &TicketId,
        event_id: i64,
        email: &Email,
        spots: i64,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let seq = self.engine.next_ticket_seq()?;
        let seq = self.insert(call!("ticket_insert_waiting",
            seq: seq, ticket_id: ticket_id.as_bytes(), event_id: event_id, email: email.as_str(),
            email_folded: email.folded(), spots: spots, now: now))?;
        self.event_join(event_id)?;
        let place = self.event_find_joined(event_id)?;
        self.line_count(event_id, place, 1)?;
        Ok(seq)
    }

    fn event_join(&self, id: i64) -> Result<(), Error> {
        self.execute(call!("event_join", id: id))?;
        Ok(())
    }

    /// Which is the place of who has joined last.
    fn event_find_joined(&self, id: i64) -> Result<i64, Error> {
        let joined = self.find(call!("event_find_joined", id: id), |row| get(row, 0))?;
        joined.ok_or(Error::EventNotFound)
    }

    /// How long an offer holds, if offers may be made now.
    pub fn line_find_terms(&self, event_id: i64, now: Timestamp) -> Result<Option<i64>, Error> {
        self.find(
            call!("line_find_terms", event_id: event_id, now: now),
            |row| get(row, 0),
        )
    }

    /// The first in line whose party fits into what is free.
    pub fn line_find_next(&self, account: Account) -> Result<Option<Waiting>, Error> {
        let call = call!("line_find_next",
            event_id: account.event_id, available_spots: account.available_spots);
        self.find(call, |row| {
            Ok(Waiting {
                ticket_seq: get(row, 0)?,
                spots: get(row, 1)?,
                place: get(row, 2)?,
            })
        })
    }

    /// Makes a hold of a ticket in line. False: it was not there.
    pub fn ticket_offer(
        &self,
        seq: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, Error> {
        let call = call!("ticket_offer", seq: seq, now: now, expires_at: expires_at);
        Ok(self.execute(call)? == 1)
    }

    /// One row for each at the head of the line who fits behind those before; returns how many.
    pub fn ledger_insert_offered(&self, now: Timestamp, before: Account) -> Result<i64, Error> {
        self.execute(call!("ledger_insert_offered",
            event_id: before.event_id, now: now, n: before.changes,
            available_spots: before.available_spots, waiting: before.waiting))
    }

    /// Makes holds of the same; returns how many.
    pub fn line_offer(
        &self,
        now: Timestamp,
        before: Account,
        expires_at: Timestamp,
    ) -> Result<i64, Error> {
        self.execute(call!("line_offer",
            event_id: before.event_id, now: now, available_spots: before.available_spots,
            expires_at: expires_at))
    }

    /// So many entries more, or fewer, around a place.
    pub fn line_count(&self, event_id: i64, place: i64, entries: i64) -> Result<(), Error> {
        self.execute(call!("line_count", event_id: event_id, place: place, entries: entries))?;
        Ok(())
    }

    /// Counts them all anew.
    pub fn line_recount(&self, event_id: i64) -> Result<(), Error> {
        self.execute(call!("line_recount", event_id: event_id))?;
        Ok(())
    }

    /// How many stand before a place.
    pub fn line_find_ahead(&self, event_id: i64, place: i64) -> Result<i64, Error> {
        let call = call!("line_find_ahead", event_id: event_id, place: place);
        let ahead = self.find(call, |row| get(row, 0))?;
        ahead.ok_or_else(|| Error::Internal("a count without a row".into()))
    }

    /// The events whose line has something to be offered, or a hold that has ended.
    pub fn line_list_due(&self, now: Timestamp) -> Result<Vec<i64>, Error> {
        self.list(call!("line_list_due", now: now), |row| get(row, 0))
    }
}
