//! Plain types of the field. Parsing is validation: whoever holds an [`Email`] holds a good one.
//!
//! [`Event`] and [`Ticket`] serialise to the shape that clients see.

/// A set of names in the database and on the wire, one for each variant.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

#[macro_use]
mod input;

mod access;
mod door;
mod email;
mod event;
mod key;
mod ledger;
mod ticket;
mod time;

pub use access::{ApiKey, KeyDigest, KeyHolder, KeyName, KeyRecord, Role};
pub use door::DoorCode;
pub use email::Email;
pub use event::{
    Event, EventChange, EventName, EventStatus, NewEvent, PaymentUrl, Sale, Spots, hold_max_ms,
    is_sales_open, is_sales_window, seconds,
};
pub use input::{Whole, given};
pub use key::IdempotencyKey;
pub use ledger::{Change, LedgerKind};
pub use ticket::{
    CancelReason, OwnTicket, PartySpots, PaymentRef, Registration, Ticket, TicketId, TicketRecord,
    TicketStatus, status_at,
};
pub use time::Timestamp;
