//! What is sold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::input::{Whole, given, is_invisible};
use super::ticket::OwnTicket;

const NAME_CHARS_MAX: usize = 200;
const PAYMENT_URL_BYTES_MAX: usize = 500;

type TotalSpots = Whole<1, 1_000_000>;
type HoldSeconds = Whole<10, 3_600>;
type HoldSecondsMax = Whole<10, 86_400>;
type PartyMax = Whole<1, 100>;
type WaitingMax = Whole<0, 1_000_000>;

/// So many spots a ticket is for at most, if the organizer says nothing.
const PARTY_MAX_DEFAULT: i64 = 10;
/// So many are in line at most, if the organizer says nothing.
const WAITING_MAX_DEFAULT: i64 = 100_000;
/// So many holds an extended hold is as long as at most, if the organizer says nothing.
const HOLDS_MAX_DEFAULT: i64 = 3;

/// What an event is called: 1 to 200 characters, trimmed. It looks like what it is: nothing in it is
/// invisible or turns the direction of the text around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct EventName(String);

parsed!(EventName, {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX});

impl EventName {
    pub fn parse(text: &str) -> Result<EventName, &'static str> {
        let name = text.trim();
        if name.is_empty() {
            return Err("must not be empty");
        }
        if name.chars().count() > NAME_CHARS_MAX {
            return Err("must have at most 200 characters");
        }
        if has_invisible(name) {
            return Err("must not contain control, zero-width or bidirectional characters");
        }
        Ok(EventName(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Joiners and variation selectors belong to what many scripts and emoji write, so they are taken
/// where they can do their work: behind a character that is not ASCII.
fn has_invisible(name: &str) -> bool {
    let mut before = ' ';
    name.chars().any(|c| {
        let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        let is_taken = joins && !before.is_ascii() && !is_invisible(before);
        before = if is_taken { before } else { c };
        is_invisible(c) && !is_taken
    })
}

/// Where buyers pay: a link that names their ticket. What it leads to confirms the ticket when it has
/// the money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PaymentUrl(String);

parsed!(PaymentUrl, {"type": "string", "maxLength": PAYMENT_URL_BYTES_MAX, "pattern": r"^https?://[!-~]*\{ticket_id\}[!-~]*$"});

impl PaymentUrl {
    /// A link that a browser may follow to: nothing that it would run.
    pub fn parse(text: &str) -> Result<PaymentUrl, &'static str> {
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
        if !is_web || !is_visible || !text.contains("{ticket_id}") {
            return Err("must be an https:// or http:// link with {ticket_id} in it");
        }
        if text.len() > PAYMENT_URL_BYTES_MAX {
            return Err("must have at most 500 characters");
        }
        Ok(PaymentUrl(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

names!(
    EventStatus { OnSale = "on_sale", Cancelled = "cancelled" }
);

/// What an organizer asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    pub name: EventName,
    pub total_spots: TotalSpots,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Timestamp")]
    pub starts_at: Option<Timestamp>,
    /// When sales open; at once, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Timestamp")]
    pub sales_open_at: Option<Timestamp>,
    /// When sales close; never, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Timestamp")]
    pub sales_close_at: Option<Timestamp>,
    /// How long a spot is held for a buyer who has not confirmed; the server's default, if it is
    /// left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "HoldSeconds")]
    pub hold_seconds: Option<HoldSeconds>,
    /// How long a hold can be made by extending it, from the reservation on; three times
    /// `hold_seconds`, if it is left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "HoldSecondsMax")]
    pub hold_seconds_max: Option<HoldSecondsMax>,
    /// How many spots a ticket can be for; 10, if it is left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "PartyMax")]
    pub party_max: Option<PartyMax>,
    /// How many can be in line; 100,000, if it is left out, and with 0 there is no line.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "WaitingMax")]
    pub waiting_max: Option<WaitingMax>,
    /// Whether anybody can buy without a key.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "bool")]
    pub public_sale: Option<bool>,
    /// Where buyers pay.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "PaymentUrl")]
    pub payment_url: Option<PaymentUrl>,
    // The key of the organizer who asks, if it was one.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub owner_key_id: Option<i64>,
}

impl NewEvent {
    pub fn party_max(&self) -> i64 {
        self.party_max.map_or(PARTY_MAX_DEFAULT, Whole::get)
    }

    pub fn waiting_max(&self) -> i64 {
        self.waiting_max.map_or(WAITING_MAX_DEFAULT, Whole::get)
    }

    pub fn hold_max_ms(&self) -> Option<i64> {
        self.hold_seconds_max.map(|s| s.get() * 1_000)
    }
}

/// An event as clients see it. When it is cancelled nobody holds a ticket any more, so
/// `available_spots` is all of them; `status` says that none is sold.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    #[schemars(range(min = 1))]
    pub id: i64,
    pub name: String,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub total_spots: i64,
    /// Expired holds count as free, unless somebody is in line.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub available_spots: i64,
    /// How many tickets are in line.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub waiting: i64,
    pub status: EventStatus,
    pub starts_at: Option<Timestamp>,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    /// How long a spot is held for a buyer who has not confirmed, rounded up to whole seconds.
    #[schemars(range(min = 1, max = 3_600))]
    pub hold_seconds: i64,
    /// How long a hold can be made by extending it, from the reservation on.
    #[schemars(range(min = 1, max = 86_400))]
    pub hold_seconds_max: i64,
    /// How many spots a ticket can be for.
    #[schemars(range(min = 1, max = 100))]
    pub party_max: i64,
    /// How many tickets can be in line.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub waiting_max: i64,
    /// Whether anybody can buy without a key.
    pub public_sale: bool,
    /// Where buyers pay: `{ticket_id}` stands for the ticket's id.
    pub payment_url: Option<String>,
    pub created_at: Timestamp,
    #[serde(skip)]
    pub hold_ms: i64,
    /// None: three times `hold_ms`.
    #[serde(skip)]
    pub hold_max_ms: Option<i64>,
}

/// What an organizer changes; None stays as it is. Of the optional times, `Some(None)` takes one away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventChange {
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EventName")]
    pub name: Option<EventName>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TotalSpots")]
    pub total_spots: Option<TotalSpots>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub starts_at: Option<Option<Timestamp>>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub sales_open_at: Option<Option<Timestamp>>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub sales_close_at: Option<Option<Timestamp>>,
    /// For holds that begin from now on.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HoldSeconds")]
    pub hold_seconds: Option<HoldSeconds>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HoldSecondsMax")]
    pub hold_seconds_max: Option<HoldSecondsMax>,
    /// For tickets that are sold from now on.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartyMax")]
    pub party_max: Option<PartyMax>,
    /// For those who join from now on.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WaitingMax")]
    pub waiting_max: Option<WaitingMax>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub public_sale: Option<bool>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PaymentUrl>")]
    pub payment_url: Option<Option<PaymentUrl>>,
}

/// The longest that a hold can be made.
pub fn hold_max_ms(hold_ms: i64, hold_max_ms: Option<i64>) -> i64 {
    hold_max_ms.unwrap_or(HOLDS_MAX_DEFAULT * hold_ms)
}

/// As people are told.
pub fn seconds(ms: i64) -> i64 {
    (ms + 999) / 1_000
}

impl EventChange {
    /// The event as it will be.
    pub fn applied_to(&self, event: &Event) -> Event {
        let total_spots = self.total_spots.map_or(event.total_spots, Whole::get);
        let hold_ms = self.hold_seconds.map_or(event.hold_ms, |s| s.get() * 1_000);
        let max_ms = self.hold_seconds_max.map(|s| s.get() * 1_000);
        let max_ms = max_ms.or(event.hold_max_ms);
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
            hold_seconds: seconds(hold_ms),
            hold_seconds_max: seconds(hold_max_ms(hold_ms, max_ms)),
            party_max: self.party_max.map_or(event.party_max, Whole::get),
            waiting_max: self.waiting_max.map_or(event.waiting_max, Whole::get),
            public_sale: self.public_sale.unwrap_or(event.public_sale),
            payment_url: match &self.payment_url {
                Some(url) => url.as_ref().map(|url| url.as_str().to_owned()),
                None => event.payment_url.clone(),
            },
            hold_ms,
            hold_max_ms: max_ms,
            ..*event
        }
    }
}

/// Whether tickets can be had at some time: what is open must close later.
pub fn is_sales_window(open: Option<Timestamp>, close: Option<Timestamp>) -> bool {
    open.zip(close).is_none_or(|(open, close)| open < close)
}

/// Whether sales, and offers to the line, are made at a moment.
pub fn is_sales_open(open: Option<i64>, close: Option<i64>, at: i64) -> bool {
    open.is_none_or(|open| open <= at) && close.is_none_or(|close| at < close)
}

/// How far a sale has come. `available_spots` counts expired holds as free.
#[derive(Clone, Debug)]
pub struct Spots {
    pub event_id: i64,
    pub total_spots: i64,
    pub available_spots: i64,
    pub waiting: i64,
}

/// All that decides whether an address gets spots of an event.
#[derive(Clone, Debug)]
pub struct Sale {
    pub status: EventStatus,
    pub available_spots: i64,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    pub hold_ms: i64,
    pub party_max: i64,
    pub waiting_max: i64,
    /// The live ticket that the address has already, or a hold that has expired.
    pub own: Option<OwnTicket>,
    /// If fewer than `party_max` spots are free, or there is a line: when the event's first hold ends or has ended.
    pub next_expiry: Option<Timestamp>,
}
