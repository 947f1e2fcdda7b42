//! The form of every refusal: RFC 9457 members, one title a code, and an explanation at the path
//! that `type` names.

use super::contract_support::{
    JSON, NO_TICKET, ORGANIZER, USER, assert_harmless, assert_problem, cancel_ticket, change_event,
    check_in, frozen, media_type, register_with_key, sell, send, unlimited,
};
use crate::support::{Client, Response, Server, fresh_source};
use std::collections::BTreeMap;

/// Every code that this version can answer with.
const CODES: [&str; 30] = [
    "already_checked_in",
    "already_registered",
    "bad_request",
    "body_too_large",
    "capacity_below_committed",
    "email_mismatch",
    "event_cancelled",
    "event_not_found",
    "expectation_failed",
    "forbidden",
    "hold_expired",
    "idempotency_key_reused",
    "internal_error",
    "invalid_json",
    "invalid_request",
    "method_not_allowed",
    "not_confirmed",
    "outcome_unknown",
    "overloaded",
    "rate_limited",
    "route_not_found",
    "sales_closed",
    "sales_not_open",
    "shutting_down",
    "sold_out",
    "storage_unavailable",
    "ticket_cancelled",
    "ticket_not_found",
    "unauthorized",
    "unsupported_media_type",
];

#[test]
fn every_code_has_an_explanation_at_its_path() {
    let server = unlimited();
    for code in CODES {
        let path = format!("/problems/{}", code.replace('_', "-"));
        let response = send(&server, "GET", &path, &[], None).expect_status(200);
        assert_eq!(media_type(&response), "text/plain", "{path}");
        assert!(
            response.body.trim().len() > 20,
            "{path}: {:?}",
            response.body
        );
        assert_harmless(&response.body);
    }
}

#[test]
fn an_unknown_problem_is_an_unknown_route() {
    let server = unlimited();
    for name in [
        "",
        "nothing",
        "sold_out",
        "Sold-Out",
        "sold-out/",
        "../problems/sold-out",
    ] {
        let response = send(&server, "GET", &format!("/problems/{name}"), &[], None);
        assert_problem(&response, 404, "route_not_found");
    }
}

