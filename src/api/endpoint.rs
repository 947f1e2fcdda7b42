//! What an endpoint is: who may use it, what it takes and answers, and what handles it.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::auth::{Caller, Reach};
use super::state::Context;
use crate::error::Error;
use crate::message::{Code, Problem, Request, Response};
use crate::metrics::RouteCounters;
use crate::model::{Role, Timestamp};
use crate::store::{Scope, Tx};

/// A request as its handler sees it: on its route, allowed, not yet understood.
pub struct Call<'r> {
    pub request: &'r Request,
    pub reach: Reach,
    /// What stands in the place of `{id}`, or nothing.
    pub id: &'r str,
    pub caller: Caller,
    /// All that there are.
    pub routes: &'static [Route],
}

pub enum Outcome {
    Respond(Response),
    /// The response is there once this has been committed.
    Commit(Box<dyn Work>),
}

/// What a transaction does for one request, and the response that comes of it.
pub trait Work: Send {
    /// May be called more than once, see [`crate::store::Job::run`]. `Err` is a failure: what was
    /// written is undone. A refusal is none.
    fn run(&mut self, tx: &Tx, now: Timestamp) -> Result<(), Error>;

    /// What it is about, see [`crate::store::Scope`].
    fn scope(&self) -> Scope<'_>;

    /// After the last run has been committed.
    fn respond(self: Box<Self>) -> Result<Response, Problem>;
}

type Handler = fn(&Context, &Call) -> Result<Outcome, Problem>;

pub struct Route {
    pub path: &'static str,
    /// Whether the rate limit and authorization cover it.
    pub is_limited: bool,
    pub reach: Reach,
    pub endpoints: &'static [Endpoint],
    pub counters: RouteCounters,
}

pub struct Endpoint {
    pub method: &'static str,
    /// Its name in generated clients.
    pub id: &'static str,
    /// The role it takes; `admin` always will do. None: anyone.
    pub role: Option<Role>,
    /// If the event's sale is public, also for whoever shows no role and no key.
    pub or_public: bool,
    pub summary: &'static str,
    /// What its body is, and whether there must be one.
    pub body: Option<(SchemaOf, bool)>,
    pub status: u16,
    /// Whether it may also answer 202 with the same.
    pub or_accepts: bool,
    /// What it answers. None: text.
    pub answer: Option<SchemaOf>,
    /// What kind of text, if it is text.
    pub text: &'static str,
    /// The answer is an array, in pages.
    pub is_list: bool,
    /// The list can be had as CSV, if `Accept` prefers that.
    pub has_csv: bool,
    /// It can be had as a page for people, if `Accept` prefers that, or is nothing else.
    pub has_page: bool,
    /// It can be had as server-sent events without an end, if `Accept` prefers that.
    pub has_stream: bool,
    /// The answer may be kept, with an `ETag` to ask whether it still holds.
    pub is_cached: bool,
    /// Beside those that any endpoint may answer.
    pub problems: &'static [Code],
    pub handler: Handler,
}

/// Tells of a type, for `GET /openapi.json`.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Endpoint {
    pub const fn new(
        method: &'static str,
        id: &'static str,
        role: Option<Role>,
        summary: &'static str,
        handler: Handler,
    ) -> Endpoint {
        Endpoint {
            method,
            id,
            role,
            or_public: false,
            summary,
            body: None,
            status: 200,
            or_accepts: false,
            answer: None,
            text: "text/plain",
            is_list: false,
            has_csv: false,
            has_page: false,
            has_stream: false,
            is_cached: false,
            problems: &[],
            handler,
        }
    }

    pub const fn or_public(mut self) -> Endpoint {
        self.or_public = true;
        self
    }

    pub const fn or_accepts(mut self) -> Endpoint {
        self.or_accepts = true;
        self
    }

    pub const fn takes<T: JsonSchema>(mut self) -> Endpoint {
        self.body = Some((SchemaGenerator::subschema_for::<T>, true));
        self
    }

    pub const fn may_take<T: JsonSchema>(mut self) -> Endpoint {
        self.body = Some((SchemaGenerator::subschema_for::<T>, false));
        self
    }

    pub const fn answers<T: JsonSchema>(mut self, status: u16) -> Endpoint {
        self.status = status;
        self.answer = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    pub const fn answers_text(mut self, media_type: &'static str) -> Endpoint {
        self.text = media_type;
        self
    }

    pub const fn lists<T: JsonSchema>(mut self) -> Endpoint {
        self.is_list = true;
        self.answers::<Vec<T>>(200)
    }

    pub const fn or_csv(mut self) -> Endpoint {
        self.has_csv = true;
        self
    }

    pub const fn or_page(mut self) -> Endpoint {
        self.has_page = true;
        self.cached()
    }

    pub const fn or_stream(mut self) -> Endpoint {
        self.has_stream = true;
        self
    }

    pub const fn cached(mut self) -> Endpoint {
        self.is_cached = true;
        self
    }

    pub const fn refuses(mut self, problems: &'static [Code]) -> Endpoint {
        self.problems = problems;
        self
    }
}

pub const fn route(path: &'static str, reach: Reach, endpoints: &'static [Endpoint]) -> Route {
    Route {
        path,
        is_limited: true,
        reach,
        endpoints,
        counters: RouteCounters::at_zero(),
    }
}

/// Whoever asks whether the server lives, or counts what it does, is neither limited nor needs a key.
pub const fn unlimited(path: &'static str, endpoints: &'static [Endpoint]) -> Route {
    let mut route = route(path, Reach::Everything, endpoints);
    route.is_limited = false;
    route
}
