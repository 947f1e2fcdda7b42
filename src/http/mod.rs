//! The only place that knows tiny_http: from a listening socket to the box office and back.

mod accept;
mod access;
mod answer;
mod body;
mod client;
mod dispose;
mod exchange;
mod handlers;
mod head;
mod intake;
mod lanes;
mod limiter;
mod listening;
mod openapi;
mod page;
mod problem;
mod pulse;
mod routes;
mod schemas;
mod sold_out;
mod stream;
mod turnstile;
mod unix_peers;
mod usher;
mod worker;

pub use access::Auth;
pub use client::Cidr;
pub use intake::{Intake, Settings};
pub use limiter::RateLimit;
pub use listening::{Address, Listening};
pub use stream::STREAMS_MAX;
