//! The box office as a plain list of events and tickets: slow, obviously right, and what the real
//! one is compared with.

use super::call::{Answer, Call};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Event {
    total: i64,
    cancelled: bool,
    hold_seconds: i64,
    opens: Option<i64>,
    closes: Option<i64>,
    created: i64,
}

#[derive(Clone, Debug)]
struct Ticket {
    event: i64,
    email: String,
    spots: i64,
    created: i64,
    /// In line since then, and how many joined before; None: never, or no longer.
    place: Option<usize>,
    /// When its hold began.
    reserved: i64,
    expires: i64,
    confirmed: Option<i64>,
    ended: Option<(i64, &'static str)>,
    checked_in: Option<i64>,
    checked_in_spots: i64,
    payment: Option<String>,
}

/// What the events of the model have.
const PARTY_MAX: i64 = 10;
const HOLDS_MAX: i64 = 3;

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: i64,
    events: BTreeMap<i64, Event>,
    tickets: BTreeMap<String, Ticket>,
    keys: BTreeMap<String, (Call, Answer)>,
    joined: usize,
}

type Refusal = (u16, Value);

impl Model {
    pub fn at(now: i64) -> Model {
        Model {
            now,
            ..Model::default()
        }
    }

    pub fn event_ids(&self) -> Vec<i64> {
        self.events.keys().copied().collect()
    }

    pub fn ticket_ids(&self) -> Vec<String> {
        self.tickets.keys().cloned().collect()
    }

    /// What the call must be answered. `seen` is the body of the real answer: a new event or ticket
    /// is given the id that stands there.
    pub fn answer(&mut self, call: &Call, key: Option<&str>, seen: &Value) -> Answer {
        self.settle();
        let done = match self.is_there(call) {
            Err(refusal) => Err(refusal),
            Ok(()) => match key.and_then(|key| self.keys.get(key)) {
                Some((first, answer)) if first == call => {
                    let replayed = true;
                    return Answer {
                        replayed,
                        ..answer.clone()
                    };
                }
                Some(_) => refuse(422, "idempotency_key_reused"),
                None => self.act(call, seen),
            },
        };
        let is_done = done.is_ok();
        let (status, body) = done.unwrap_or_else(|refusal| refusal);
        let answer = Answer {
            status,
            body,
            replayed: false,
        };
        if let (Some(key), true) = (key, is_done) {
            self.keys
                .insert(key.to_owned(), (call.clone(), answer.clone()));
        }
        answer
    }

    /// Ends the holds whose time has come, and offers what is free to those in line: always to the
    /// first whose party fits.
    fn settle(&mut self) {
        for ticket in self.tickets.values_mut() {
            let is_held = ticket.ended.is_none() && ticket.confirmed.is_none();
            if is_held && ticket.place.is_none() && self.now >= ticket.expires {
                ticket.ended = Some((ticket.expires, "expired"));
            }
        }
        for id in self.event_ids() {
            while let Some(ticket) = self.first_that_fits(id) {
                let event = &self.events[&id];
                let is_open = event.opens.is_none_or(|opens| opens <= self.now)
                    && event.closes.is_none_or(|closes| self.now < closes);
                if !is_open || event.cancelled {
                    break;
                }
                let hold_ms = event.hold_seconds * 1_000;
                let ticket = self.tickets.get_mut(&ticket).unwrap();
                ticket.place = None;
                ticket.reserved = self.now;
                ticket.expires = self.now + hold_ms;
            }
        }
    }

    fn line(&self, event: i64) -> impl Iterator<Item = (usize, &String, &Ticket)> {
        let of_event = self.tickets.iter().filter(move |(_, t)| t.event == event);
        let live = of_event.filter(|(_, t)| t.ended.is_none());
        live.filter_map(|(id, t)| t.place.map(|place| (place, id, t)))
    }

    fn first_that_fits(&self, event: i64) -> Option<String> {
        let free = self.events[&event].total - self.taken(event);
        let fitting = self.line(event).filter(|(_, _, t)| t.spots <= free);
        let first = fitting.min_by_key(|(place, ..)| *place);
        first.map(|(_, id, _)| id.clone())
    }

