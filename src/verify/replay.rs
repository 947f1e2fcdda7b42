//! The ledger, replayed row by row: what every event and ticket must be if the ledger is true.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

use super::findings::{Check, Findings};
use crate::model::{CancelReason, EventStatus, LedgerKind, TicketRecord, TicketStatus, Timestamp};
use crate::store::{AuditedEvent, AuditedKey, LedgerRow};

/// What the ledger has told so far.
#[derive(Default)]
pub(super) struct Books {
    ledger_rows: i64,
    events: HashMap<i64, EventBook>,
    lives: HashMap<Uuid, Life>,
    holders: Holders,
    /// Every ticket's seq, and whether a key has been seen that sold it.
    sold: HashMap<i64, bool>,
    last_key: Option<String>,
}

struct EventBook {
    capacity: i64,
    free: i64,
    status: EventStatus,
    is_found: bool,
}

/// A ticket's life as its rows tell it.
struct Life {
    event_id: i64,
    status: TicketStatus,
    reason: Option<CancelReason>,
    reserved_at: Timestamp,
    confirmed_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    checked_in_at: Option<Timestamp>,
    /// Also when the event was cancelled afterwards, and the ticket with it.
    has_come_in: bool,
    /// The ledger rows between which it was live.
    live: (i64, i64),
    /// 0 until the ticket's own row has been seen.
    ticket_seq: i64,
}

impl Life {
    fn reserved(row: &LedgerRow) -> Life {
        Life {
            event_id: row.event_id,
            status: TicketStatus::Reserved,
            reason: None,
            reserved_at: row.at,
            confirmed_at: None,
            ended_at: None,
            checked_in_at: None,
            has_come_in: false,
            live: (row.seq, i64::MAX),
            ticket_seq: 0,
        }
    }

    /// The state machine. False: there is no such step from here.
    fn step(&mut self, kind: LedgerKind, row: &LedgerRow) -> bool {
        match (kind, self.status) {
            (LedgerKind::Confirmed, TicketStatus::Reserved) => {
                self.status = TicketStatus::Confirmed;
                self.confirmed_at = Some(row.at);
            }
            (LedgerKind::Expired, TicketStatus::Reserved) => {
                self.end(CancelReason::Expired, row);
            }
            // Or by the organizer, with the event: the rows are alike.
            (LedgerKind::Cancelled, TicketStatus::Reserved | TicketStatus::Confirmed) => {
                self.end(CancelReason::Holder, row);
            }
            (LedgerKind::CheckedIn, TicketStatus::Confirmed) if self.checked_in_at.is_none() => {
                self.checked_in_at = Some(row.at);
                self.has_come_in = true;
            }
            _ => return false,
        }
        true
    }

    fn end(&mut self, reason: CancelReason, row: &LedgerRow) {
        self.status = TicketStatus::Cancelled;
        self.reason = Some(reason);
        self.ended_at = Some(row.at);
        self.checked_in_at = None;
        self.live.1 = row.seq;
    }
}

/// Whether a row of this kind is about a ticket, and what it may do to the free spots.
fn meaning(kind: LedgerKind) -> (bool, fn(i64) -> bool) {
    match kind {
        LedgerKind::Created => (false, |spots| spots > 0),
        LedgerKind::Changed => (false, |_| true),
        LedgerKind::EventCancelled => (false, |spots| spots == 0),
        LedgerKind::Reserved => (true, |spots| spots == -1),
        LedgerKind::Confirmed | LedgerKind::CheckedIn => (true, |spots| spots == 0),
        LedgerKind::Expired | LedgerKind::Cancelled => (true, |spots| spots == 1),
    }
}

impl Books {
    pub fn enter(&mut self, row: &LedgerRow, findings: &mut Findings) {
        let seq = row.seq;
        self.ledger_rows += 1;
        if seq != self.ledger_rows {
            let missing = format!("ledger row {seq} follows row {}", self.ledger_rows - 1);
            findings.add(Check::LedgerGap, missing);
            self.ledger_rows = seq;
        }
        let kind = LedgerKind::parse(&row.kind);
        match kind.map(meaning) {
            None => findings.add(Check::LedgerKind, format!("ledger row {seq} is of no kind")),
            Some((of_ticket, may_be)) => {
                if of_ticket != row.ticket_id.is_some() {
                    let what =
                        format!("ledger row {seq} names a ticket where none belongs, or none");
                    findings.add(Check::LedgerKind, what);
                }
                if !may_be(row.spots) {
                    let what = format!("ledger row {seq} ({}) moves {} spots", row.kind, row.spots);
                    findings.add(Check::LedgerSpots, what);
                }
            }
        }
        self.enter_event(row, kind, findings);
        if let (Some(kind), Some(ticket_id)) = (kind, &row.ticket_id) {
            self.enter_ticket(row, kind, ticket_id, findings);
        }
    }

