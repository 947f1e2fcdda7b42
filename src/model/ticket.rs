//! What is sold to somebody.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Uuid};

use super::input::Whole;
use super::{Email, IdempotencyKey, Timestamp};

const PAYMENT_REF_BYTES_MAX: usize = 255;

/// How many spots one ticket is for; an event may allow fewer.
pub type PartySpots = Whole<1, 100>;

/// The holder's secret: 74 random bits behind the time (UUIDv7, RFC 9562). The time in front lets
/// new tickets land side by side in the index. People see its hyphenated form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TicketId(Uuid);

impl TicketId {
    pub fn new(now: Timestamp) -> TicketId {
        let ms = now.0.max(0) as u64;
        let moment =
            uuid::Timestamp::from_unix(NoContext, ms / 1_000, (ms % 1_000) as u32 * 1_000_000);
        TicketId(Uuid::new_v7(moment))
    }

    /// Takes the hyphenated form in lower case: what has one name is cached and counted as one.
    pub fn parse(text: &str) -> Option<TicketId> {
        let is_lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        let id = Uuid::try_parse(text).ok()?;
        (is_lower && text.len() == 36).then_some(TicketId(id))
    }

    /// For a value that the store has written itself.
    pub(crate) fn stored(bytes: [u8; 16]) -> TicketId {
        TicketId(Uuid::from_bytes(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

schema!(TicketId, {"type": "string", "format": "uuid"});

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

names!(
    /// `waiting` -> `reserved` | `cancelled`; `reserved` -> `confirmed` | `cancelled`; `confirmed` ->
    /// `cancelled`. Nothing else, ever.
    TicketStatus {
        Reserved = "reserved",
        Confirmed = "confirmed",
        Cancelled = "cancelled",
        Waiting = "waiting",
    }
);
/// What the payment is called where it was made: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct PaymentRef(String);

parsed!(PaymentRef, {"type": "string", "pattern": "^[!-~]{1,255}$"});

impl PaymentRef {
    pub fn parse(text: &str) -> Result<PaymentRef, &'static str> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > PAYMENT_REF_BYTES_MAX || !visible {
            return Err("must be 1 to 255 visible ASCII characters");
        }
        Ok(PaymentRef(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

names!(
    CancelReason { Expired = "expired", Holder = "holder", Organizer = "organizer" }
);
#[derive(Clone, Debug)]
pub struct OwnTicket {
    pub seq: i64,
    pub status: TicketStatus,
    pub expires_at: Option<Timestamp>,
    pub spots: i64,
}

impl OwnTicket {
    pub fn is_expired_hold(&self, now: Timestamp) -> bool {
        is_expired_hold(self.status, self.expires_at, now)
    }
}

/// A hold is live if and only if `now < expires_at`.
fn is_expired_hold(status: TicketStatus, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    status == TicketStatus::Reserved && expires_at.is_some_and(|end| now >= end)
}

/// A stored status as it is at `now`: an expired hold is cancelled, swept or not.
pub fn status_at(
    stored: TicketStatus,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> TicketStatus {
    if is_expired_hold(stored, expires_at, now) {
        TicketStatus::Cancelled
    } else {
        stored
    }
}

/// A ticket as clients see it at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Ticket {
    /// The holder's secret: whoever knows it can confirm and cancel.
    pub ticket_id: TicketId,
    pub event_id: i64,
    pub email: String,
    /// How many come in with it.
    #[schemars(range(min = 1, max = 100))]
    pub spots: i64,
    pub status: TicketStatus,
    pub created_at: Timestamp,
    /// How many stand before it in line; only while waiting, and not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", default)]
    pub ahead: Option<i64>,
    /// Only while reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Timestamp", default)]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Timestamp", default)]
    pub confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Timestamp", default)]
    pub cancelled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CancelReason", default)]
    pub cancel_reason: Option<CancelReason>,
    /// When the first of them came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Timestamp", default)]
    pub checked_in_at: Option<Timestamp>,
    /// How many of them have come in, if any has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartySpots", default)]
    pub checked_in_spots: Option<i64>,
    /// As it was confirmed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PaymentRef", default)]
    pub payment_ref: Option<String>,
}

impl Ticket {
    pub fn reserved(
        ticket_id: TicketId,
        event_id: i64,
        email: String,
        spots: i64,
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Ticket {
        Ticket {
            ticket_id,
            event_id,
            email,
            spots,
            status: TicketStatus::Reserved,
            created_at,
            ahead: None,
            expires_at,
            confirmed_at: None,
            cancelled_at: None,
            cancel_reason: None,
            checked_in_at: None,
            checked_in_spots: None,
            payment_ref: None,
        }
    }
}

/// A ticket as it is stored. The hold's end stays on record after the hold; who never had one never
/// got out of the line.
#[derive(Clone, Debug)]
pub struct TicketRecord {
    pub seq: i64,
    pub ticket_id: TicketId,
    pub event_id: i64,
    pub email: String,
    pub status: TicketStatus,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub confirmed_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub cancel_reason: Option<CancelReason>,
    pub checked_in_at: Option<Timestamp>,
    pub spots: i64,
    pub checked_in_spots: i64,
    pub payment_ref: Option<String>,
    /// In line, if it ever was.
    pub place: Option<i64>,
    pub offered_at: Option<Timestamp>,
}

impl TicketRecord {
    /// When its hold began, if it had one.
    pub fn reserved_at(&self) -> Timestamp {
        self.offered_at.unwrap_or(self.created_at)
    }

    pub fn is_expired_hold(&self, now: Timestamp) -> bool {
        is_expired_hold(self.status, self.expires_at, now)
    }

    /// The ticket as it was when it was sold.
    fn when_reserved(&self) -> Ticket {
        let email = self.email.clone();
        let (id, event_id) = (self.ticket_id, self.event_id);
        Ticket::reserved(
            id,
            event_id,
            email,
            self.spots,
            self.created_at,
            self.expires_at,
        )
    }

    /// The ticket at `now`. An expired hold is gone at its end, whoever has swept it or not.
    pub fn at(&self, now: Timestamp) -> Ticket {
        if self.is_expired_hold(now) {
            return Ticket {
                status: TicketStatus::Cancelled,
                expires_at: None,
                cancelled_at: self.expires_at,
                cancel_reason: Some(CancelReason::Expired),
                ..self.when_reserved()
            };
        }
        Ticket {
            status: self.status,
            expires_at: self
                .expires_at
                .filter(|_| self.status == TicketStatus::Reserved),
            confirmed_at: self.confirmed_at,
            cancelled_at: self.cancelled_at,
            cancel_reason: self.cancel_reason,
            checked_in_at: self.checked_in_at,
            checked_in_spots: Some(self.checked_in_spots).filter(|spots| *spots > 0),
            payment_ref: self.payment_ref.clone(),
            ..self.when_reserved()
        }
    }
}

/// What a buyer asks for.
#[derive(Clone, Debug)]
pub struct Registration {
    pub event_id: i64,
    pub email: Email,
    pub spots: i64,
    /// Whether to stand in line, if there are too few spots.
    pub waits: bool,
    pub key: Option<IdempotencyKey>,
    /// The ticket's id, should one be sold.
    pub ticket_id: TicketId,
}
