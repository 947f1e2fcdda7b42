//! What has happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TicketId, Timestamp};

names!(
    /// What a ledger row records, and what it does to the event's available spots.
    ///
    /// The sum of `created` and `changed` up to a row is the event's capacity at that moment; the
    /// sum of all rows up to it is what was available then.
    LedgerKind {
        // An event was put on sale: all of its spots. The first row of an event.
        Created = "created",
        // The organizer changed the event: by how many spots its capacity grew or shrank, or 0.
        Changed = "changed",
        // A ticket was sold as a hold: minus its spots.
        Reserved = "reserved",
        // A ticket joined the line: 0.
        Waiting = "waiting",
        // The first in line who fitted got a hold: minus its spots.
        Offered = "offered",
        // The hold became a confirmed ticket: 0.
        Confirmed = "confirmed",
        // The hold was given more time: 0.
        Extended = "extended",
        // The hold ended by itself: its spots.
        Expired = "expired",
        // Part of a hold or of a confirmed ticket was given back: those spots; 0 in line.
        Reduced = "reduced",
        // A hold or a confirmed ticket was cancelled, by its holder or with its event: its
        // spots; 0 in line.
        Cancelled = "cancelled",
        // Of a confirmed ticket's party some came in: 0.
        CheckedIn = "checked_in",
        // The event was cancelled, after all of its live tickets: 0. The last row of an event.
        EventCancelled = "event_cancelled",
    }
);

/// A row of an event's ledger as clients see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Change {
    /// From 1 in each event, without gaps.
    #[schemars(range(min = 1))]
    pub n: i64,
    pub at: Timestamp,
    pub kind: LedgerKind,
    /// Whose; null for a change of the event itself.
    pub ticket_id: Option<TicketId>,
    /// How many spots it adds to those that are available.
    pub spots: i64,
    /// How many there are after it.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub available_spots: i64,
    /// How many entries stand in line after it.
    #[schemars(range(min = 0))]
    pub waiting: i64,
}