    fn enter_event(&mut self, row: &LedgerRow, kind: Option<LedgerKind>, findings: &mut Findings) {
        let LedgerRow { seq, event_id, .. } = row;
        let is_new = !self.events.contains_key(event_id);
        if is_new != (kind == Some(LedgerKind::Created)) {
            let what =
                format!("ledger row {seq}: event {event_id} does not begin once, as created");
            findings.add(Check::EventStart, what);
        }
        let book = self.events.entry(*event_id).or_insert(EventBook {
            capacity: 0,
            free: 0,
            status: EventStatus::OnSale,
            is_found: false,
        });
        book.free = book.free.saturating_add(row.spots);
        let is_over = book.status == EventStatus::Cancelled;
        match kind {
            Some(LedgerKind::Created | LedgerKind::Changed) => {
                book.capacity = book.capacity.saturating_add(row.spots);
            }
            Some(LedgerKind::EventCancelled) => book.status = EventStatus::Cancelled,
            _ => {}
        }
        let has_live = book.status == EventStatus::Cancelled && book.free != book.capacity;
        if is_over || has_live {
            let what = format!("ledger row {seq}: event {event_id} goes on after it was cancelled");
            findings.add(Check::Transition, what);
        }
        if !(0..=book.capacity).contains(&book.free) {
            let (free, capacity) = (book.free, book.capacity);
            let what =
                format!("event {event_id} after ledger row {seq}: {free} of {capacity} free");
            findings.add(Check::RunningSum, what);
        }
    }

    fn enter_ticket(
        &mut self,
        row: &LedgerRow,
        kind: LedgerKind,
        ticket_id: &str,
        findings: &mut Findings,
    ) {
        let seq = row.seq;
        let Ok(id) = Uuid::try_parse(ticket_id) else {
            let what = format!("the ticket of ledger row {seq} has no id");
            return findings.add(Check::Unreadable, what);
        };
        let lawful = match self.lives.get_mut(&id) {
            Some(life) => life.event_id == row.event_id && life.step(kind, row),
            None => {
                self.lives.insert(id, Life::reserved(row));
                kind == LedgerKind::Reserved
            }
        };
        if !lawful {
            let what = format!("ledger row {seq}: no ticket can be {} there", row.kind);
            findings.add(Check::Transition, what);
        }
    }

    pub fn compare_ticket(&mut self, ticket: &TicketRecord, findings: &mut Findings) {
        let seq = ticket.seq;
        self.sold.insert(seq, false);
        let id = Uuid::try_parse(ticket.ticket_id.as_str());
        let Some(life) = id.ok().and_then(|id| self.lives.get_mut(&id)) else {
            return findings.add(Check::Missing, format!("ticket {seq} is not in the ledger"));
        };
        if life.ticket_seq != 0 {
            let what = format!("tickets {} and {seq} have one id", life.ticket_seq);
            return findings.add(Check::LiveTwice, what);
        }
        life.ticket_seq = seq;
        let is = (ticket.event_id, ticket.status, ticket.cancel_reason);
        let mut told = (life.event_id, life.status, life.reason);
        let book = self.events.get(&ticket.event_id);
        if told.2 == Some(CancelReason::Holder)
            && book.is_some_and(|book| book.status == EventStatus::Cancelled)
            && ticket.cancel_reason == Some(CancelReason::Organizer)
        {
            told.2 = ticket.cancel_reason;
        }
        if is != told {
            let what = format!("ticket {seq} is {is:?}, its ledger says {told:?}");
            findings.add(Check::TicketState, what);
        }
        if told.2 == Some(CancelReason::Holder) && life.has_come_in {
            let what = format!("ticket {seq} was given back after its holder had come in");
            findings.add(Check::Transition, what);
        }
        compare_times(ticket, life, findings);
        let earlier = self.holders.enter(ticket, life.live);
        if let Some(earlier) = earlier {
            let event_id = ticket.event_id;
            let what = format!(
                "tickets {earlier} and {seq} of event {event_id} were live together for one address"
            );
            findings.add(Check::LiveTwice, what);
        }
    }

