//! What is sold.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::ticket::OwnTicket;

const NAME_CHARS_MAX: usize = 200;
pub const SPOTS_MAX: i64 = 1_000_000;
pub const HOLD_SECONDS_MIN: i64 = 10;
pub const HOLD_SECONDS_MAX: i64 = 3_600;

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

names!(
    EventStatus { OnSale = "on_sale", Cancelled = "cancelled" }
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
    /// The key of the organizer who asks, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_key_id: Option<i64>,
}

/// An event as clients see it. `available_spots` counts expired holds as free. When the event is
/// cancelled nobody holds a ticket any more, so it is all of them; `status` says that none is sold.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    #[serde(skip)]
    pub hold_ms: i64,
}

/// What an organizer changes; None stays as it is. Of the optional times, `Some(None)` takes one away.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EventChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<EventName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_spots: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sales_open_at: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sales_close_at: Option<Option<Timestamp>>,
    /// For holds that begin from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<i64>,
}

impl EventChange {
    /// The event as it will be.
    pub fn applied_to(&self, event: &Event) -> Event {
        let total_spots = self.total_spots.unwrap_or(event.total_spots);
        Event {
            name: match &self.name {
                Some(name) => name.as_str().to_owned(),
                None => event.name.clone(),
            },
            total_spots,
            available_spots: event.available_spots + total_spots - event.total_spots,
            starts_at: self.starts_at.unwrap_or(event.starts_at),
            sales_open_at: self.sales_open_at.unwrap_or(event.sales_open_at),
            sales_close_at: self.sales_close_at.unwrap_or(event.sales_close_at),
            hold_seconds: self.hold_seconds.unwrap_or(event.hold_seconds),
            hold_ms: self.hold_seconds.map_or(event.hold_ms, |s| s * 1_000),
            ..*event
        }
    }
}

/// Whether tickets can be had at some time: what is open must close later.
pub fn is_sales_window(open: Option<Timestamp>, close: Option<Timestamp>) -> bool {
    open.zip(close).is_none_or(|(open, close)| open < close)
}

/// How far a sale has come. `available_spots` counts expired holds as free.
#[derive(Clone, Debug)]
pub struct Spots {
    pub event_id: i64,
    pub total_spots: i64,
    pub available_spots: i64,
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
