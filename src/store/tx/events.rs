//! Statements about events and their sale.

use super::{Call, Row, Statement, Taken, Tx, Value, call, get, parsed};
use crate::error::Error;
use crate::model::{
    Email, Event, EventStatus, LedgerKind, NewEvent, OwnTicket, PaymentUrl, Sale, Spots,
    TicketStatus, Timestamp, hold_max_ms, seconds,
};

/// Where an event's ledger stands: the number of its last row, and what that row left free and in
/// line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Account {
    pub event_id: i64,
    pub changes: i64,
    pub available_spots: i64,
    pub waiting: i64,
}

/// What a ledger row says.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'v> {
    pub kind: LedgerKind,
    pub ticket_seq: Option<i64>,
    /// How many of the ticket's spots it is about.
    pub party: Option<i64>,
    /// By how many more are available then.
    pub spots: i64,
    /// By how many more are in line then.
    pub waiting: i64,
    pub payment_ref: Option<&'v str>,
}

impl<'v> Entry<'v> {
    /// About the event itself.
    pub fn of_event(kind: LedgerKind, spots: i64) -> Entry<'v> {
        Entry {
            kind,
            ticket_seq: None,
            party: None,
            spots,
            waiting: 0,
            payment_ref: None,
        }
    }

    /// About so many of a ticket's spots, which stay whose they are.
    pub fn of_ticket(kind: LedgerKind, ticket_seq: i64, party: i64) -> Entry<'v> {
        Entry {
            ticket_seq: Some(ticket_seq),
            party: Some(party),
            ..Entry::of_event(kind, 0)
        }
    }

    /// The same, and the party's spots become available.
    pub fn freeing(self) -> Entry<'v> {
        Entry {
            spots: self.party.unwrap_or(0),
            ..self
        }
    }

    /// The same, and the ticket is in line no more.
    pub fn leaving_line(self) -> Entry<'v> {
        Entry {
            waiting: -1,
            ..self
        }
    }

    /// The same, and they are taken.
    pub fn taking(self) -> Entry<'v> {
        Entry {
            spots: -self.party.unwrap_or(0),
            ..self
        }
    }
}

