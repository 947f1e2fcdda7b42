//! An event that is sold to anybody: without a key, or without a role, as far as a buyer's part goes.

use super::contract_support::{JSON, assert_problem, change_event, frozen, send, unlimited};
use super::keys::{add, keyed};
use crate::support::{Response, Server};

fn as_stranger(server: &Server, method: &str, path: &str, body: Option<&str>) -> Response {
    send(server, method, path, &[JSON], body)
}

fn public_event(server: &Server) -> i64 {
    let event = server.create_event("Open", 5);
    change_event(server, event, r#"{"public_sale":true}"#).expect_status(200);
    event
}

#[test]
fn a_stranger_buys_pays_and_gives_back() {
    let server = unlimited();
    let event = public_event(&server);
    let path = format!("/events/{event}/register");
    let body = r#"{"email":"ada@example.com","spots":2}"#;
    let sold = as_stranger(&server, "POST", &path, Some(body)).expect_status(201);
    let ticket = format!("/tickets/{}", sold.text("ticket_id"));
    as_stranger(&server, "GET", &ticket, None).expect_status(200);
    for what in ["extend", "confirm", "cancel"] {
        let path = format!("{ticket}/{what}");
        as_stranger(&server, "POST", &path, Some("{}")).expect_status(200);
    }
    server.assert_invariants();
}

#[test]
fn everything_else_is_the_organizers() {
    let server = unlimited();
    let event = public_event(&server);
    let path = |what: &str| format!("/events/{event}{what}");
    let body = r#"{"email":"ada@example.com"}"#;
    let sold = as_stranger(&server, "POST", &path("/register"), Some(body)).expect_status(201);
    let check_in = format!("/tickets/{}/check-in", sold.text("ticket_id"));
    for (method, path) in [
        ("PATCH", path("")),
        ("POST", path("/cancel")),
        ("GET", path("/tickets")),
        ("POST", check_in),
        ("POST", "/events".into()),
    ] {
        let refused = as_stranger(&server, method, &path, (method != "GET").then_some("{}"));
        assert_problem(&refused, 403, "forbidden");
    }
    let wrong = [("X-Role", "organizer"), JSON];
    let refused = send(&server, "POST", &path("/register"), &wrong, Some(body));
    assert_problem(&refused, 403, "forbidden");
}

#[test]
fn an_event_that_is_not_public_is_refused_before_anything_else_is_told() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Closed", 5);
    for path in [
        format!("/events/{event}/register"),
        "/events/99/register".into(),
    ] {
        let refused = as_stranger(&server, "POST", &path, Some("no JSON"));
        assert_problem(&refused, 403, "forbidden");
    }
    let ticket = server.register(event, "ada@example.com").text("ticket_id");
    for id in [ticket.as_str(), "1"] {
        let refused = as_stranger(&server, "GET", &format!("/tickets/{id}"), None);
        assert_problem(&refused, 403, "forbidden");
    }
    change_event(&server, event, r#"{"public_sale":true}"#).expect_status(200);
    as_stranger(&server, "GET", &format!("/tickets/{ticket}"), None).expect_status(200);
}

#[test]
fn with_keys_a_stranger_needs_none_and_a_wrong_one_is_refused() {
    let server = keyed();
    let bearer = format!("Bearer {}", add(&server, "organizer"));
    let organizer = [("Authorization", bearer.as_str()), JSON];
    let body = r#"{"name":"Open","total_spots":5,"public_sale":true}"#;
    let event = send(&server, "POST", "/events", &organizer, Some(body)).expect_status(201);
    let path = format!("/events/{}/register", event.json()["id"]);
    let body = r#"{"email":"ada@example.com"}"#;
    let sold = as_stranger(&server, "POST", &path, Some(body)).expect_status(201);
    let ticket = format!("/tickets/{}", sold.text("ticket_id"));
    as_stranger(&server, "GET", &ticket, None).expect_status(200);
    let wrong = [("Authorization", "Bearer lastseat_1_x"), JSON];
    let refused = send(&server, "POST", &path, &wrong, Some(body));
    assert_problem(&refused, 401, "unauthorized");
    let refused = as_stranger(&server, "GET", &format!("{path}s"), None);
    assert_problem(&refused, 404, "route_not_found");
}
