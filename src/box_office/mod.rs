//! What the product does: one function a use case. Each looks, decides, then acts, inside the
//! transaction it is given, with the one time of that transaction.
//!
//! Everything is decided before anything is written, because refusals are committed along with
//! the rest of their batch. The only thing written before a refusal is the release of an expired
//! hold, which is right whatever follows.

mod changes;
mod events;
mod holds;
mod keys;
mod ledger;
mod line;
mod once;
mod register;
mod tickets;

pub use changes::{last_change, list_changes};
pub use events::{
    cancel_event, change_event, create_event, list_events, newest_events, show_event,
};
pub use holds::{events_with_expired_holds, release_expired_holds};
pub use keys::{
    add_key, find_key_holder, is_key_live, is_public_event, is_public_ticket, list_keys,
    owns_event, owns_ticket, revoke_key,
};
pub use line::events_with_line_due;
pub use once::{Done, Replay};
pub use register::{check_can_register, register};
pub use tickets::{
    TicketFilter, TicketRequest, cancel_ticket, check_in, confirm, extend, find_by_door_code,
    list_tickets, show_door_code, show_ticket,
};

use crate::error::Error;
pub use crate::store::About;
use crate::store::Tx;

/// Proves that a commit can be made, by making one.
pub fn prove_ready(tx: &Tx) -> Result<(), Error> {
    tx.readiness_touch()
}
