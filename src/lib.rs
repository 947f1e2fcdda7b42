//! lastseat sells the last seat exactly once.
//!
//! One binary, one SQLite file, a fixed pool of OS threads. Imports point down only:
//!
//! ```text
//! main        command line -> run; exit codes
//! command     what can be typed, one file a command
//! config      flags and variables -> one validated Config
//! keeper      holds the listening socket, starts the server process again should it die
//! server      starts and stops the parts
//! reaper      sweeps expired holds, checkpoints the WAL
//! http        the only place that knows tiny_http
//! verify      proves from the ledger that a file never oversold
//! box_office  what the product does: look, decide, act, in one transaction
//! store       the statements, group commit; store/sqlite is the only place that knows rusqlite
//! model error clock hooks logging metrics process signals     the ground floor
//! ```
//!
//! A request's way:
//!
//! ```text
//! client -> tiny_http connection thread -> queue -> worker
//!    http: refuse what is malformed, rate limit, route, role, parse into model types
//!      read  -> box_office on the worker's own connection (a WAL snapshot)  -> answer
//!      write -> job in the commit queue; whoever holds the baton commits it, on disk -> answer
//!      whole list -> pieces, made and sent one by one on a thread of its own (stream.rs)
//! ```
//!
//! What holds at every moment, and where it is made so:
//!
//! - `0 <= available_spots <= total_spots`: the conditional `UPDATE` and a `CHECK`.
//! - One live ticket for an event and an address: a partial unique index.
//! - `reserved -> confirmed | cancelled`, `confirmed -> cancelled`, nothing else: triggers.
//! - A ticket lets its holder in once: the conditional `UPDATE` and a trigger.
//! - The ledger's rows of an event sum up to its `available_spots`: written together.
//! - What is answered is on disk: answers are written after `COMMIT`, which waits for the disk.

pub mod api;
pub mod box_office;
pub mod clock;
pub mod command;
pub mod config;
pub mod error;
pub mod hooks;
pub mod keeper;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod model;
pub mod process;
pub mod reaper;
pub mod server;
pub mod signals;
pub mod store;
pub mod transport;
pub mod verify;
pub mod worker;
