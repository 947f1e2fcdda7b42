//! Plain types of the field. Parsing is validation: whoever holds an [`Email`] holds a good one.
//!
//! [`Event`] and [`Ticket`] serialise to the shape that clients see.

use std::cell::RefCell;
use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{NoContext, Uuid};

pub const NAME_CHARS_MAX: usize = 200;
pub const SPOTS_MAX: i64 = 1_000_000;
pub const HOLD_SECONDS_MIN: i64 = 10;
pub const HOLD_SECONDS_MAX: i64 = 3_600;
pub const EMAIL_CHARS_MIN: usize = 3;
pub const EMAIL_CHARS_MAX: usize = 254;
pub const KEY_BYTES_MAX: usize = 255;

/// Milliseconds since the Unix epoch; RFC 3339 in UTC with milliseconds where people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Takes any RFC 3339 offset. Precision beyond a millisecond is cut off.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let parsed = DateTime::parse_from_rfc3339(text).ok()?;
        let ms = parsed.timestamp_millis();
        // The printed form has four digits for the year, so the accepted one has them too.
        let printable = (-62_135_596_800_000..=253_402_300_799_999).contains(&ms);
        printable.then_some(Timestamp(ms))
    }

    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, ms) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        with_second(second, |text| {
            f.write_str(text)?;
            write!(f, ".{ms:03}Z")
        })
    }
}

/// Most times that are printed lie in the same few seconds, so their text is kept for a while.
fn with_second<T>(second: i64, use_it: impl FnOnce(&str) -> T) -> T {
    const SLOTS: usize = 7;
    thread_local! {
        static TEXTS: RefCell<[(i64, String); SLOTS]> = RefCell::default();
    }
    TEXTS.with_borrow_mut(|texts| {
        let (kept, text) = &mut texts[second.rem_euclid(SLOTS as i64) as usize];
        if *kept != second || text.is_empty() {
            *kept = second;
            *text = match DateTime::from_timestamp(second, 0) {
                Some(time) => time.format("%Y-%m-%dT%H:%M:%S").to_string(),
                None => format!("{second} s"),
            };
        }
        use_it(text)
    })
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

/// What an event is called: 1 to 200 characters, trimmed, no control characters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventName(String);

impl EventName {
    pub fn parse(text: &str) -> Result<EventName, &'static str> {
        let name = text.trim();
        if name.is_empty() {
            return Err("must not be empty");
        }
        if name.chars().count() > NAME_CHARS_MAX {
            return Err("must have at most 200 characters");
        }
        if name.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        Ok(EventName(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address, checked for shape only. ASCII letters keep their case and are compared
/// without it (by the column's `COLLATE NOCASE` too); letters beyond ASCII are kept in lower
/// case, so that the same comparison holds for them.
#[derive(Clone, Debug)]
pub struct Email(String);

impl Email {
    pub fn parse(text: &str) -> Result<Email, &'static str> {
        let address = fold_beyond_ascii(text);
        // Some letters have a longer lower case, so the length is that of the result.
        if !(EMAIL_CHARS_MIN..=EMAIL_CHARS_MAX).contains(&address.chars().count()) {
            return Err("must have 3 to 254 characters");
        }
        if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("must not contain spaces or control characters");
        }
        match address.split_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
            {
                Ok(Email(address))
            }
            _ => Err("must have one @ with something on both sides"),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

fn fold_beyond_ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => folded.push(c),
            false => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

/// 1 to 255 visible ASCII characters, compared as bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn parse(text: &str) -> Result<IdempotencyKey, &'static str> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > KEY_BYTES_MAX || !visible {
            return Err("must be 1 to 255 visible ASCII characters");
        }
        Ok(IdempotencyKey(text.to_owned()))
    }

    /// The header's value: bare, or quoted as a structured-field string (RFC 8941, 3.3.3), as
    /// draft-ietf-httpapi-idempotency-key-header has it.
    pub fn parse_header(value: &str) -> Result<IdempotencyKey, &'static str> {
        let Some(rest) = value.strip_prefix('"') else {
            return IdempotencyKey::parse(value);
        };
        let inner = rest.strip_suffix('"').ok_or("has no closing quote")?;
        let mut bare = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some(escaped @ ('"' | '\\')) => bare.push(escaped),
                    _ => return Err("has a bad escape"),
                },
                '"' => return Err("has a quote inside the quotes"),
                other => bare.push(other),
            }
        }
        IdempotencyKey::parse(&bare)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The holder's secret: 74 random bits behind the time (UUIDv7, RFC 9562). The time in front lets
/// new tickets land side by side in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketId(String);

impl TicketId {
    pub fn new(now: Timestamp) -> TicketId {
        let ms = now.0.max(0) as u64;
        let moment =
            uuid::Timestamp::from_unix(NoContext, ms / 1_000, (ms % 1_000) as u32 * 1_000_000);
        TicketId(Uuid::new_v7(moment).hyphenated().to_string())
    }

