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
        // A ticket was sold as a hold: -1.
        Reserved = "reserved",
        // The hold became a confirmed ticket: 0.
        Confirmed = "confirmed",
        // The hold ended by itself: +1.
        Expired = "expired",
        // A hold or a confirmed ticket was cancelled, by its holder or with its event: +1.
        Cancelled = "cancelled",
        // The confirmed ticket's holder came in: 0.
        CheckedIn = "checked_in",
        // The event was cancelled, after all of its live tickets: 0. The last row of an event.
        EventCancelled = "event_cancelled",
    }
);