impl Account {
    /// After one more row.
    pub fn with(self, entry: Entry) -> Account {
        let after = self.after(1, entry.spots);
        Account {
            waiting: self.waiting + entry.waiting,
            ..after
        }
    }

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
            waiting: get(row, column + 3)?,
        };
        let told: (Option<i64>, Option<i64>) = (get(row, column + 2)?, get(row, column + 4)?);
        if told != (Some(account.available_spots), Some(account.waiting)) {
            return Err(Error::StorageUnavailable(format!(
                "event {event_id} has {} spots free and {} in line, and its ledger row {} says \
                 {told:?}; see lastseat verify",
                account.available_spots, account.waiting, account.changes
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
            hold_ms: hold_ms, now: now, owner_key_id: new.owner_key_id,
            party_max: new.party_max(), hold_max_ms: new.hold_max_ms(), waiting_max: new.waiting_max(),
            public_sale: i64::from(new.public_sale.unwrap_or(false)),
            payment_url: new.payment_url.as_ref().map(PaymentUrl::as_str)))
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
                waiting: get(row, 3)?,
            })
        })
    }

    /// The number of its last ledger row.
    pub fn event_find_changes(&self, id: i64) -> Result<Option<i64>, Error> {
        self.find(call!("event_find_changes", id: id), |row| get(row, 0))
    }

    /// The key that created it, if one did.
    pub fn event_find_owner(&self, id: i64) -> Result<Option<i64>, Error> {
        let owner = self.find(call!("event_find_owner", id: id), |row| get(row, 0))?;
        Ok(owner.flatten())
    }

    /// Whether anybody may buy without a key.
    pub fn event_find_public(&self, id: i64) -> Result<bool, Error> {
        let public = self.find(call!("event_find_public", id: id), |row| get(row, 0))?;
        Ok(public == Some(1))
    }

    /// What an address that asks for spots of an event meets, and the event's account.
    pub fn sale_find(
        &self,
        event_id: i64,
        email: &Email,
    ) -> Result<Option<(Sale, Account)>, Error> {
        let found = self.look(sale_find(event_id, email), |row| {
            Ok((sale(row)?, Account::read(event_id, row, 0)?))
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
        // Who finds too few left is told until when, which had no meaning before.
        if available_spots < sale.party_max && sale.available_spots >= sale.party_max {
            self.settle_events()?;
            return self.sale_find(event_id, email);
        }
        // The look may have been made before these were held.
        let ends = [sale.next_expiry, Some(taken.first_expiry)];
        let sale = Sale {
            available_spots,
            next_expiry: ends.into_iter().flatten().min(),
            ..sale.clone()
        };
        Ok(Some((sale, account)))
    }

    /// Takes the spots of one ledger row, for a hold. False: there are not so many left. The event
    /// itself is written before anything else looks at it, under the same condition.
    pub fn event_take_spots(&self, account: Account, spots: i64, expires_at: Timestamp) -> bool {
        if account.available_spots < spots {
            return false;
        }
        let event_id = account.event_id;
        let mut all = self.taken.borrow_mut();
        match all.iter_mut().find(|taken| taken.event_id == event_id) {
            Some(taken) => {
                taken.rows += 1;
                taken.spots += spots;
                taken.first_expiry = taken.first_expiry.min(expires_at);
            }
            None => all.push(Taken {
                event_id,
                rows: 1,
                spots,
                first_expiry: expires_at,
            }),
        }
        true
    }

    /// Makes of an event's account what it is after some more rows.
    pub fn event_return_spots(&self, before: Account, after: Account) -> Result<(), Error> {
        self.settle_events()?;
        self.engine_later(call!("event_return_spots",
            id: before.event_id, changes: after.changes - before.changes,
            spots: after.available_spots - before.available_spots,
            waiting: after.waiting - before.waiting))
    }

    /// The sales window from ledger row `n` on.
    pub fn sales_window_insert(
        &self,
        event_id: i64,
        n: i64,
        open: Option<Timestamp>,
        close: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.execute(call!("sales_window_insert",
            event_id: event_id, n: n, sales_open_at: open, sales_close_at: close))?;
        Ok(())
    }

    /// Writes an event as it will be, with `spots` more than it has.
    pub fn event_update(&self, event: &Event, spots: i64) -> Result<(), Error> {
        self.execute(call!("event_update",
            id: event.id, name: event.name.as_str(), spots: spots, starts_at: event.starts_at,
            sales_open_at: event.sales_open_at, sales_close_at: event.sales_close_at,
            hold_ms: event.hold_ms, party_max: event.party_max, hold_max_ms: event.hold_max_ms,
            waiting_max: event.waiting_max,
            public_sale: i64::from(event.public_sale), payment_url: event.payment_url.as_deref()))?;
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
    let max_ms: Option<i64> = get(row, 11)?;
    let public_sale: i64 = get(row, 12)?;
    Ok(Event {
        id: get(row, 0)?,
        name: get(row, 1)?,
        total_spots: get(row, 2)?,
        available_spots: get(row, 3)?,
        status: parsed(row, 4, EventStatus::parse)?,
        starts_at: get(row, 5)?,
        sales_open_at: get(row, 6)?,
        sales_close_at: get(row, 7)?,
        hold_seconds: seconds(hold_ms),
        hold_seconds_max: seconds(hold_max_ms(hold_ms, max_ms)),
        party_max: get(row, 10)?,
        public_sale: public_sale == 1,
        waiting: get(row, 13)?,
        waiting_max: get(row, 14)?,
        payment_url: get(row, 15)?,
        created_at: get(row, 9)?,
        hold_ms,
        hold_max_ms: max_ms,
    })
}

/// Behind the account's columns.
fn sale(row: &dyn Row) -> Result<Sale, Error> {
    let own = match get(row, 11)? {
        None => None,
        Some(seq) => Some(OwnTicket {
            seq,
            status: parsed(row, 12, TicketStatus::parse)?,
            expires_at: get(row, 13)?,
            spots: get(row, 14)?,
        }),
    };
    Ok(Sale {
        available_spots: get(row, 0)?,
        status: parsed(row, 5, EventStatus::parse)?,
        sales_open_at: get(row, 6)?,
        sales_close_at: get(row, 7)?,
        hold_ms: get(row, 8)?,
        party_max: get(row, 9)?,
        waiting_max: get(row, 10)?,
        own,
        next_expiry: get(row, 15)?,
    })
}
