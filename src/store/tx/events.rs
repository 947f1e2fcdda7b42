//! Statements about events and their sale.

use rusqlite::{Row, params};

use super::{Tx, parsed};
use crate::error::Error;
use crate::model::{
    Email, Event, EventStatus, NewEvent, OwnTicket, Sale, Spots, TicketId, TicketStatus, Timestamp,
};

impl Tx<'_> {
    /// Returns the new event's id.
    pub fn event_insert(&self, new: &NewEvent, hold_ms: i64, now: Timestamp) -> Result<i64, Error> {
        self.execute(
            include_str!("../../../sql/event_insert.sql"),
            params![
                new.name.as_str(),
                new.total_spots,
                new.starts_at,
                new.sales_open_at,
                new.sales_close_at,
                hold_ms,
                now,
                new.owner_key_id
            ],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    pub fn event_find(&self, id: i64, now: Timestamp) -> Result<Option<Event>, Error> {
        self.find(
            include_str!("../../../sql/event_find.sql"),
            params![now, id],
            event,
        )
    }

    /// Up to `limit` events with an id above `after`, oldest first; of this owner, if one is given.
    pub fn event_list(
        &self,
        owner_key_id: Option<i64>,
        after: i64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        self.list(
            include_str!("../../../sql/event_list.sql"),
            params![now, after, owner_key_id, limit as i64],
            event,
        )
    }

    /// Those on sale, the newest first.
    pub fn event_list_newest(&self, now: Timestamp, limit: usize) -> Result<Vec<Spots>, Error> {
        let sql = include_str!("../../../sql/event_list_newest.sql");
        self.list(sql, params![now, limit as i64], |row| {
            Ok(Spots {
                event_id: row.get(0)?,
                total_spots: row.get(1)?,
                available_spots: row.get(2)?,
            })
        })
    }

    /// The key that created it, if one did.
    pub fn event_find_owner(&self, id: i64) -> Result<Option<i64>, Error> {
        let sql = include_str!("../../../sql/event_find_owner.sql");
        Ok(self.find(sql, params![id], |row| row.get(0))?.flatten())
    }

    /// What an address that asks for a spot of an event meets.
    pub fn sale_find(&self, event_id: i64, email: &Email) -> Result<Option<Sale>, Error> {
        let sql = include_str!("../../../sql/sale_find.sql");
        self.find(sql, params![email.as_str(), event_id], sale)
    }

    /// False: there was no spot left.
    pub fn event_take_spot(&self, id: i64) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/event_take_spot.sql");
        Ok(self.execute(sql, params![id])? == 1)
    }

    pub fn event_return_spots(&self, id: i64, spots: i64) -> Result<(), Error> {
        let sql = include_str!("../../../sql/event_return_spots.sql");
        self.execute(sql, params![spots, id])?;
        Ok(())
    }

    /// Writes an event as it will be, with `spots` more than it has; None keeps how long it holds.
    pub fn event_update(
        &self,
        event: &Event,
        spots: i64,
        hold_ms: Option<i64>,
    ) -> Result<(), Error> {
        self.execute(
            include_str!("../../../sql/event_update.sql"),
            params![
                event.name,
                spots,
                event.starts_at,
                event.sales_open_at,
                event.sales_close_at,
                hold_ms,
                event.id
            ],
        )?;
        Ok(())
    }

    pub fn event_cancel(&self, id: i64) -> Result<(), Error> {
        let sql = include_str!("../../../sql/event_cancel.sql");
        self.execute(sql, params![id])?;
        Ok(())
    }
}

fn event(row: &Row) -> rusqlite::Result<Event> {
    let hold_ms: i64 = row.get(8)?;
    Ok(Event {
        id: row.get(0)?,
        name: row.get(1)?,
        total_spots: row.get(2)?,
        available_spots: row.get(3)?,
        status: parsed(row, 4, EventStatus::parse)?,
        starts_at: row.get(5)?,
        sales_open_at: row.get(6)?,
        sales_close_at: row.get(7)?,
        hold_seconds: (hold_ms + 999) / 1_000,
        created_at: row.get(9)?,
    })
}

fn sale(row: &Row) -> rusqlite::Result<Sale> {
    let own = match row.get(5)? {
        None => None,
        Some(seq) => Some(OwnTicket {
            seq,
            ticket_id: TicketId::stored(row.get(6)?),
            status: parsed(row, 7, TicketStatus::parse)?,
            expires_at: row.get(8)?,
        }),
    };
    Ok(Sale {
        status: parsed(row, 0, EventStatus::parse)?,
        available_spots: row.get(1)?,
        sales_open_at: row.get(2)?,
        sales_close_at: row.get(3)?,
        hold_ms: row.get(4)?,
        own,
        next_expiry: row.get(9)?,
    })
}
