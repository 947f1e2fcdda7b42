//! What has happened.

use serde::{Deserialize, Serialize};

names!(
    /// What a ledger row records.
    LedgerKind {
        Created = "created",
        Reserved = "reserved",
        Confirmed = "confirmed",
        Expired = "expired",
    }
);
