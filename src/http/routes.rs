//! The routes: one table that says what there is, who may use it, and what handles it.

use std::time::Duration;

use super::access::{self, Caller};
use super::answer::Answer;
use super::handlers::{events, index, metrics, service, tickets};
use super::head::Head;
use super::problem::{Code, Problem};
use super::stream::Pieces;
use super::worker::{Context, Work};
use crate::metrics::RouteCounters;
use crate::model::Role;

/// A request as its handler sees it: on its route, allowed, not yet understood.
pub struct Call<'r> {
    pub head: &'r Head<'r>,
    /// What stands in the place of `{id}`, or nothing.
    pub id: &'r str,
    pub query: &'r str,
    pub body: &'r [u8],
    pub caller: Caller,
}

pub enum Outcome {
    /// It is answered now.
    Answer(Answer),
    /// It is answered once this has been committed.
    Commit(Work),
    /// It is answered with a body that is made while it is sent.
    Stream(Answer, Pieces),
}

type Handler = fn(&Context, &Call) -> Result<Outcome, Problem>;

pub struct Route {
    pub path: &'static str,
    /// Whether the rate limit covers it.
    pub limited: bool,
    pub endpoints: &'static [Endpoint],
    pub counters: RouteCounters,
}

pub struct Endpoint {
    pub method: &'static str,
    /// The role it takes; `admin` always will do. None: anyone.
    pub role: Option<Role>,
    pub handler: Handler,
}

const fn get(role: Option<Role>, handler: Handler) -> Endpoint {
    Endpoint {
        method: GET,
        role,
        handler,
    }
}

const fn patch(role: Role, handler: Handler) -> Endpoint {
    Endpoint {
        method: "PATCH",
        role: Some(role),
        handler,
    }
}

const fn post(role: Role, handler: Handler) -> Endpoint {
    Endpoint {
        method: POST,
        role: Some(role),
        handler,
    }
}

const fn route(path: &'static str, endpoints: &'static [Endpoint]) -> Route {
    Route {
        path,
        limited: true,
        endpoints,
        counters: RouteCounters::at_zero(),
    }
}

const GET: &str = "GET";
const POST: &str = "POST";
const ORGANIZER: Role = Role::Organizer;
const USER: Role = Role::User;

pub static ROUTES: [Route; 15] = [
    route("/", &[get(None, index::show)]),
    route("/openapi.json", &[get(None, service::show_openapi)]),
    route(
        "/events",
        &[get(None, events::list), post(ORGANIZER, events::create)],
    ),
    route(
        "/events/{id}",
        &[get(None, events::show), patch(ORGANIZER, events::change)],
    ),
    route("/events/{id}/cancel", &[post(ORGANIZER, events::cancel)]),
    route(
        "/events/{id}/tickets",
        &[get(Some(ORGANIZER), tickets::list)],
    ),
    route("/events/{id}/register", &[post(USER, tickets::register)]),
    route("/tickets/{id}", &[get(Some(USER), tickets::show)]),
    route("/tickets/{id}/confirm", &[post(USER, tickets::confirm)]),
    route("/tickets/{id}/cancel", &[post(USER, tickets::cancel)]),
    route(
        "/tickets/{id}/check-in",
        &[post(ORGANIZER, tickets::check_in)],
    ),
    route("/problems/{id}", &[get(None, service::show_problem)]),
    Route {
        path: "/healthz",
        limited: false,
        endpoints: &[get(None, service::health)],
        counters: RouteCounters::at_zero(),
    },
    Route {
        path: "/readyz",
        limited: false,
        endpoints: &[get(None, service::ready)],
        counters: RouteCounters::at_zero(),
    },
    Route {
        path: "/metrics",
        limited: false,
        endpoints: &[get(None, metrics::show)],
        counters: RouteCounters::at_zero(),
    },
];

/// For what is on no route.
static ELSEWHERE: RouteCounters = RouteCounters::at_zero();

pub fn count(route: Option<&Route>, method: &str, status: u16, took: Duration) {
    match route {
        Some(route) => route.counters.count(route.path, method, status, took),
        None => ELSEWHERE.count("none", method, status, took),
    }
}

/// The route of a path, and what its `{id}` is.
pub fn find(path: &str) -> Option<(&'static Route, &str)> {
    ROUTES
        .iter()
        .find_map(|route| Some((route, match_path(route.path, path)?)))
}

fn match_path<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// Errors: `method_not_allowed`, `unauthorized`, `forbidden`; then those of the handler; then 404
/// for what is out of the caller's reach.
pub fn dispatch(
    route: &Route,
    method: &str,
    context: &Context,
    mut call: Call,
) -> Result<Outcome, Problem> {
    if method == "OPTIONS" {
        return Ok(Outcome::Answer(
            Answer::no_content().header("Allow", allow(route)),
        ));
    }
    let method = if method == "HEAD" { GET } else { method };
    let endpoint = route
        .endpoints
        .iter()
        .find(|e| e.method == method)
        .ok_or_else(|| {
            Problem::new(
                Code::MethodNotAllowed,
                format!("allowed here: {}", allow(route)),
            )
            .header("Allow", allow(route))
        })?;
    // Whoever asks whether the server lives or counts what it does needs no key for it.
    if route.limited {
        call.caller = access::authorize(context, call.head, endpoint.role)?;
    }
    let outcome = (endpoint.handler)(context, &call)?;
    // A write has not begun yet.
    access::check_reach(context, call.caller, route.path, call.id)?;
    Ok(outcome)
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