    fn is_there(&self, call: &Call) -> Result<(), Refusal> {
        match call {
            Call::CreateEvent { .. } => Ok(()),
            Call::ChangeEvent { event, .. }
            | Call::CancelEvent { event }
            | Call::ShowEvent { event }
            | Call::Register { event, .. } => match self.events.contains_key(event) {
                true => Ok(()),
                false => refuse(404, "event_not_found"),
            },
            Call::ShowTicket { ticket }
            | Call::Confirm { ticket, .. }
            | Call::Extend { ticket }
            | Call::CancelTicket { ticket, .. }
            | Call::CheckIn { ticket, .. } => match self.tickets.contains_key(ticket) {
                true => Ok(()),
                false => refuse(404, "ticket_not_found"),
            },
        }
    }

    fn act(&mut self, call: &Call, seen: &Value) -> Result<(u16, Value), Refusal> {
        match call {
            Call::CreateEvent {
                spots,
                hold_seconds,
                sales_open_at,
                sales_close_at,
            } => {
                let id = seen["id"].as_i64().unwrap_or(-1);
                let event = Event {
                    total: *spots,
                    cancelled: false,
                    hold_seconds: *hold_seconds,
                    opens: *sales_open_at,
                    closes: *sales_close_at,
                    created: self.now,
                };
                assert!(
                    self.events.insert(id, event).is_none(),
                    "event {id} a second time"
                );
                Ok((201, self.event_json(id)))
            }
            Call::ChangeEvent { event, spots } => self.change_event(*event, *spots),
            Call::CancelEvent { event } => {
                self.events.get_mut(event).unwrap().cancelled = true;
                for ticket in self.tickets.values_mut().filter(|t| t.event == *event) {
                    if ticket.ended.is_none() {
                        ticket.ended = Some((self.now, "organizer"));
                    }
                }
                Ok((200, self.event_json(*event)))
            }
            Call::ShowEvent { event } => Ok((200, self.event_json(*event))),
            Call::Register {
                event,
                email,
                spots,
                waits,
            } => self.register(*event, email, *spots, *waits, seen),
            Call::ShowTicket { ticket } => Ok((200, self.ticket_json(ticket))),
            Call::Confirm {
                ticket,
                email,
                payment,
            } => self.confirm(ticket, email.as_deref(), payment.as_deref()),
            Call::Extend { ticket } => self.extend(ticket),
            Call::CancelTicket {
                ticket,
                email,
                spots,
            } => self.cancel_ticket(ticket, email.as_deref(), *spots),
            Call::CheckIn { ticket, spots } => self.check_in(ticket, *spots),
        }
    }

    fn change_event(&mut self, id: i64, spots: i64) -> Result<(u16, Value), Refusal> {
        let live = self.taken(id);
        let event = self.events.get_mut(&id).unwrap();
        if event.cancelled {
            return refuse(409, "event_cancelled");
        }
        if spots < live {
            return Err((
                409,
                json!({"code": "capacity_below_committed", "minimum": live}),
            ));
        }
        event.total = spots;
        self.settle();
        Ok((200, self.event_json(id)))
    }

