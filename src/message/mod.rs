//! A request and its response as everything above the socket sees them. Knows neither the socket
//! nor what a request means.

mod accept;
mod address;
mod problem;
mod request;
mod response;

pub use accept::{prefers_language, prefers_text};
pub use address::{ClientAddress, parse_block};
pub use problem::{Code, Problem};
pub use request::{BODY_BYTES_MAX, Field, Head, Headers, Request};
pub use response::{
    Body, CSV, EVENT_STREAM, HTML, JSON, Live, Pieces, Response, SVG, TEXT, reason,
};

/// Whatever answers requests. It is called on the thread of the request's connection, which waits.
pub trait Service: Send + Sync {
    /// Never panics, and answers every request exactly once.
    fn respond(&self, request: Request) -> Response;
}