    pub fn compare_event(&mut self, event: &AuditedEvent, findings: &mut Findings) {
        let id = event.id;
        let Some(book) = self.events.get_mut(&id) else {
            return findings.add(Check::Missing, format!("event {id} is not in the ledger"));
        };
        book.is_found = true;
        if event.available_spots != book.free {
            let (is, told) = (event.available_spots, book.free);
            let what = format!("event {id} has {is} spots free, its ledger says {told}");
            findings.add(Check::EventBalance, what);
        }
        if event.total_spots != book.capacity {
            let (is, told) = (event.total_spots, book.capacity);
            let what = format!("event {id} has {is} spots in all, its ledger says {told}");
            findings.add(Check::EventCapacity, what);
        }
        if event.status != book.status.as_str() {
            let (is, told) = (&event.status, book.status.as_str());
            let what = format!("event {id} is {is}, its ledger says {told}");
            findings.add(Check::EventStatus, what);
        }
    }

    /// Keys come in order, so equal ones come one after the other.
    pub fn compare_key(&mut self, key: AuditedKey, number: u64, findings: &mut Findings) {
        if self.last_key.as_ref() == Some(&key.key) {
            findings.add(Check::KeyTwice, format!("key number {number} stands twice"));
        }
        self.last_key = Some(key.key);
        let Some(ticket_seq) = key.ticket_seq else {
            return;
        };
        match self.sold.get_mut(&ticket_seq) {
            None => {
                let what =
                    format!("key number {number} sold ticket {ticket_seq}, which is missing");
                findings.add(Check::KeyWithoutTicket, what);
            }
            Some(is_keyed) if *is_keyed => {
                findings.add(Check::KeyTwice, format!("ticket {ticket_seq} has two keys"));
            }
            Some(is_keyed) => *is_keyed = true,
        }
    }

    /// When everything has been compared: what the ledger tells of and nobody has found.
    pub fn close(self, findings: &mut Findings) {
        for (id, _) in self.events.iter().filter(|(_, book)| !book.is_found) {
            findings.add(
                Check::Missing,
                format!("event {id} of the ledger is missing"),
            );
        }
        for life in self.lives.values().filter(|life| life.ticket_seq == 0) {
            let what = format!("the ticket of ledger row {} is missing", life.live.0);
            findings.add(Check::Missing, what);
        }
    }
}

fn compare_times(ticket: &TicketRecord, life: &Life, findings: &mut Findings) {
    let seq = ticket.seq;
    // An expired hold ended at its end, not when somebody wrote it down.
    let ended_at = match life.reason {
        Some(CancelReason::Expired) => Some(ticket.expires_at),
        _ => life.ended_at,
    };
    let told = (
        Some(life.reserved_at),
        life.confirmed_at,
        ended_at,
        life.checked_in_at,
    );
    let created_at = Some(ticket.created_at);
    let is = (
        created_at,
        ticket.confirmed_at,
        ticket.cancelled_at,
        ticket.checked_in_at,
    );
    if is != told {
        let what = format!(
            "ticket {seq} was reserved, confirmed, cancelled, checked in at {is:?}, its ledger says {told:?}"
        );
        findings.add(Check::TicketTimes, what);
    }
    if life.confirmed_at.is_some_and(|at| at >= ticket.expires_at) {
        let what = format!("ticket {seq} was confirmed after its hold had ended");
        findings.add(Check::Transition, what);
    }
    let expired_at = life
        .ended_at
        .filter(|_| life.reason == Some(CancelReason::Expired));
    if expired_at.is_some_and(|at| at < ticket.expires_at) {
        let what = format!("the hold of ticket {seq} was ended too early");
        findings.add(Check::Transition, what);
    }
}

/// Who held a ticket of an event last: the seq of the ticket, and the ledger row that ended it.
/// Addresses are hashed, to 128 bits with keys of this run, because there may be millions.
#[derive(Default)]
struct Holders {
    hashers: [RandomState; 2],
    last: HashMap<u128, (i64, i64)>,
}

impl Holders {
    /// Returns the ticket of the same holder that was still live when this one began.
    fn enter(&mut self, ticket: &TicketRecord, live: (i64, i64)) -> Option<i64> {
        let holder = (ticket.event_id, ticket.email.to_ascii_lowercase());
        let [high, low] = self
            .hashers
            .each_ref()
            .map(|h| u128::from(h.hash_one(&holder)));
        let earlier = self.last.insert(high << 64 | low, (ticket.seq, live.1));
        earlier
            .filter(|(_, ended)| *ended > live.0)
            .map(|(seq, _)| seq)
    }
}