    fn register(
        &mut self,
        id: i64,
        email: &str,
        spots: i64,
        waits: bool,
        seen: &Value,
    ) -> Result<(u16, Value), Refusal> {
        let event = self.events[&id].clone();
        if spots > PARTY_MAX {
            return refuse(400, "invalid_request");
        }
        if event.cancelled {
            return refuse(409, "event_cancelled");
        }
        if let Some(opens) = event.opens.filter(|opens| self.now < *opens) {
            return Err((
                409,
                json!({"code": "sales_not_open", "opens_at": time(opens)}),
            ));
        }
        if let Some(closes) = event.closes.filter(|closes| self.now >= *closes) {
            return Err((
                409,
                json!({"code": "sales_closed", "closed_at": time(closes)}),
            ));
        }
        let in_line = self.line(id).any(|(_, _, ticket)| ticket.email == email);
        if in_line || self.live(id).any(|ticket| ticket.email == email) {
            return refuse(409, "already_registered");
        }
        let available = event.total - self.taken(id);
        let place = (available < spots).then_some(self.joined);
        if place.is_some() && !waits {
            let held = self.live(id).filter(|ticket| ticket.confirmed.is_none());
            let next = held.map(|ticket| ticket.expires).min().map(time);
            return Err((
                409,
                json!({
                    "code": "sold_out", "available_spots": available,
                    "waiting": self.line(id).count(), "next_expiry": next,
                }),
            ));
        }
        let ticket_id = seen["ticket_id"].as_str().unwrap_or_default().to_owned();
        let ticket = Ticket {
            event: id,
            email: email.to_owned(),
            spots,
            created: self.now,
            place,
            reserved: self.now,
            expires: self.now + event.hold_seconds * 1_000,
            confirmed: None,
            ended: None,
            checked_in: None,
            checked_in_spots: 0,
            payment: None,
        };
        let before = self.tickets.insert(ticket_id.clone(), ticket);
        assert!(before.is_none(), "a ticket was sold twice");
        self.joined += usize::from(place.is_some());
        let status = if place.is_some() { 202 } else { 201 };
        Ok((status, self.ticket_json(&ticket_id)))
    }

    fn check_live(&self, id: &str) -> Result<(), Refusal> {
        let ticket = &self.tickets[id];
        match ticket.ended {
            Some((_, "expired")) => {
                let expired_at = time(ticket.expires);
                Err((
                    410,
                    json!({"code": "hold_expired", "expired_at": expired_at}),
                ))
            }
            Some(_) => refuse(409, "ticket_cancelled"),
            None => Ok(()),
        }
    }

    fn confirm(
        &mut self,
        id: &str,
        email: Option<&str>,
        payment: Option<&str>,
    ) -> Result<(u16, Value), Refusal> {
        self.check_live(id)?;
        let now = self.now;
        let ticket = self.tickets.get_mut(id).unwrap();
        if email.is_some_and(|email| email != ticket.email) {
            return refuse(409, "email_mismatch");
        }
        if ticket.place.is_some() {
            return refuse(409, "ticket_waiting");
        }
        if ticket.confirmed.is_none() {
            ticket.confirmed = Some(now);
            ticket.payment = payment.map(str::to_owned);
        } else if payment.is_some() && payment != ticket.payment.as_deref() {
            return Err((409, already_confirmed(ticket)));
        }
        Ok((200, self.ticket_json(id)))
    }

    fn extend(&mut self, id: &str) -> Result<(u16, Value), Refusal> {
        self.check_live(id)?;
        let hold_ms = self.events[&self.tickets[id].event].hold_seconds * 1_000;
        let now = self.now;
        let ticket = self.tickets.get_mut(id).unwrap();
        if ticket.confirmed.is_some() {
            return Err((409, already_confirmed(ticket)));
        }
        if ticket.place.is_some() {
            return refuse(409, "ticket_waiting");
        }
        let longest = ticket.reserved + HOLDS_MAX * hold_ms;
        if now + hold_ms > ticket.expires && longest <= ticket.expires {
            let expires_at = time(ticket.expires);
            return Err((
                409,
                json!({"code": "extension_refused", "expires_at": expires_at}),
            ));
        }
        ticket.expires = ticket.expires.max((now + hold_ms).min(longest));
        Ok((200, self.ticket_json(id)))
    }

    fn cancel_ticket(
        &mut self,
        id: &str,
        email: Option<&str>,
        spots: Option<i64>,
    ) -> Result<(u16, Value), Refusal> {
        let now = self.now;
        let ticket = self.tickets.get_mut(id).unwrap();
        if email.is_some_and(|email| email != ticket.email) {
            return refuse(409, "email_mismatch");
        }
        // Whoever came in before the event was cancelled holds a cancelled ticket like the others.
        if ticket.ended.is_none() {
            if ticket.checked_in.is_some() {
                return Err((409, already_checked_in(ticket)));
            }
            match spots {
                None => ticket.ended = Some((now, "holder")),
                Some(spots) if spots >= ticket.spots => return refuse(400, "invalid_request"),
                Some(spots) => ticket.spots -= spots,
            }
        }
        self.settle();
        Ok((200, self.ticket_json(id)))
    }

