//! All endpoints, in one table, and which of them a path leads to. Routing, authorization and
//! `GET /openapi.json` come from it.

use std::time::Duration;

use super::auth::Reach;
use super::endpoint::{Endpoint, Route, route, unlimited};
use super::handlers::service::{Health, Readiness};
use super::handlers::tickets::{Buyer, Guests, Holder, Payer, Returner};
use super::handlers::{Nothing, changes, events, index, metrics, pages, service, tickets};
use crate::message::Code;
use crate::metrics::RouteCounters;
use crate::model::{Change, Event, EventChange, NewEvent, Role, Ticket};
use crate::verify::EventReport;

type Object = serde_json::Map<String, serde_json::Value>;

pub const GET: &str = "GET";
const POST: &str = "POST";
pub const PATCH: &str = "PATCH";
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
pub fn match_path<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

pub fn why_not_found(path: &str) -> &'static str {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let plain = format!("/{}", names.join("/"));
    match plain != path && find_route(&plain).is_some() {
        true => "there is nothing at this path, but there is without the slash that is too many",
        false => "there is nothing at this path",
    }
}
