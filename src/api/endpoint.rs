//! The endpoints: one table that says what there is, who may use it, what it takes and answers, and
//! what handles it. Routing, authorization and `GET /openapi.json` come from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::auth::{self, Caller};
use super::handlers::{events, index, metrics, service, tickets};
use super::state::Context;
use crate::error::Error;
use crate::message::{Code, Field, Problem, Request, Response};
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
    counters: RouteCounters,
}

/// Whose thing the `{id}` in a path has to be, if an organizer's key asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    Everything,
    OwnEvents,
    TicketsOfOwnEvents,
}

pub struct Endpoint {
    pub method: &'static str,
    /// The role it takes; `admin` always will do. None: anyone.
    pub role: Option<Role>,
    pub summary: &'static str,
    /// The schema of its body, and whether there must be one.
    pub body: Option<(&'static str, bool)>,
    pub status: u16,
    /// The schema of the response's body; None: text.
    pub answer: Option<&'static str>,
    /// Beside those that any endpoint may answer.
    pub problems: &'static [Code],
    handler: Handler,
}

impl Endpoint {
    const fn new(
        method: &'static str,
        role: Option<Role>,
        summary: &'static str,
        handler: Handler,
    ) -> Endpoint {
        Endpoint {
            method,
            role,
            summary,
            body: None,
            status: 200,
            answer: None,
            problems: &[],
            handler,
        }
    }

    const fn takes(mut self, schema: &'static str) -> Endpoint {
        self.body = Some((schema, true));
        self
    }

    const fn may_take(mut self, schema: &'static str) -> Endpoint {
        self.body = Some((schema, false));
        self
    }

    const fn answers(mut self, status: u16, schema: &'static str) -> Endpoint {
        self.status = status;
        self.answer = Some(schema);
        self
    }

    const fn refuses(mut self, problems: &'static [Code]) -> Endpoint {
        self.problems = problems;
        self
    }
}

const fn route(path: &'static str, reach: Reach, endpoints: &'static [Endpoint]) -> Route {
    Route {
        path,
        is_limited: true,
        reach,
        endpoints,
        counters: RouteCounters::at_zero(),
    }
}

/// Whoever asks whether the server lives, or counts what it does, is neither limited nor needs a key.
const fn unlimited(path: &'static str, endpoints: &'static [Endpoint]) -> Route {
    let mut route = route(path, Reach::Everything, endpoints);
    route.is_limited = false;
    route
}

const GET: &str = "GET";
const POST: &str = "POST";
const PATCH: &str = "PATCH";
const ANYONE: Option<Role> = None;
const ORGANIZER: Option<Role> = Some(Role::Organizer);
const USER: Option<Role> = Some(Role::User);

// A line for what an endpoint is, and one for what it takes and answers.
#[rustfmt::skip]
pub static ROUTES: [Route; 15] = {
    use Code::*;
    use Reach::*;
    use Endpoint as E;
    [
        route("/", Everything, &[
            E::new(GET, ANYONE, "What there is, for a person with curl", index::show),
        ]),
        route("/openapi.json", Everything, &[
            E::new(GET, ANYONE, "This document", service::show_openapi).answers(200, "Any"),
        ]),
        route("/events", Everything, &[
            E::new(GET, ANYONE, "List the events, oldest first", events::list)
                .answers(200, "Events").refuses(&[InvalidRequest]),
            E::new(POST, ORGANIZER, "Put an event on sale", events::create)
                .takes("NewEvent").answers(201, "Event"),
        ]),
        route("/events/{id}", OwnEvents, &[
            E::new(GET, ANYONE, "Show an event", events::show)
                .answers(200, "Event").refuses(&[EventNotFound]),
            E::new(PATCH, ORGANIZER, "Change an event on sale", events::change)
                .takes("EventChange").answers(200, "Event")
                .refuses(&[EventNotFound, EventCancelled, CapacityBelowCommitted]),
        ]),
        route("/events/{id}/cancel", OwnEvents, &[
            E::new(POST, ORGANIZER, "Call an event off, and cancel every live ticket with it", events::cancel)
                .may_take("Nothing").answers(200, "Event").refuses(&[EventNotFound]),
        ]),
        route("/events/{id}/tickets", OwnEvents, &[
            E::new(GET, ORGANIZER, "List an event's tickets, oldest first; as CSV if Accept prefers it", tickets::list)
                .answers(200, "Tickets").refuses(&[InvalidRequest, EventNotFound]),
        ]),
        route("/events/{id}/register", OwnEvents, &[
            E::new(POST, USER, "Hold a spot for a buyer", tickets::register)
                .takes("Registration").answers(201, "Ticket")
                .refuses(&[EventNotFound, EventCancelled, SalesNotOpen, SalesClosed, AlreadyRegistered, SoldOut]),
        ]),
        route("/tickets/{id}", TicketsOfOwnEvents, &[
            E::new(GET, USER, "Show a ticket", tickets::show)
                .answers(200, "Ticket").refuses(&[TicketNotFound]),
        ]),
        route("/tickets/{id}/confirm", TicketsOfOwnEvents, &[
            E::new(POST, USER, "Turn a live hold into a confirmed ticket", tickets::confirm)
                .may_take("Holder").answers(200, "Ticket")
                .refuses(&[TicketNotFound, HoldExpired, TicketCancelled, EmailMismatch]),
        ]),
        route("/tickets/{id}/cancel", TicketsOfOwnEvents, &[
            E::new(POST, USER, "Give a ticket back; its spot is on sale at once", tickets::cancel)
                .may_take("Holder").answers(200, "Ticket")
                .refuses(&[TicketNotFound, EmailMismatch, AlreadyCheckedIn]),
        ]),
        route("/tickets/{id}/check-in", TicketsOfOwnEvents, &[
            E::new(POST, ORGANIZER, "Let the holder of a confirmed ticket in, once", tickets::check_in)
                .may_take("Nothing").answers(200, "Ticket")
                .refuses(&[TicketNotFound, NotConfirmed, AlreadyCheckedIn]),
        ]),
        route("/problems/{id}", Everything, &[
            E::new(GET, ANYONE, "Explain a problem", service::show_problem).refuses(&[RouteNotFound]),
        ]),
        unlimited("/healthz", &[
            E::new(GET, ANYONE, "Does the process live?", service::health).answers(200, "Any"),
        ]),
        unlimited("/readyz", &[
            E::new(GET, ANYONE, "Could a commit be made now?", service::ready).answers(200, "Any"),
        ]),
        unlimited("/metrics", &[
            E::new(GET, ANYONE, "Counters and gauges, for Prometheus", metrics::show),
        ]),
    ]
};

/// For what is on no route.
static ELSEWHERE: RouteCounters = RouteCounters::at_zero();

pub fn count(route: Option<&Route>, method: &str, status: u16, took: Duration) {
    match route {
        Some(route) => route.counters.count(route.path, method, status, took),
        None => ELSEWHERE.count("none", method, status, took),
    }
}

pub fn find_route(path: &str) -> Option<&'static Route> {
    let is_match = |route: &&Route| match_path(route.path, path).is_some();
    ROUTES.iter().find(is_match)
}

