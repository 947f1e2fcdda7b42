//! What has happened.

use serde::{Deserialize, Serialize};

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
