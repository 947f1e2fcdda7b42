//! Statements about tickets and the holds they begin as.

use rusqlite::{Row, params};

use super::{Tx, parsed};
use crate::error::Error;
use crate::model::{CancelReason, Email, TicketId, TicketRecord, TicketStatus, Timestamp};

impl Tx<'_> {
    /// Cancels all live tickets of an event; returns how many.
    pub fn ticket_cancel_all(&self, event_id: i64, now: Timestamp) -> Result<usize, Error> {
        let sql = include_str!("../../../sql/ticket_cancel_all.sql");
        self.execute(sql, params![now, event_id])
    }

    /// Returns the new ticket's seq.
    pub fn ticket_insert(
        &self,
        ticket_id: &TicketId,
        event_id: i64,
        email: &Email,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<i64, Error> {
        self.execute(
            include_str!("../../../sql/ticket_insert.sql"),
            params![
                ticket_id.as_str(),
                event_id,
                email.as_str(),
                now,
                expires_at
            ],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    pub fn ticket_find(&self, ticket_id: &TicketId) -> Result<Option<TicketRecord>, Error> {
        let sql = include_str!("../../../sql/ticket_find.sql");
        self.find(sql, params![ticket_id.as_str()], ticket)
    }

    pub fn ticket_find_seq(&self, seq: i64) -> Result<Option<TicketRecord>, Error> {
        let sql = include_str!("../../../sql/ticket_find_seq.sql");
        self.find(sql, params![seq], ticket)
    }

    /// The key that created its event, if one did.
    pub fn ticket_find_owner(&self, ticket_id: &TicketId) -> Result<Option<i64>, Error> {
        let sql = include_str!("../../../sql/ticket_find_owner.sql");
        let owner = self.find(sql, params![ticket_id.as_str()], |row| row.get(0))?;
        Ok(owner.flatten())
    }

    /// Up to `limit` tickets of an event with a seq above `after`, in the order of their sale; of
    /// one status at `now`, or of any.
    pub fn ticket_list(
        &self,
        event_id: i64,
        after: i64,
        status: Option<TicketStatus>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<TicketRecord>, Error> {
        self.list(
            include_str!("../../../sql/ticket_list.sql"),
            params![
                event_id,
                after,
                status.map(TicketStatus::as_str),
                now,
                limit as i64
            ],
            ticket,
        )
    }

    /// False: it was not a live hold.
    pub fn ticket_confirm(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/ticket_confirm.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was no live ticket, or its holder has come in.
    pub fn ticket_cancel(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/ticket_cancel.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was not confirmed, or its holder has come in before.
    pub fn ticket_check_in(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/ticket_check_in.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was not an expired hold.
    pub fn ticket_expire(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/ticket_expire.sql");
        let released = self.execute(sql, params![seq, now])? == 1;
        self.holds_released
            .set(self.holds_released.get() + u64::from(released));
        Ok(released)
    }

    /// The longest expired first.
    pub fn hold_list_expired(
        &self,
        event_id: i64,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(i64, TicketId)>, Error> {
        self.list(
            include_str!("../../../sql/hold_list_expired.sql"),
            params![event_id, now, limit as i64],
            |row| Ok((row.get(0)?, TicketId::stored(row.get(1)?))),
        )
    }

    /// The events that have an expired hold.
    pub fn hold_list_events(&self, now: Timestamp) -> Result<Vec<i64>, Error> {
        let sql = include_str!("../../../sql/hold_list_events.sql");
        self.list(sql, params![now], |row| row.get(0))
    }
}

pub(in crate::store) fn ticket(row: &Row) -> rusqlite::Result<TicketRecord> {
    let reason = |text: Option<String>| text.as_deref().and_then(CancelReason::parse);
    Ok(TicketRecord {
        seq: row.get(0)?,
        ticket_id: TicketId::stored(row.get(1)?),
        event_id: row.get(2)?,
        email: row.get(3)?,
        status: parsed(row, 4, TicketStatus::parse)?,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
        confirmed_at: row.get(7)?,
        cancelled_at: row.get(8)?,
        cancel_reason: reason(row.get(9)?),
        checked_in_at: row.get(10)?,
    })
}
