//! Everything that can be answered instead of a success, below HTTP.
//!
//! A *refusal* is a decision: the rules say no, and what the transaction did until then (at most
//! releasing expired holds) stays. A *failure* is not: its work is undone (but see `Unfinished`).

use crate::model::{TicketStatus, Timestamp};

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("there is no such event")]
    EventNotFound,
    /// Of a change, seen together with what it leaves as it is.
    #[error("sales_close_at must be after sales_open_at")]
    SalesWindowInvalid,
    #[error("there is no such ticket")]
    TicketNotFound,
    #[error("the idempotency key was used for something else")]
    IdempotencyKeyReused,
    #[error("the event is not as If-Match has it any more")]
    PreconditionFailed,
    #[error("the event is cancelled")]
    EventCancelled,
    #[error("sales open at {opens_at}")]
    SalesNotOpen { opens_at: Timestamp },
    #[error("sales closed at {closed_at}")]
    SalesClosed { closed_at: Timestamp },
    #[error("the address already holds a ticket for this event")]
    AlreadyRegistered,
    /// More than the event's `party_max`.
    #[error("spots must be at most {party_max} for this event")]
    PartyTooLarge { party_max: i64 },
    /// Too few spots for what was asked. `next_expiry`: when the next hold may free some, if there
    /// is one.
    #[error("sold out")]
    SoldOut {
        available_spots: i64,
        waiting: i64,
        next_expiry: Option<Timestamp>,
    },
    #[error("{waiting} are in line, which is as many as may be")]
    LineFull { waiting: i64 },
    #[error("the ticket is in line, and no spot is held for it yet")]
    TicketWaiting,
    /// `minimum`: the spots of live tickets.
    #[error("{minimum} spots are taken, so there cannot be fewer")]
    CapacityBelowCommitted { minimum: i64 },
    #[error("the hold expired at {expired_at}")]
    HoldExpired { expired_at: Timestamp },
    #[error("the ticket is cancelled")]
    TicketCancelled,
    #[error("the ticket belongs to another address")]
    EmailMismatch,
    #[error("the ticket is {}, not confirmed", status.as_str())]
    NotConfirmed { status: TicketStatus },
    /// `checked_in_at`: when the first of them came in, if any has.
    #[error("{checked_in_spots} of the ticket's {spots} spots have been used to come in")]
    AlreadyCheckedIn {
        checked_in_at: Option<Timestamp>,
        spots: i64,
        checked_in_spots: i64,
    },
    /// Of a ticket that is to become smaller.
    #[error("spots must be fewer than the ticket's {spots}; leave it out to give back all")]
    PartNotSmaller { spots: i64 },
    #[error("the ticket was confirmed before")]
    AlreadyConfirmed { payment_ref: Option<String> },
    #[error("the hold has been extended as far as it may be, until {expires_at}")]
    ExtensionRefused { expires_at: Timestamp },
    /// The commit queue is full, or the job has waited there for too long. Nothing was done.
    #[error("the commit queue is full or slow")]
    Overloaded,
    /// Disk full, file locked by another program, damaged or changed by hand. The text is for the log.
    #[error("storage: {0}")]
    StorageUnavailable(String),
    /// An I/O error. After one from COMMIT or a checkpoint this process may not go on with the file.
    #[error("disk: {0}")]
    DiskFailed(String),
    /// Another server was at the same thing at the same time; the batch is run again.
    #[error("another server came between: {0}")]
    Conflict(String),
    /// The connection was lost in COMMIT, and nobody could be asked in time whether it was made.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// Part of it is done and committed, so that nobody waits for all of it: the commit queue runs
    /// the job again in another transaction. No client ever gets it.
    #[error("to be gone on with")]
    Unfinished,
    #[error("the server is stopping")]
    ShuttingDown,
    /// A bug. The text is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// Whether this is no decision by the rules, but says that there is none.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Error::StorageUnavailable(_)
                | Error::DiskFailed(_)
                | Error::Conflict(_)
                | Error::OutcomeUnknown(_)
                | Error::Unfinished
                | Error::Internal(_)
        )
    }
}
