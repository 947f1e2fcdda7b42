//! What can be wrong, each with a name that stays.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many violations are kept; the others are counted.
const KEPT_MAX: usize = 100;

/// What a violation violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A table, index or trigger is missing, altered or foreign.
    Schema,
    /// SQLite's `integrity_check`: pages, indexes, types, CHECKs.
    Integrity,
    /// SQLite's `foreign_key_check`.
    ForeignKeys,
    /// Something could not be read.
    Unreadable,
    /// An event's ledger rows are numbered from 1 without a gap.
    LedgerGap,
    /// A ledger row is of a known kind, and about a ticket if its kind is.
    LedgerKind,
    /// A ledger row changes the free spots by what its kind says.
    LedgerSpots,
    /// An event's first row puts it on sale, and no other does.
    EventStart,
    /// After every row, 0 <= free spots <= capacity, and the free spots are those that the row tells.
    RunningSum,
    /// A ticket's rows follow the state machine, each in time.
    Transition,
    /// An event's `available_spots` is the sum of its rows, and `changes` their number.
    EventBalance,
    /// An event's `total_spots` is the capacity that its rows give it.
    EventCapacity,
    /// An event's `status` is the one that its rows give it.
    EventStatus,
    /// Every row's event or ticket exists, and every event and ticket has rows.
    Missing,
    /// A ticket's event, status and reason are those that its rows give it.
    TicketState,
    /// A ticket's times are those of its rows.
    TicketTimes,
    /// After every row that is followed by no offer, nobody in line fits into what is free while sales
    /// are open; every offer went to the first in line who fitted; the line is counted right.
    Line,
    /// At no moment were two tickets of one event live for one address, nor two of one id.
    LiveTwice,
    /// A key stands once, and no ticket was sold under two.
    KeyTwice,
    /// A key's ticket or event exists.
    KeyWithoutTicket,
}

impl Check {
    /// The check that a statement's column is named after.
    pub(super) fn named(name: &str) -> Check {
        let name = serde_json::Value::from(name);
        serde_json::from_value(name).unwrap_or(Check::Unreadable)
    }
}

/// One thing that is wrong. The sentence holds no address, key or ticket id: tickets are named by
/// their `seq`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Violation {
    pub check: Check,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self.check).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        write!(f, "{name}: {}", self.what)
    }
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub total: u64,
    pub first: Vec<Violation>,
}

impl Findings {
    pub fn add(&mut self, check: Check, what: impl fmt::Display) {
        self.total += 1;
        if self.first.len() < KEPT_MAX {
            let what = what.to_string();
            self.first.push(Violation { check, what });
        }
    }

    pub fn and(mut self, later: Findings) -> Findings {
        self.total += later.total;
        self.first.extend(later.first);
        self.first.truncate(KEPT_MAX);
        self
    }
}
