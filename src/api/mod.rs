//! What a request means: which endpoint it is for, who may use that, what it asks of the box office.
//! Knows neither the socket nor the threads.

mod auth;
mod body;
mod endpoint;
mod handlers;
mod openapi;
mod pagination;
mod rate_limit;
mod schemas;
mod sold_out;
mod state;

pub use auth::Auth;
pub use endpoint::{Outcome, Route, Work, count, decide, find_route, path_for_log};
pub use rate_limit::{Limiter, RateLimit, Standing};
pub use state::{Context, Settings, State};
