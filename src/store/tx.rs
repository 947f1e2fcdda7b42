//! The statements: one method for each file in `sql/`, of the same name. Parameters are given in
//! the order in which the statement first names them (binding by name costs an allocation each).

use std::cell::Cell;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use crate::error::Error;
use crate::model::{
    CancelReason, Email, Event, EventStatus, IdempotencyKey, KeyDigest, KeyName, KeyRecord,
    LedgerKind, NewEvent, OwnTicket, Role, Sale, Spots, TicketId, TicketRecord, TicketStatus,
    Timestamp,
};

/// An open transaction's statements; `Db::read` and the commit queue hand it out.
pub struct Tx<'c> {
    conn: &'c Connection,
    holds_released: Cell<u64>,
}

/// What is on record for an idempotency key.
pub enum RememberedKey {
    /// It sold this ticket.
    Registration { ticket_seq: i64 },
    /// It was used for this request, and this was the answer (JSON, both).
    Other { request: String, answer: String },
}

impl<'c> Tx<'c> {
    pub(super) fn on(conn: &'c Connection) -> Tx<'c> {
        Tx {
            conn,
            holds_released: Cell::new(0),
        }
    }

    /// Expired holds that this transaction has released so far.
    pub(super) fn holds_released(&self) -> u64 {
        self.holds_released.get()
    }

    /// After some of them were undone.
    pub(super) fn set_holds_released(&self, released: u64) {
        self.holds_released.set(released);
    }

    /// Returns the new event's id.
    pub fn event_insert(&self, new: &NewEvent, hold_ms: i64, now: Timestamp) -> Result<i64, Error> {
        self.execute(
            include_str!("../../sql/event_insert.sql"),
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
            include_str!("../../sql/event_find.sql"),
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
            include_str!("../../sql/event_list.sql"),
            params![now, after, owner_key_id, limit as i64],
            event,
        )
    }

    /// Those on sale, the newest first.
    pub fn event_list_newest(&self, now: Timestamp, limit: usize) -> Result<Vec<Spots>, Error> {
        let sql = include_str!("../../sql/event_list_newest.sql");
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
        let sql = include_str!("../../sql/event_find_owner.sql");
        Ok(self.find(sql, params![id], |row| row.get(0))?.flatten())
    }

    /// What an address that asks for a spot of an event meets.
    pub fn sale_find(&self, event_id: i64, email: &Email) -> Result<Option<Sale>, Error> {
        let sql = include_str!("../../sql/sale_find.sql");
        self.find(sql, params![email.as_str(), event_id], sale)
    }

    /// False: there was no spot left.
    pub fn event_take_spot(&self, id: i64) -> Result<bool, Error> {
        let sql = include_str!("../../sql/event_take_spot.sql");
        Ok(self.execute(sql, params![id])? == 1)
    }

    pub fn event_return_spots(&self, id: i64, spots: i64) -> Result<(), Error> {
        let sql = include_str!("../../sql/event_return_spots.sql");
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
            include_str!("../../sql/event_update.sql"),
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
        let sql = include_str!("../../sql/event_cancel.sql");
        self.execute(sql, params![id])?;
        Ok(())
    }

    /// Cancels all live tickets of an event; returns how many.
    pub fn ticket_cancel_all(&self, event_id: i64, now: Timestamp) -> Result<usize, Error> {
        let sql = include_str!("../../sql/ticket_cancel_all.sql");
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
            include_str!("../../sql/ticket_insert.sql"),
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
        let sql = include_str!("../../sql/ticket_find.sql");
        self.find(sql, params![ticket_id.as_str()], ticket)
    }

    pub fn ticket_find_seq(&self, seq: i64) -> Result<Option<TicketRecord>, Error> {
        let sql = include_str!("../../sql/ticket_find_seq.sql");
        self.find(sql, params![seq], ticket)
    }

    /// The key that created its event, if one did.
    pub fn ticket_find_owner(&self, ticket_id: &TicketId) -> Result<Option<i64>, Error> {
        let sql = include_str!("../../sql/ticket_find_owner.sql");
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
            include_str!("../../sql/ticket_list.sql"),
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
        let sql = include_str!("../../sql/ticket_confirm.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was no live ticket, or its holder has come in.
    pub fn ticket_cancel(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../sql/ticket_cancel.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was not confirmed, or its holder has come in before.
    pub fn ticket_check_in(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../sql/ticket_check_in.sql");
        Ok(self.execute(sql, params![now, seq])? == 1)
    }

    /// False: it was not an expired hold.
    pub fn ticket_expire(&self, seq: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../sql/ticket_expire.sql");
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
            include_str!("../../sql/hold_list_expired.sql"),
            params![event_id, now, limit as i64],
            |row| Ok((row.get(0)?, TicketId::stored(row.get(1)?))),
        )
    }

    /// The events that have an expired hold.
    pub fn hold_list_events(&self, now: Timestamp) -> Result<Vec<i64>, Error> {
        let sql = include_str!("../../sql/hold_list_events.sql");
        self.list(sql, params![now], |row| row.get(0))
    }

    pub fn key_find(&self, key: &IdempotencyKey) -> Result<Option<RememberedKey>, Error> {
        let remembered = |row: &Row| {
            Ok(match row.get::<_, Option<i64>>(0)? {
                Some(ticket_seq) => RememberedKey::Registration { ticket_seq },
                None => RememberedKey::Other {
                    request: row.get(1)?,
                    answer: row.get(2)?,
                },
            })
        };
        let sql = include_str!("../../sql/key_find.sql");
        self.find(sql, params![key.as_str()], remembered)
    }

    pub fn key_insert(&self, key: &IdempotencyKey, what: &RememberedKey) -> Result<(), Error> {
        let (seq, request, answer) = match what {
            RememberedKey::Registration { ticket_seq } => (Some(*ticket_seq), None, None),
            RememberedKey::Other { request, answer } => (None, Some(request), Some(answer)),
        };
        self.execute(
            include_str!("../../sql/key_insert.sql"),
            params![key.as_str(), seq, request, answer],
        )?;
        Ok(())
    }

    /// `spots` is the change to the event's available spots.
    pub fn ledger_insert(
        &self,
        now: Timestamp,
        event_id: i64,
        ticket_id: Option<&TicketId>,
        kind: LedgerKind,
        spots: i64,
    ) -> Result<(), Error> {
        self.execute(
            include_str!("../../sql/ledger_insert.sql"),
            params![
                now,
                event_id,
                ticket_id.map(TicketId::as_str),
                kind.as_str(),
                spots
            ],
        )?;
        Ok(())
    }

    /// One row for each live ticket of an event, as cancelled; returns how many.
    pub fn ledger_insert_cancelled(&self, now: Timestamp, event_id: i64) -> Result<usize, Error> {
        let sql = include_str!("../../sql/ledger_insert_cancelled.sql");
        self.execute(sql, params![now, event_id])
    }

    pub fn api_key_next_id(&self) -> Result<i64, Error> {
        let sql = include_str!("../../sql/api_key_next_id.sql");
        let id = self.find(sql, [], |row| row.get(0))?;
        id.ok_or_else(|| Error::Internal("a maximum without a row".into()))
    }

    pub fn api_key_insert(
        &self,
        id: i64,
        digest: &KeyDigest,
        role: Role,
        name: &KeyName,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.execute(
            include_str!("../../sql/api_key_insert.sql"),
            params![id, digest.0, role.as_str(), name.as_str(), now],
        )?;
        Ok(())
    }

    /// Nothing, if it has been revoked.
    pub fn api_key_find(&self, id: i64) -> Result<Option<(KeyDigest, Role)>, Error> {
        let sql = include_str!("../../sql/api_key_find.sql");
        let found = |row: &Row| Ok((KeyDigest(row.get(0)?), parsed(row, 1, Role::parse)?));
        self.find(sql, params![id], found)
    }

    pub fn api_key_list(&self) -> Result<Vec<KeyRecord>, Error> {
        let sql = include_str!("../../sql/api_key_list.sql");
        self.list(sql, [], |row| {
            Ok(KeyRecord {
                id: row.get(0)?,
                role: parsed(row, 1, Role::parse)?,
                name: row.get(2)?,
                created_at: row.get(3)?,
                revoked_at: row.get(4)?,
            })
        })
    }

    /// False: there was none, or it was revoked before.
    pub fn api_key_revoke(&self, id: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../sql/api_key_revoke.sql");
        Ok(self.execute(sql, params![now, id])? == 1)
    }

    pub fn readiness_touch(&self, now: Timestamp) -> Result<(), Error> {
        let sql = include_str!("../../sql/readiness_touch.sql");
        self.execute(sql, params![now])?;
        Ok(())
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        shape: impl FnOnce(&Row) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row(params, shape)
            .optional()?)
    }

    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        shape: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, shape)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
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

pub(super) fn ticket(row: &Row) -> rusqlite::Result<TicketRecord> {
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

/// A name that the schema's CHECK has let in.
fn parsed<T>(row: &Row, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name = row.get_ref(column)?.as_str()?;
    parse(name).ok_or(rusqlite::Error::InvalidQuery)
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Timestamp {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        i64::column_result(value).map(Timestamp)
    }
}
