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