/// Refusals that need a request only.
fn refuse_requests(server: &Server) -> Vec<(u16, &'static str, Response)> {
    let event = r#"{"name":"Walk","total_spots":5}"#;
    let post =
        |headers: &[(&str, &str)], body: &str| send(server, "POST", "/events", headers, Some(body));
    let get = |path: &str| send(server, "GET", path, &[USER], None);
    let text = ("Content-Type", "text/plain");
    vec![
        (
            413,
            "body_too_large",
            post(&[ORGANIZER, ("Content-Length", "1025")], ""),
        ),
        (
            400,
            "bad_request",
            post(&[ORGANIZER, ("Content-Length", "x")], ""),
        ),
        (404, "route_not_found", get("/nowhere")),
        (
            405,
            "method_not_allowed",
            send(server, "DELETE", "/events", &[], None),
        ),
        (403, "forbidden", post(&[JSON], event)),
        (
            415,
            "unsupported_media_type",
            post(&[ORGANIZER, text], event),
        ),
        (400, "invalid_json", post(&[ORGANIZER, JSON], "{")),
        (400, "invalid_json", post(&[ORGANIZER, JSON], "")),
        (
            400,
            "invalid_request",
            post(&[ORGANIZER, JSON], r#"{"name":"Walk"}"#),
        ),
        (400, "invalid_request", post(&[ORGANIZER, JSON], "[]")),
        (400, "invalid_request", get("/events?limit=0")),
        (404, "event_not_found", get("/events/99")),
        (
            404,
            "ticket_not_found",
            get(&format!("/tickets/{NO_TICKET}")),
        ),
    ]
}

/// Refusals that need a history.
fn refuse_sales(server: &Server, advance: impl Fn(i64)) -> Vec<(u16, &'static str, Response)> {
    let confirm =
        |ticket: &str, body: &str| server.post(&format!("/tickets/{ticket}/confirm"), "user", body);
    let create = |dates: &str| {
        let body = format!(r#"{{"name":"Walk","total_spots":1{dates}}}"#);
        let event = server
            .post("/events", "organizer", &body)
            .expect_status(201);
        event.json()["id"].as_i64().unwrap()
    };
    let event = create("");
    let unopened = create(r#","sales_open_at":"2099-01-01T00:00:00Z""#);
    let closed = create(r#","sales_close_at":"2020-01-01T00:00:00Z""#);
    let sold = register_with_key(server, event, "ada@example.com", "k").expect_status(201);
    let ticket = sold.text("ticket_id");
    let other = r#"{"email":"bob@example.com"}"#;
    let mut refusals = vec![
        (
            422,
            "idempotency_key_reused",
            register_with_key(server, event, "bob@example.com", "k"),
        ),
        (
            409,
            "sales_not_open",
            server.register(unopened, "ada@example.com"),
        ),
        (
            409,
            "sales_closed",
            server.register(closed, "ada@example.com"),
        ),
        (
            409,
            "already_registered",
            server.register(event, "ada@example.com"),
        ),
        (409, "sold_out", server.register(event, "bob@example.com")),
        (409, "email_mismatch", confirm(&ticket, other)),
        (
            409,
            "capacity_below_committed",
            shrink_to_one(server, create),
        ),
    ];
    let check_in = |ticket: &str| check_in(server, ticket);
    refusals.push((409, "not_confirmed", check_in(&ticket)));
    let guest = sell(server, create(""), "ada@example.com");
    server.confirm(&guest).expect_status(200);
    check_in(&guest).expect_status(200);
    refusals.push((409, "already_checked_in", check_in(&guest)));
    advance(300_000);
    refusals.push((410, "hold_expired", confirm(&ticket, "{}")));
    let second = sell(server, event, "eve@example.com");
    cancel_ticket(server, &second).expect_status(200);
    refusals.push((409, "ticket_cancelled", confirm(&second, "{}")));
    server.change_by_hand(&format!(
        "UPDATE events SET status = 'cancelled' WHERE id = {event}"
    ));
    refusals.push((
        409,
        "event_cancelled",
        server.register(event, "eve@example.com"),
    ));
    refusals
}

/// An event of two sold tickets cannot become one of a single spot.
fn shrink_to_one(server: &Server, create: impl Fn(&str) -> i64) -> Response {
    let event = create("");
    change_event(server, event, r#"{"total_spots":2}"#).expect_status(200);
    for email in ["ada@example.com", "bob@example.com"] {
        sell(server, event, email);
    }
    change_event(server, event, r#"{"total_spots":1}"#)
}

#[test]
fn every_refusal_is_a_problem_in_every_respect_with_one_title_a_code() {
    let (clock, server) = frozen(&[]);
    let mut refusals = refuse_requests(&server);
    refusals.extend(refuse_sales(&server, |ms| clock.advance(ms)));
    let mut titles = BTreeMap::new();
    for (status, code, response) in &refusals {
        assert_problem(response, *status, code);
        let title = response.text("title");
        assert_eq!(
            *titles.entry(*code).or_insert(title.clone()),
            title,
            "{code}"
        );
    }
    let distinct: std::collections::BTreeSet<_> = titles.values().collect();
    assert_eq!(
        distinct.len(),
        titles.len(),
        "two codes share a title: {titles:?}"
    );
}

#[test]
fn a_rate_limited_answer_is_a_problem_too() {
    let server = Server::start(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for _ in 0..5 {
        client.get("/events").expect_status(200);
    }
    assert_problem(&client.get("/events"), 429, "rate_limited");
}

#[test]
fn a_detail_that_quotes_the_client_is_still_json() {
    let server = unlimited();
    let hostile = [
        r#"{"\"},{\"":1}"#.to_owned(),
        r#"{"\u0000\u001b[31m":1}"#.to_owned(),
        format!(r#"{{"{}":1}}"#, "é".repeat(500)),
        r#"{"<script>alert(1)</script>":1}"#.to_owned(),
        r#"{"a\r\nSet-Cookie: b=c":1}"#.to_owned(),
    ];
    for body in hostile {
        let response = server.post("/events", "organizer", &body);
        assert_problem(&response, 400, "invalid_request");
        assert_eq!(response.header("Set-Cookie"), None);
        let detail = response.text("detail");
        assert!(!detail.chars().any(char::is_control), "{detail:?}");
    }
}
