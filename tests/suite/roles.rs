//! `X-Role`: who may do what, and that a refusal says which role it takes.

use super::contract_support::{JSON, NO_TICKET, assert_problem, sell, send, unlimited};
use crate::support::Server;

const EVENT: &str = r#"{"name":"Harbour walk","total_spots":5}"#;
const BUYER: &str = r#"{"email":"ada@example.com"}"#;

/// Method, path, body, and the role it takes. No refusal here needs the thing to exist.
fn guarded_calls() -> Vec<(&'static str, String, Option<&'static str>, &'static str)> {
    vec![
        ("POST", "/events".to_owned(), Some(EVENT), "organizer"),
        ("PATCH", "/events/1".to_owned(), Some("{}"), "organizer"),
        ("POST", "/events/1/cancel".to_owned(), None, "organizer"),
        ("GET", "/events/1/tickets".to_owned(), None, "organizer"),
        ("POST", "/events/1/register".to_owned(), Some(BUYER), "user"),
        ("GET", format!("/tickets/{NO_TICKET}"), None, "user"),
        (
            "POST",
            format!("/tickets/{NO_TICKET}/confirm"),
            Some("{}"),
            "user",
        ),
        ("POST", format!("/tickets/{NO_TICKET}/cancel"), None, "user"),
        (
            "POST",
            format!("/tickets/{NO_TICKET}/check-in"),
            None,
            "organizer",
        ),
    ]
}

fn assert_forbidden(server: &Server, roles: &[(&str, &str)]) {
    for (method, path, body, required) in guarded_calls() {
        let mut headers = roles.to_vec();
        headers.push(JSON);
        let response = send(server, method, &path, &headers, body);
        assert_problem(&response, 403, "forbidden");
        let problem = response.json();
        assert_eq!(problem["required_role"], required, "{method} {path}");
    }
}

#[test]
fn a_missing_or_unknown_role_is_forbidden_and_told_which_it_takes() {
    let server = unlimited();
    assert_forbidden(&server, &[]);
    for role in [
        "boss",
        "",
        "organizer user",
        "organizer,user",
        "admins",
        "\"user\"",
    ] {
        assert_forbidden(&server, &[("X-Role", role)]);
    }
}

#[test]
fn several_role_headers_are_forbidden() {
    let server = unlimited();
    assert_forbidden(&server, &[("X-Role", "organizer"), ("X-Role", "user")]);
    assert_forbidden(&server, &[("X-Role", "admin"), ("x-role", "admin")]);
}

#[test]
fn the_wrong_role_is_forbidden_and_changes_nothing() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    for (method, path, body, required) in guarded_calls() {
        let wrong = if required == "user" {
            "organizer"
        } else {
            "user"
        };
        let response = send(&server, method, &path, &[("X-Role", wrong), JSON], body);
        assert_problem(&response, 403, "forbidden");
        assert_eq!(response.json()["required_role"], required);
    }
    assert_eq!(server.event(event)["available_spots"], 5);
    assert_eq!(server.get("/events").json().as_array().unwrap().len(), 1);
}

#[test]
fn admin_may_do_everything() {
    let server = unlimited();
    let admin = [("X-Role", "admin"), JSON];
    let event = send(&server, "POST", "/events", &admin, Some(EVENT)).expect_status(201);
    let path = format!("/events/{}/register", event.json()["id"]);
    let ticket = send(&server, "POST", &path, &admin, Some(BUYER)).expect_status(201);
    let path = format!("/tickets/{}", ticket.text("ticket_id"));
    send(&server, "GET", &path, &admin, None).expect_status(200);
    let path = format!("{path}/confirm");
    send(&server, "POST", &path, &admin, Some("{}")).expect_status(200);
}

#[test]
fn events_are_public_whatever_the_role() {
    let server = unlimited();
    let event = format!("/events/{}", server.create_event("Harbour walk", 5));
    let roles: [&[(&str, &str)]; 4] = [
        &[],
        &[("X-Role", "boss")],
        &[("X-Role", "user")],
        &[("X-Role", "organizer")],
    ];
    for role in roles {
        for path in ["/events", &event] {
            send(&server, "GET", path, role, None).expect_status(200);
        }
    }
}

#[test]
fn a_ticket_is_not_shown_to_head_without_the_role() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let path = format!("/tickets/{}", sell(&server, event, "ada@example.com"));
    let response = send(&server, "HEAD", &path, &[], None);
    assert_eq!(response.status, 403);
}