    fn check_in(&mut self, id: &str, spots: Option<i64>) -> Result<(u16, Value), Refusal> {
        let now = self.now;
        let ticket = self.tickets.get_mut(id).unwrap();
        if ticket.confirmed.is_none() || ticket.ended.is_some() {
            return refuse(409, "not_confirmed");
        }
        let left = ticket.spots - ticket.checked_in_spots;
        let spots = spots.unwrap_or(left.max(1));
        if spots > left {
            return Err((409, already_checked_in(ticket)));
        }
        ticket.checked_in.get_or_insert(now);
        ticket.checked_in_spots += spots;
        Ok((200, self.ticket_json(id)))
    }

    fn live(&self, event: i64) -> impl Iterator<Item = &Ticket> {
        let of_event = self.tickets.values().filter(move |t| t.event == event);
        of_event.filter(|t| t.ended.is_none() && t.place.is_none())
    }

    fn taken(&self, event: i64) -> i64 {
        self.live(event).map(|ticket| ticket.spots).sum()
    }

    fn event_json(&self, id: i64) -> Value {
        let event = &self.events[&id];
        let available = event.total - self.taken(id);
        assert!(
            (0..=event.total).contains(&available),
            "the model itself oversold"
        );
        json!({
            "id": id, "name": "Model", "total_spots": event.total, "available_spots": available,
            "status": if event.cancelled { "cancelled" } else { "on_sale" },
            "starts_at": null, "sales_open_at": event.opens.map(time),
            "sales_close_at": event.closes.map(time), "hold_seconds": event.hold_seconds,
            "hold_seconds_max": HOLDS_MAX * event.hold_seconds, "party_max": PARTY_MAX,
            "public_sale": false, "created_at": time(event.created), "waiting": self.line(id).count(),
            "waiting_max": 100_000, "payment_url": null,
        })
    }

    fn ticket_json(&self, id: &str) -> Value {
        let ticket = &self.tickets[id];
        let mut body = json!({
            "ticket_id": id, "event_id": ticket.event, "email": ticket.email,
            "spots": ticket.spots,
            "created_at": time(ticket.created),
        });
        body["status"] = match (ticket.ended, ticket.confirmed) {
            (Some((at, reason)), _) => {
                body["cancelled_at"] = time(at).into();
                body["cancel_reason"] = reason.into();
                "cancelled"
            }
            (None, Some(_)) => "confirmed",
            (None, None) if ticket.place.is_some() => {
                let ahead = self
                    .line(ticket.event)
                    .filter(|(place, ..)| Some(*place) < ticket.place);
                body["ahead"] = ahead.count().into();
                "waiting"
            }
            (None, None) => {
                body["expires_at"] = time(ticket.expires).into();
                "reserved"
            }
        }
        .into();
        for (member, at) in [
            ("confirmed_at", ticket.confirmed),
            ("checked_in_at", ticket.checked_in),
        ] {
            if let Some(at) = at {
                body[member] = time(at).into();
            }
        }
        if ticket.checked_in_spots > 0 {
            body["checked_in_spots"] = ticket.checked_in_spots.into();
        }
        if let Some(payment) = &ticket.payment {
            body["payment_ref"] = payment.as_str().into();
        }
        body
    }
}

fn already_confirmed(ticket: &Ticket) -> Value {
    json!({"code": "already_confirmed", "payment_ref": ticket.payment})
}

fn already_checked_in(ticket: &Ticket) -> Value {
    json!({
        "code": "already_checked_in", "checked_in_at": ticket.checked_in.map(time),
        "spots": ticket.spots, "checked_in_spots": ticket.checked_in_spots,
    })
}

fn refuse<T>(status: u16, code: &str) -> Result<T, Refusal> {
    Err((status, json!({"code": code})))
}

pub(super) fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).expect("in range");
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
