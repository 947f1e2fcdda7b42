//! The endpoints: one table that says what there is, who may use it, what it takes and answers, and
//! what handles it. Routing, authorization and `GET /openapi.json` come from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::auth::{self, Auth, Caller};
use super::body::ACCEPT_PATCH;
use super::cors::Cors;
use super::handlers::service::{Health, Readiness};
use super::handlers::tickets::{Buyer, Guests, Holder, Payer, Returner};
use super::handlers::{Nothing, changes, events, index, metrics, pages, service, tickets};
use super::state::{Context, Settings};
use crate::error::Error;
use crate::message::{Code, Field, Problem, Request, Response};
use crate::metrics::RouteCounters;
use crate::model::{Change, Event, EventChange, NewEvent, Role, Ticket, Timestamp};
use crate::store::{Scope, Tx};
use crate::verify::EventReport;

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
    handler: Handler,
}

/// Tells of a type, for `GET /openapi.json`.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Endpoint {
    const fn new(
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

    const fn or_public(mut self) -> Endpoint {
        self.or_public = true;
        self
    }

    const fn or_accepts(mut self) -> Endpoint {
        self.or_accepts = true;
        self
    }

    const fn takes<T: JsonSchema>(mut self) -> Endpoint {
        self.body = Some((SchemaGenerator::subschema_for::<T>, true));
        self
    }

    const fn may_take<T: JsonSchema>(mut self) -> Endpoint {
        self.body = Some((SchemaGenerator::subschema_for::<T>, false));
        self
    }

    const fn answers<T: JsonSchema>(mut self, status: u16) -> Endpoint {
        self.status = status;
        self.answer = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    const fn answers_text(mut self, media_type: &'static str) -> Endpoint {
        self.text = media_type;
        self
    }

    const fn lists<T: JsonSchema>(mut self) -> Endpoint {
        self.is_list = true;
        self.answers::<Vec<T>>(200)
    }

    const fn or_csv(mut self) -> Endpoint {
        self.has_csv = true;
        self
    }

    const fn or_page(mut self) -> Endpoint {
        self.has_page = true;
        self.cached()
    }

    const fn or_stream(mut self) -> Endpoint {
        self.has_stream = true;
        self
    }

    const fn cached(mut self) -> Endpoint {
        self.is_cached = true;
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

type Object = serde_json::Map<String, serde_json::Value>;

const GET: &str = "GET";
const POST: &str = "POST";
const PATCH: &str = "PATCH";
const ANYONE: Option<Role> = None;
const ORGANIZER: Option<Role> = Some(Role::Organizer);
const USER: Option<Role> = Some(Role::User);

// A line for what an endpoint is, and one for what it takes and answers.
#[rustfmt::skip]
pub static ROUTES: [Route; 21] = {
    use Code::*;
    use Reach::*;
    use Endpoint as E;
    [
        route("/", Everything, &[
            E::new(GET, "showIndex", ANYONE, "What there is, for a person with curl", index::show),
        ]),
        route("/openapi.json", Everything, &[
            E::new(GET, "getOpenApi", ANYONE, "This document", service::show_openapi)
                .answers::<Object>(200).cached(),
        ]),
        route("/events", Everything, &[
            E::new(GET, "listEvents", ANYONE, "List the events, oldest first", events::list)
                .lists::<Event>().cached().refuses(&[InvalidRequest]),
            E::new(POST, "createEvent", ORGANIZER, "Put an event on sale", events::create)
                .takes::<NewEvent>().answers::<Event>(201),
        ]),
        route("/events/{id}", OwnEvents, &[
            E::new(GET, "getEvent", ANYONE, "Show an event; as the buyer's page, if Accept prefers HTML, or as it changes, if it prefers a stream", events::show)
                .answers::<Event>(200).or_stream().or_page().refuses(&[EventNotFound, StreamsFull]),
            E::new(PATCH, "changeEvent", ORGANIZER, "Change an event on sale", events::change)
                .takes::<EventChange>().answers::<Event>(200)
                .refuses(&[EventNotFound, PreconditionFailed, EventCancelled, CapacityBelowCommitted]),
        ]),
        route("/events/{id}/cancel", OwnEvents, &[
            E::new(POST, "cancelEvent", ORGANIZER, "Call an event off, and cancel every live ticket with it", events::cancel)
                .may_take::<Nothing>().answers::<Event>(200).refuses(&[EventNotFound]),
        ]),
        route("/events/{id}/verify", OwnEvents, &[
            E::new(GET, "verifyEvent", ORGANIZER, "Prove from an event's ledger that it never oversold", events::verify)
                .answers::<EventReport>(200).refuses(&[EventNotFound]),
        ]),
        route("/events/{id}/changes", OwnEvents, &[
            E::new(GET, "listChanges", ORGANIZER, "List what happened to an event, in order; as it happens, if wait is given or Accept prefers a stream", changes::list)
                .lists::<Change>().or_stream().refuses(&[InvalidRequest, EventNotFound, StreamsFull]),
        ]),
        route("/events/{id}/tickets", OwnEvents, &[
            E::new(GET, "listTickets", ORGANIZER, "List an event's tickets, oldest first; as CSV if Accept prefers it", tickets::list)
                .lists::<Ticket>().or_csv().refuses(&[InvalidRequest, EventNotFound]),
        ]),
        route("/events/{id}/register", OwnEvents, &[
            E::new(POST, "registerForEvent", USER, "Hold spots for a buyer and those who come along, or a place in line", tickets::register)
                .or_public().or_accepts().takes::<Buyer>().answers::<Ticket>(201)
                .refuses(&[EventNotFound, EventCancelled, SalesNotOpen, SalesClosed, AlreadyRegistered, SoldOut, LineFull]),
        ]),
        route("/tickets/{id}", TicketsOfOwnEvents, &[
            E::new(GET, "getTicket", USER, "Show a ticket", tickets::show)
                .or_public().answers::<Ticket>(200).refuses(&[TicketNotFound]),
        ]),
        route("/tickets/{id}/confirm", TicketsOfOwnEvents, &[
            E::new(POST, "confirmTicket", USER, "Turn a live hold into a confirmed ticket", tickets::confirm)
                .or_public().may_take::<Payer>().answers::<Ticket>(200)
                .refuses(&[TicketNotFound, HoldExpired, TicketCancelled, EmailMismatch, AlreadyConfirmed, TicketWaiting]),
        ]),
        route("/tickets/{id}/extend", TicketsOfOwnEvents, &[
            E::new(POST, "extendTicket", USER, "Give a live hold a whole hold from now on, as far as hold_seconds_max lets it", tickets::extend)
                .or_public().may_take::<Holder>().answers::<Ticket>(200)
                .refuses(&[TicketNotFound, HoldExpired, TicketCancelled, EmailMismatch, AlreadyConfirmed, TicketWaiting, ExtensionRefused]),
        ]),
        route("/tickets/{id}/cancel", TicketsOfOwnEvents, &[
            E::new(POST, "cancelTicket", USER, "Give a ticket or a part of it back; the spots are on sale at once", tickets::cancel)
                .or_public().may_take::<Returner>().answers::<Ticket>(200)
                .refuses(&[TicketNotFound, EmailMismatch, AlreadyCheckedIn]),
        ]),
        route("/tickets/{id}/check-in", TicketsOfOwnEvents, &[
            E::new(POST, "checkInTicket", ORGANIZER, "Let the party of a confirmed ticket in, or some of it, each once", tickets::check_in)
                .may_take::<Guests>().answers::<Ticket>(200)
                .refuses(&[TicketNotFound, NotConfirmed, AlreadyCheckedIn]),
        ]),
        route("/tickets/{id}/qr.svg", TicketsOfOwnEvents, &[
            E::new(GET, "getTicketQr", USER, "Show a confirmed ticket's door code as a QR code: it lets in, and does nothing else", tickets::show_qr)
                .or_public().answers_text("image/svg+xml").refuses(&[TicketNotFound, NotConfirmed]),
        ]),
        route("/organizer", Everything, &[
            E::new(GET, "showOrganizerPage", ANYONE, "The organizer's page, for a browser", pages::show_organizer)
                .answers_text("text/html").or_page(),
        ]),
        route("/door", Everything, &[
            E::new(GET, "showDoorPage", ANYONE, "The page of those at the door, for a browser", pages::show_door)
                .answers_text("text/html").or_page(),
        ]),
        route("/problems/{id}", Everything, &[
            E::new(GET, "explainProblem", ANYONE, "Explain a problem", service::show_problem).refuses(&[RouteNotFound]),
        ]),
        unlimited("/healthz", &[
            E::new(GET, "getHealth", ANYONE, "Does the process live?", service::health).answers::<Health>(200),
        ]),
        unlimited("/readyz", &[
            E::new(GET, "getReadiness", ANYONE, "Could a commit be made now?", service::ready).answers::<Readiness>(200),
        ]),
        unlimited("/metrics", &[
            E::new(GET, "getMetrics", ANYONE, "Counters and gauges, for Prometheus", metrics::show),
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

/// The route that a path leads to, and the path as the server itself has it: without `base_path`, in
/// front of which a proxy may have left it or not.
pub fn locate<'p>(path: &'p str, base_path: &str) -> (Option<&'static Route>, &'p str) {
    if let Some(rest) = path
        .strip_prefix(base_path)
        .filter(|_| !base_path.is_empty())
    {
        let inner = if rest.is_empty() { "/" } else { rest };
        if let Some(route) = find_route(inner) {
            return (Some(route), inner);
        }
    }
    (find_route(path), path)
}

fn find_route(path: &str) -> Option<&'static Route> {
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

/// Adds to any response what caches and browsers have to know. `origin` is the request's.
pub fn complete(
    settings: &Settings,
    route: Option<&Route>,
    origin: Option<&str>,
    response: Response,
) -> Response {
    let get = route.and_then(|route| route.endpoints.iter().find(|e| e.method == GET));
    let takes_key = settings.auth == Auth::Key && route.is_some_and(|route| route.is_limited);
    let takes_role = settings.auth == Auth::Role && get.is_some_and(|e| e.role.is_some());
    let varies_by = [
        (
            "Accept",
            get.is_some_and(|e| e.has_csv || e.has_stream || e.has_page && e.answer.is_some()),
        ),
        ("Accept-Language", get.is_some_and(|e| e.has_page)),
        ("Authorization", takes_key),
        ("X-Role", takes_role),
        ("Origin", settings.cors.varies()),
    ];
    let varies_by = varies_by.iter().filter(|(_, does)| *does);
    let varies_by: Vec<&str> = varies_by.map(|(name, _)| *name).collect();
    let mut response = response;
    if !varies_by.is_empty() {
        response = response.header("Vary", &varies_by.join(", "));
    }
    if !response.is_cacheable {
        response = response.header("Cache-Control", "no-store");
    }
    settings.cors.add_to(response, origin)
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
    let whole = request.path();
    let (route, path) = locate(&whole, context.state.settings.base_path);
    let route = route.ok_or_else(|| Problem::new(Code::RouteNotFound, why_not_found(path)))?;
    let method = match request.head.method {
        "OPTIONS" => return Ok(Outcome::Respond(options(context, request, route))),
        "HEAD" => GET,
        method => method,
    };
    let endpoint = route.endpoints.iter().find(|e| e.method == method);
    let Some(endpoint) = endpoint else {
        let allowed = allow(route);
        let detail = format!("allowed here: {allowed}");
        return Err(Problem::new(Code::MethodNotAllowed, detail).header("Allow", allowed));
    };
    let id = match_path(route.path, path).unwrap_or_default();
    let headers = &request.head.headers;
    let is_public = || auth::is_public_sale(context, headers, route.reach, id);
    let caller = match route.is_limited && !(endpoint.or_public && is_public()?) {
        true => auth::authorize(context, headers, endpoint.role)?,
        false => Caller::default(),
    };
    let call = Call {
        request,
        reach: route.reach,
        id,
        caller,
    };
    (endpoint.handler)(context, &call)
}

fn why_not_found(path: &str) -> &'static str {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let plain = format!("/{}", names.join("/"));
    match plain != path && find_route(&plain).is_some() {
        true => "there is nothing at this path, but there is without the slash that is too many",
        false => "there is nothing at this path",
    }
}

fn options(context: &Context, request: &Request, route: &Route) -> Response {
    let allowed = allow(route);
    let mut response = Response::no_content().header("Allow", &allowed);
    if route.endpoints.iter().any(|e| e.method == PATCH) {
        response = response.header("Accept-Patch", ACCEPT_PATCH);
    }
    match context.state.settings.cors.is_preflight(request) {
        true => Cors::answer_preflight(response, &allowed),
        false => response,
    }
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
