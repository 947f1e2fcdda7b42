//! Statements about events and their sale.

use super::{Call, Row, Statement, Taken, Tx, Value, call, get, parsed};
use crate::error::Error;
use crate::model::{
    Email, Event, EventStatus, NewEvent, OwnTicket, Sale, Spots, TicketStatus, Timestamp,
};

/// Where an event's ledger stands: the number of its last row, and what that row left free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Account {
    pub event_id: i64,
    pub changes: i64,
    pub available_spots: i64,
}

impl Account {
    /// After `rows` more rows, which move `spots` together.
    pub fn after(self, rows: i64, spots: i64) -> Account {
        Account {
            changes: self.changes + rows,
            available_spots: self.available_spots + spots,
            ..self
        }
    }

    /// What the event says of itself, unless its last ledger row says otherwise: then somebody has
    /// changed the file by hand, and nothing more may be done to the event.
    fn read(event_id: i64, row: &dyn Row, column: usize) -> Result<Account, Error> {
        let account = Account {
            event_id,
            changes: get(row, column + 1)?,
            available_spots: get(row, column)?,
        };
        let told: Option<i64> = get(row, column + 2)?;
        if told != Some(account.available_spots) {
            return Err(Error::StorageUnavailable(format!(
                "event {event_id} has {} spots free, and its ledger row {} says {told:?}; \
                 see lastseat verify",
                account.available_spots, account.changes
            )));
        }
        Ok(account)
    }
}

impl Tx<'_> {
    /// Errors: `StorageUnavailable` if the event and its ledger differ.
    pub fn account_find(&self, event_id: i64) -> Result<Option<Account>, Error> {
        self.find(call!("account_find", event_id: event_id), |row| {
            Account::read(event_id, row, 0)
        })
    }

    /// Returns the new event's id.
    pub fn event_insert(&self, new: &NewEvent, hold_ms: i64, now: Timestamp) -> Result<i64, Error> {
        self.insert(call!("event_insert",
            name: new.name.as_str(), total_spots: new.total_spots.get(), starts_at: new.starts_at,
            sales_open_at: new.sales_open_at, sales_close_at: new.sales_close_at,
            hold_ms: hold_ms, now: now, owner_key_id: new.owner_key_id))
    }

    pub fn event_find(&self, id: i64, now: Timestamp) -> Result<Option<Event>, Error> {
        self.find(call!("event_find", id: id, now: now), event)
    }

    /// Up to `limit` events with an id above `after`, oldest first; of this owner, if one is given.
    pub fn event_list(
        &self,
        owner_key_id: Option<i64>,
        after: i64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        let call = call!("event_list",
            owner_key_id: owner_key_id, after: after, limit: limit as i64, now: now);
        self.list(call, event)
    }

    /// Those on sale, the newest first.
    pub fn event_list_newest(&self, now: Timestamp, limit: usize) -> Result<Vec<Spots>, Error> {
        let call = call!("event_list_newest", now: now, limit: limit as i64);
        self.list(call, |row| {
            Ok(Spots {
                event_id: get(row, 0)?,
                total_spots: get(row, 1)?,
                available_spots: get(row, 2)?,
            })
        })
    }

    /// The key that created it, if one did.
    pub fn event_find_owner(&self, id: i64) -> Result<Option<i64>, Error> {
        let owner = self.find(call!("event_find_owner", id: id), |row| get(row, 0))?;
        Ok(owner.flatten())
    }

    /// What an address that asks for a spot of an event meets, and the event's account.
    pub fn sale_find(
        &self,
        event_id: i64,
        email: &Email,
    ) -> Result<Option<(Sale, Account)>, Error> {
        let found = self.look(sale_find(event_id, email), |row| {
            Ok((sale(row)?, Account::read(event_id, row, 1)?))
        })?;
        let taken = self
            .taken
            .borrow()
            .iter()
            .copied()
            .find(|t| t.event_id == event_id);
        let (Some((sale, account)), Some(taken)) = (&found, taken) else {
            return Ok(found);
        };
        let account = account.after(taken.rows, -taken.spots);
        let available_spots = account.available_spots;
        // Who finds nothing left is told until when, which had no meaning before.
        if available_spots == 0 {
            self.settle_events()?;
            return self.sale_find(event_id, email);
        }
        let sale = Sale {
            available_spots,
            ..sale.clone()
        };
        Ok(Some((sale, account)))
    }

    /// Takes the spots of one ledger row. False: there are not so many left. The event itself is
    /// written before anything else looks at it, under the same condition.
    pub fn event_take_spots(&self, account: Account, spots: i64) -> bool {
        if account.available_spots < spots {
            return false;
        }
        let event_id = account.event_id;
        let mut all = self.taken.borrow_mut();
        match all.iter_mut().find(|taken| taken.event_id == event_id) {
            Some(taken) => {
                taken.rows += 1;
                taken.spots += spots;
            }
            None => all.push(Taken {
                event_id,
                rows: 1,
                spots,
            }),
        }
        true
    }

    /// Returns the spots of so many ledger rows.
    pub fn event_return_spots(&self, id: i64, changes: i64, spots: i64) -> Result<(), Error> {
        self.settle_events()?;
        self.engine_later(call!("event_return_spots", id: id, changes: changes, spots: spots))
    }

    /// Writes an event as it will be, with `spots` more than it has.
    pub fn event_update(&self, event: &Event, spots: i64) -> Result<(), Error> {
        self.execute(call!("event_update",
            id: event.id, name: event.name.as_str(), spots: spots, starts_at: event.starts_at,
            sales_open_at: event.sales_open_at, sales_close_at: event.sales_close_at,
            hold_ms: event.hold_ms))?;
        Ok(())
    }

    /// Returns the spots of so many ledger rows, the cancellation's own among them.
    pub fn event_cancel(&self, id: i64, changes: i64, spots: i64) -> Result<(), Error> {
        self.execute(call!("event_cancel", id: id, changes: changes, spots: spots))?;
        Ok(())
    }
}

pub(super) fn sale_find(event_id: i64, email: &Email) -> Call<'_, 2> {
    call!("sale_find", event_id: event_id, email_folded: email.folded())
}

fn event(row: &dyn Row) -> Result<Event, Error> {
    let hold_ms: i64 = get(row, 8)?;
    Ok(Event {
        id: get(row, 0)?,
        name: get(row, 1)?,
        total_spots: get(row, 2)?,
        available_spots: get(row, 3)?,
        status: parsed(row, 4, EventStatus::parse)?,
        starts_at: get(row, 5)?,
        sales_open_at: get(row, 6)?,
        sales_close_at: get(row, 7)?,
        hold_seconds: (hold_ms + 999) / 1_000,
        created_at: get(row, 9)?,
        hold_ms,
    })
}

fn sale(row: &dyn Row) -> Result<Sale, Error> {
    let own = match get(row, 7)? {
        None => None,
        Some(seq) => Some(OwnTicket {
            seq,
            status: parsed(row, 8, TicketStatus::parse)?,
            expires_at: get(row, 9)?,
        }),
    };
    Ok(Sale {
        status: parsed(row, 0, EventStatus::parse)?,
        available_spots: get(row, 1)?,
        sales_open_at: get(row, 4)?,
        sales_close_at: get(row, 5)?,
        hold_ms: get(row, 6)?,
        own,
        next_expiry: get(row, 10)?,
    })
}
