//! What a request means: which endpoint it is for, who may use that, what it asks of the box office.
//! Knows neither the socket nor the threads.

mod auth;
mod body;
mod caching;
mod cors;
mod dispatch;
mod endpoint;
mod handlers;
mod looking;
mod openapi;
mod pages;
mod pagination;
mod rate_limit;
mod routes;
mod sold_out;
mod state;
mod watch;

pub use auth::admit;
pub use cors::{AllowedOrigin, Cors, origin};
pub use dispatch::{complete, decide};
pub use endpoint::{Outcome, Route, Work};
pub use looking::start_looking;
pub use rate_limit::{Limiter, RateLimit, Standing};
pub use routes::{count, locate, path_for_log};
pub use state::{Auth, Context, Settings, State};
pub use watch::Watch;
