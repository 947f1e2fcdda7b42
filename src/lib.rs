//! lastseat sells the last seat exactly once.
//!
//! One binary, one SQLite file (or, with the feature `postgres`, a PostgreSQL database that several
//! servers share), a fixed pool of OS threads. Imports point down only:
//!
//! ```text
//! main        command line -> run; exit codes
//! command     what can be typed, one file a command
//! keeper      holds the listening socket, starts the server process again should it die
//! server      starts the parts in order, stops them in order
//! config      flags and variables -> one validated Config
//! reaper      sweeps expired holds, checkpoints the WAL
//! worker      joins the next two: takes requests, decides on one snapshot, leads commits
//! transport   the only place that knows tiny_http: acceptor, one thread a connection
//! api         what a request means: endpoint table, authorization, rate limit, handlers
//! message     request, response, problem; knows neither side
//! verify      proves from the ledger that a file never oversold
//! relay       tells another program what happens (feature relay)
//! report      pictures a sale from its ledger
//! box_office  what the product does: look, decide, act, in one transaction
//! store       the statements, group commit, over an engine; store/sqlite is the only place that
//!             knows rusqlite, store/postgres the only one that knows libpq
//! model error clock hooks logging metrics process signals     the ground floor
//! ```
//!
//! A sale's way, and nothing comes back up it but the response; in this order it can be read:
//!
//! ```text
//! transport/acceptor    accept -> a thread for the connection
//! transport/connection  look ahead; refuse what the head shows, or have tiny_http read the request
//! worker (Dispatcher)   count it against the rate limit -> channel, and wait for the response
//! worker (Worker)       take what is there, on one snapshot:
//! api/dispatch          route, method, role -> handler: parse into model types
//!    a read             box_office on the worker's own connection           -> response
//!    a write            box_office in the commit queue, store/commit: whoever has the baton runs
//!                       BEGIN IMMEDIATE, all that wait, COMMIT (on disk)    -> response
//! worker (Dispatcher)   count and log it
//! transport/connection  render it, send it whole; next request, or the end
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
#[cfg(feature = "relay")]
pub mod relay;
pub mod report;
pub mod server;
pub mod signals;
pub mod store;
pub mod transport;
pub mod verify;
pub mod worker;
