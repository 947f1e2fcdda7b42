//! What the ledger of an event comes to: in all, and over time. Its rows are read one by one and
//! only added up, so that millions of them take no more memory than a few.

use std::ops::AddAssign;

use super::time::bucket_ms;
use crate::error::Error;
use crate::model::{CancelReason, LedgerKind, Timestamp};
use crate::store::engine::{Row, Statement, Value};
use crate::store::{Audit, get, parsed};

/// Bars of one picture; a bar is to be seen on a telephone.
const SALES_BUCKETS_MAX: i64 = 60;
const SPOTS_BUCKETS_MAX: i64 = 160;

pub struct Event {
    pub id: i64,
    pub name: String,
    pub is_cancelled: bool,
}

/// One event, or up to `limit` of those that most has happened to; and how many there are in all.
pub fn events(
    audit: &dyn Audit,
    only: Option<i64>,
    limit: i64,
) -> Result<(Vec<Event>, i64), Error> {
    const STATEMENT: Statement = Statement::new(
        include_str!("../../sql/report_events.sql"),
        &["event_id", "limit"],
    );
    let (mut events, mut in_all) = (Vec::new(), 0);
    audit.query(&STATEMENT, &[only.into(), limit.into()], &mut |row| {
        in_all = get(row, 3)?;
        events.push(Event {
            id: get(row, 0)?,
            name: get(row, 1)?,
            is_cancelled: get::<&str>(row, 2)? == "cancelled",
        });
        Ok(())
    })?;
    Ok((events, in_all))
}

/// How many spots are there, held and confirmed; or by how many more.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Spots {
    pub capacity: i64,
    pub held: i64,
    pub confirmed: i64,
}

impl Spots {
    pub fn free(&self) -> i64 {
        self.capacity - self.held - self.confirmed
    }
}

impl AddAssign for Spots {
    fn add_assign(&mut self, more: Spots) {
        self.capacity += more.capacity;
        self.held += more.held;
        self.confirmed += more.confirmed;
    }
}

struct Change {
    at: i64,
    kind: LedgerKind,
    spots: i64,
    available_spots: Option<i64>,
    party: i64,
    was_confirmed: bool,
    was_offered: bool,
    reason: Option<CancelReason>,
}

impl Change {
    fn read(row: &dyn Row) -> Result<Change, Error> {
        let confirmed_at: Option<i64> = get(row, 5)?;
        let reason: Option<&str> = get(row, 6)?;
        let offered_at: Option<i64> = get(row, 7)?;
        Ok(Change {
            at: get(row, 0)?,
            kind: parsed(row, 1, LedgerKind::parse)?,
            spots: get(row, 2)?,
            available_spots: get(row, 3)?,
            party: get::<Option<i64>>(row, 4)?.unwrap_or(0),
            was_confirmed: confirmed_at.is_some(),
            was_offered: offered_at.is_some(),
            reason: reason.and_then(CancelReason::parse),
        })
    }

    fn moved(&self) -> Spots {
        let (capacity, held, confirmed) = match self.kind {
            LedgerKind::Created | LedgerKind::Changed => (self.spots, 0, 0),
            LedgerKind::Confirmed => (0, -self.party, self.party),
            LedgerKind::Cancelled | LedgerKind::Reduced if self.was_confirmed => {
                (0, 0, -self.spots)
            }
            LedgerKind::Reserved
            | LedgerKind::Offered
            | LedgerKind::Expired
            | LedgerKind::Reduced
            | LedgerKind::Cancelled => (0, -self.spots, 0),
            LedgerKind::Waiting
            | LedgerKind::Extended
            | LedgerKind::CheckedIn
            | LedgerKind::EventCancelled => (0, 0, 0),
        };
        Spots {
            capacity,
            held,
            confirmed,
        }
    }
}

/// `now` decides which holds have ended.
fn each_change(
    audit: &dyn Audit,
    event_id: i64,
    now: Timestamp,
    mut each: impl FnMut(Change),
) -> Result<(), Error> {
    const STATEMENT: Statement = Statement::new(
        include_str!("../../sql/report_changes.sql"),
        &["event_id", "now"],
    );
    let values = [Value::from(event_id), now.into()];
    audit.query(&STATEMENT, &values, &mut |row| {
        each(Change::read(row)?);
        Ok(())
    })
}