    /// Takes the hyphenated form in either case.
    pub fn parse(text: &str) -> Option<TicketId> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
        Some(TicketId(id.hyphenated().to_string()))
    }

    /// For a value that the store has written itself.
    pub(crate) fn stored(text: String) -> TicketId {
        TicketId(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A set of names in the database and on the wire, one for each variant.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $type {
            $(#[serde(rename = $name)] $variant),+
        }

        impl $type {
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names!(
    EventStatus { OnSale = "on_sale", Cancelled = "cancelled" }
);
names!(
    /// `reserved` -> `confirmed` | `cancelled`; `confirmed` -> `cancelled`. Nothing else, ever.
    TicketStatus { Reserved = "reserved", Confirmed = "confirmed", Cancelled = "cancelled" }
);
names!(
    CancelReason { Expired = "expired", Holder = "holder", Organizer = "organizer" }
);
names!(
    /// What a ledger row records.
    LedgerKind {
        Created = "created",
        Reserved = "reserved",
        Confirmed = "confirmed",
        Expired = "expired",
    }
);

/// What an organizer asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewEvent {
    pub name: EventName,
    pub total_spots: i64,
    pub starts_at: Option<Timestamp>,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    /// None: the server's default.
    pub hold_seconds: Option<i64>,
}

/// An event as clients see it. `available_spots` counts expired holds as free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: i64,
    pub name: String,
    pub total_spots: i64,
    pub available_spots: i64,
    pub status: EventStatus,
    pub starts_at: Option<Timestamp>,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    /// Whole seconds, rounded up, if `--hold` is finer than that.
    pub hold_seconds: i64,
    pub created_at: Timestamp,
}

/// All that decides whether an address gets a spot of an event.
#[derive(Clone, Debug)]
pub struct Sale {
    pub status: EventStatus,
    pub available_spots: i64,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    pub hold_ms: i64,
    /// The live ticket that the address has already, or a hold that has expired.
    pub own: Option<OwnTicket>,
    /// If no spot is free: when the event's first hold ends or has ended.
    pub next_expiry: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct OwnTicket {
    pub seq: i64,
    pub ticket_id: TicketId,
    pub status: TicketStatus,
    pub expires_at: Timestamp,
}

impl OwnTicket {
    pub fn is_expired_hold(&self, now: Timestamp) -> bool {
        is_expired_hold(self.status, self.expires_at, now)
    }
}

/// A hold is live if and only if `now < expires_at`.
fn is_expired_hold(status: TicketStatus, expires_at: Timestamp, now: Timestamp) -> bool {
    status == TicketStatus::Reserved && now >= expires_at
}

/// A ticket as clients see it at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    pub ticket_id: TicketId,
    pub event_id: i64,
    pub email: String,
    pub status: TicketStatus,
    pub created_at: Timestamp,
    /// Only while reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<CancelReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_in_at: Option<Timestamp>,
}

impl Ticket {
    pub fn reserved(
        ticket_id: TicketId,
        event_id: i64,
        email: String,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Ticket {
        Ticket {
            ticket_id,
            event_id,
            email,
            status: TicketStatus::Reserved,
            created_at,
            expires_at: Some(expires_at),
            confirmed_at: None,
            cancelled_at: None,
            cancel_reason: None,
            checked_in_at: None,
        }
    }
}

/// A ticket as it is stored. The hold's end stays on record after the hold.
#[derive(Clone, Debug)]
pub struct TicketRecord {
    pub seq: i64,
    pub ticket_id: TicketId,
    pub event_id: i64,
    pub email: String,
    pub status: TicketStatus,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub cancel_reason: Option<CancelReason>,
    pub checked_in_at: Option<Timestamp>,
}

impl TicketRecord {
    pub fn is_expired_hold(&self, now: Timestamp) -> bool {
        is_expired_hold(self.status, self.expires_at, now)
    }

    /// The ticket as it was when it was sold: what a repeated registration is answered.
    pub fn when_reserved(&self) -> Ticket {
        let (id, email) = (self.ticket_id.clone(), self.email.clone());
        Ticket::reserved(id, self.event_id, email, self.created_at, self.expires_at)
    }

    /// The ticket at `now`. An expired hold is gone at its end, whoever has swept it or not.
    pub fn at(&self, now: Timestamp) -> Ticket {
        if self.is_expired_hold(now) {
            return Ticket {
                status: TicketStatus::Cancelled,
                expires_at: None,
                cancelled_at: Some(self.expires_at),
                cancel_reason: Some(CancelReason::Expired),
                ..self.when_reserved()
            };
        }
        Ticket {
            status: self.status,
            expires_at: (self.status == TicketStatus::Reserved).then_some(self.expires_at),
            confirmed_at: self.confirmed_at,
            cancelled_at: self.cancelled_at,
            cancel_reason: self.cancel_reason,
            checked_in_at: self.checked_in_at,
            ..self.when_reserved()
        }
    }
}