/// What the log says of a path: never a ticket's id, which is a secret, nor what a client makes up.
pub fn path_for_log<'p>(route: Option<&'static Route>, path: &'p str) -> &'p str {
    if let Some(route) = route {
        let id = match_path(route.path, path).unwrap_or_default();
        let is_number = id.bytes().all(|b| b.is_ascii_digit());
        return if is_number { path } else { route.path };
    }
    let is_below = |path: &str, above: &str| path.strip_prefix(above).is_some();
    let known = ["/events/", "/tickets/", "/problems/"];
    match known.iter().position(|above| is_below(path, above)) {
        Some(0) => "/events/-",
        Some(1) => "/tickets/-",
        Some(_) => "/problems/-",
        None => "-",
    }
}

/// The part of a path that stands in the place of `{id}`, or nothing; None if it is another path.
fn match_path<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// What is to be done about a request whose head was not refused.
///
/// Errors, in this order: `route_not_found`, `method_not_allowed`, `unauthorized`, `forbidden`; then
/// those of the handler. A panic of the handler is an `internal_error`.
pub fn decide(context: &Context, request: &Request) -> Result<Outcome, Problem> {
    let decided = catch_unwind(AssertUnwindSafe(|| {
        let panics = context.state.settings.test_hooks
            && request.head.headers.one("X-Test-Panic") == Field::Once("request");
        assert!(!panics, "asked for by X-Test-Panic");
        dispatch(context, request)
    }));
    decided.unwrap_or_else(|_| Err(Error::Internal("a handler panicked".into()).into()))
}

fn dispatch(context: &Context, request: &Request) -> Result<Outcome, Problem> {
    let route = find_route(request.path())
        .ok_or_else(|| Problem::new(Code::RouteNotFound, "there is nothing at this path"))?;
    let method = match request.head.method {
        "OPTIONS" => {
            let response = Response::no_content().header("Allow", &allow(route));
            return Ok(Outcome::Respond(response));
        }
        "HEAD" => GET,
        method => method,
    };
    let endpoint = route.endpoints.iter().find(|e| e.method == method);
    let Some(endpoint) = endpoint else {
        let allowed = allow(route);
        let detail = format!("allowed here: {allowed}");
        return Err(Problem::new(Code::MethodNotAllowed, detail).header("Allow", allowed));
    };
    let caller = match route.is_limited {
        true => auth::authorize(context, &request.head.headers, endpoint.role)?,
        false => Caller::default(),
    };
    let call = Call {
        request,
        reach: route.reach,
        id: match_path(route.path, request.path()).unwrap_or_default(),
        caller,
    };
    (endpoint.handler)(context, &call)
}

fn allow(route: &Route) -> String {
    let mut methods = Vec::new();
    for endpoint in route.endpoints {
        methods.push(endpoint.method);
        if endpoint.method == GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}