/// Counts are of spots, times milliseconds since the epoch.
#[derive(Default)]
pub struct Sums {
    pub created: i64,
    pub capacity_changes: i64,
    pub sold: i64,
    pub expired: i64,
    pub by_holder: i64,
    pub by_organizer: i64,
    pub checked_in: i64,
    /// What was waited for in line, of this what was offered, and of this what was confirmed.
    pub waited_for: i64,
    pub offered: i64,
    pub taken: i64,
    pub now: Spots,
    pub put_on_sale: Option<i64>,
    pub first_sale: Option<i64>,
    pub last_sale: Option<i64>,
    /// When the last free spot was sold for the first time.
    pub sold_out: Option<i64>,
    /// The last change of a spot or of the capacity.
    pub last_move: Option<i64>,
    pub cancelled: Option<i64>,
}

fn earlier(known: Option<i64>, at: i64) -> Option<i64> {
    Some(known.map_or(at, |known| known.min(at)))
}

impl Sums {
    pub fn read(audit: &dyn Audit, event_id: i64, now: Timestamp) -> Result<Sums, Error> {
        let mut sums = Sums::default();
        each_change(audit, event_id, now, |change| sums.add(&change))?;
        Ok(sums)
    }

    fn add(&mut self, change: &Change) {
        let moved = change.moved();
        match change.kind {
            LedgerKind::Waiting => self.waited_for += change.party,
            LedgerKind::Offered => self.offered -= change.spots,
            LedgerKind::Confirmed if change.was_offered => self.taken += change.party,
            _ => {}
        }
        match change.kind {
            LedgerKind::Created => {
                self.created += change.spots;
                self.put_on_sale = Some(change.at);
            }
            LedgerKind::Changed => self.capacity_changes += i64::from(change.spots != 0),
            LedgerKind::Reserved | LedgerKind::Offered => {
                self.sold -= change.spots;
                self.first_sale = earlier(self.first_sale, change.at);
                self.last_sale = self.last_sale.max(Some(change.at));
                if change.available_spots == Some(0) {
                    self.sold_out = earlier(self.sold_out, change.at);
                }
            }
            LedgerKind::Expired => self.expired += change.spots,
            LedgerKind::Cancelled if change.reason == Some(CancelReason::Organizer) => {
                self.by_organizer += change.spots;
            }
            LedgerKind::Cancelled | LedgerKind::Reduced => self.by_holder += change.spots,
            LedgerKind::CheckedIn => self.checked_in += change.party,
            LedgerKind::EventCancelled => self.cancelled = Some(change.at),
            LedgerKind::Waiting | LedgerKind::Confirmed | LedgerKind::Extended => {}
        }
        if moved != Spots::default() {
            self.last_move = self.last_move.max(Some(change.at));
        }
        self.now += moved;
    }
}

/// An event's spots and sales, in pieces of one length from the first sale on.
pub struct Course {
    /// Until the last change: the spots at the end of each piece.
    pub spots: Vec<Spots>,
    pub spots_ms: i64,
    /// Until the event sold out, or else the last sale: what was sold in each piece.
    pub sales: Vec<i64>,
    pub sales_ms: i64,
}

impl Course {
    pub fn most_sold(&self) -> i64 {
        self.sales.iter().max().copied().unwrap_or(0).max(1)
    }

    /// None, if nothing was sold.
    pub fn read(
        audit: &dyn Audit,
        event_id: i64,
        now: Timestamp,
        sums: &Sums,
    ) -> Result<Option<Course>, Error> {
        let (Some(start), Some(last_sale), Some(last_move)) =
            (sums.first_sale, sums.last_sale, sums.last_move)
        else {
            return Ok(None);
        };
        let (spots_span, sales_span) = (
            last_move - start,
            sums.sold_out.unwrap_or(last_sale) - start,
        );
        let spots_ms = bucket_ms(spots_span, SPOTS_BUCKETS_MAX);
        let sales_ms = bucket_ms(sales_span, SALES_BUCKETS_MAX);
        let mut before = Spots::default();
        let mut spots = vec![Spots::default(); (spots_span / spots_ms) as usize + 1];
        let mut sales = vec![0; (sales_span / sales_ms) as usize + 1];
        each_change(audit, event_id, now, |change| {
            let after = change.at - start;
            // A sale is never before the first one, but a hold's end can be: clocks are set back.
            match after < 0 {
                true => before += change.moved(),
                false => spots[(after / spots_ms) as usize] += change.moved(),
            }
            if matches!(change.kind, LedgerKind::Reserved | LedgerKind::Offered)
                && after <= sales_span
            {
                sales[(after / sales_ms) as usize] -= change.spots;
            }
        })?;
        for piece in &mut spots {
            before += *piece;
            *piece = before;
        }
        Ok(Some(Course {
            spots,
            spots_ms,
            sales,
            sales_ms,
        }))
    }
}
