//! Paths and methods: 404, 405 with `Allow`, HEAD wherever GET works, OPTIONS.

use super::contract_support::{
    JSON, NO_TICKET, ORGANIZER, USER, assert_problem, list, media_type, sell, send, unlimited,
};
use crate::support::Server;
use std::collections::BTreeSet;

/// Every route, and the methods that it has now and in every later version.
fn routes() -> Vec<(String, &'static [&'static str])> {
    vec![
        ("/events".to_owned(), &["GET", "HEAD", "POST", "OPTIONS"]),
        ("/events/1".to_owned(), &["GET", "HEAD", "PATCH", "OPTIONS"]),
        ("/events/1/cancel".to_owned(), &["POST", "OPTIONS"]),
        ("/events/1/register".to_owned(), &["POST", "OPTIONS"]),
        ("/events/1/tickets".to_owned(), &["GET", "HEAD", "OPTIONS"]),
        (format!("/tickets/{NO_TICKET}"), &["GET", "HEAD", "OPTIONS"]),
        (
            format!("/tickets/{NO_TICKET}/confirm"),
            &["POST", "OPTIONS"],
        ),
        (format!("/tickets/{NO_TICKET}/cancel"), &["POST", "OPTIONS"]),
        (
            format!("/tickets/{NO_TICKET}/check-in"),
            &["POST", "OPTIONS"],
        ),
        ("/healthz".to_owned(), &["GET", "HEAD", "OPTIONS"]),
        ("/readyz".to_owned(), &["GET", "HEAD", "OPTIONS"]),
        ("/problems/sold-out".to_owned(), &["GET", "HEAD", "OPTIONS"]),
        ("/".to_owned(), &["GET", "HEAD", "OPTIONS"]),
        ("/metrics".to_owned(), &["GET", "HEAD", "OPTIONS"]),
    ]
}

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW",
];

#[test]
fn an_unknown_path_is_not_found_for_every_method() {
    let server = unlimited();
    server.create_event("Harbour walk", 5);
    let ticket = format!("/tickets/{NO_TICKET}/");
    let unknown = [
        "/nowhere",
        "/event",
        "/events/",
        "/Events",
        "//events",
        "/events//",
        "/events/1/",
        "/events/1/register/",
        "/events/1/register/1",
        "/events/1/nothing",
        "/tickets",
        "/tickets/",
        &ticket,
        "/healthz/",
        "/readyz/x",
        "/problems",
        "/api/events",
        "/events/1/confirm",
        "/events/../events",
        "/./events",
        "/events;v=1",
        "/%65vents/",
    ];
    for path in unknown {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let response = send(&server, method, path, &[ORGANIZER], None);
            assert_problem(&response, 404, "route_not_found");
        }
        assert_eq!(send(&server, "HEAD", path, &[], None).status, 404, "{path}");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let server = unlimited();
    for (path, allowed) in routes() {
        let expected: BTreeSet<String> = allowed.iter().map(|&m| m.to_owned()).collect();
        for method in METHODS.iter().filter(|method| !allowed.contains(method)) {
            let response = send(&server, method, &path, &[ORGANIZER], None);
            if *method == "HEAD" {
                assert_eq!(response.status, 405, "{path}");
            } else {
                assert_problem(&response, 405, "method_not_allowed");
            }
            assert_eq!(list(&response, "Allow"), expected, "{method} {path}");
        }
    }
}

#[test]
fn the_thing_need_not_exist_for_a_wrong_method() {
    let server = unlimited();
    for path in ["/events/99", "/events/abc", "/tickets/abc"] {
        let response = send(&server, "DELETE", path, &[], None);
        assert_problem(&response, 405, "method_not_allowed");
        assert!(list(&response, "Allow").contains("GET"));
    }
}

#[test]
fn options_answers_204_with_the_methods() {
    let server = unlimited();
    for (path, allowed) in routes() {
        let expected: BTreeSet<String> = allowed.iter().map(|&m| m.to_owned()).collect();
        let response = send(&server, "OPTIONS", &path, &[], None).expect_status(204);
        assert_eq!(list(&response, "Allow"), expected, "{path}");
        assert!(response.header("X-Request-Id").is_some());
        // RFC 9110, 8.6: a 204 has no Content-Length.
        assert_eq!(response.header("Content-Length"), None, "{path}");
    }
}

#[test]
fn head_tells_what_get_tells_without_the_body() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let paths = [
        "/events".to_owned(),
        format!("/events/{event}"),
        "/events/99".to_owned(),
        "/events?limit=0".to_owned(),
        format!("/tickets/{ticket}"),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        "/problems/sold-out".to_owned(),
        "/nowhere".to_owned(),
    ];
    for path in paths {
        assert_head_like_get(&server, &path);
    }
}

fn assert_head_like_get(server: &Server, path: &str) {
    let get = send(server, "GET", path, &[USER, ("X-Request-Id", "same")], None);
    let mut client = server.client();
    let head = client.request("HEAD", path, &[USER, ("X-Request-Id", "same")], None);
    assert_eq!(head.status, get.status, "{path}");
    for name in ["Content-Type", "Content-Length", "Link", "X-Request-Id"] {
        assert_eq!(head.header(name), get.header(name), "{name} of {path}");
    }
    assert_eq!(
        head.header("Content-Length"),
        Some(get.body.len().to_string().as_str())
    );
    // If the HEAD had a body after all, it would be taken for the start of the next answer.
    client
        .request("GET", "/healthz", &[], None)
        .expect_status(200);
}

#[test]
fn a_query_does_not_change_the_route() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let body = Some(r#"{"email":"ada@example.com"}"#);
    let path = format!("/events/{event}/register?utm_source=letter&a/b");
    send(&server, "POST", &path, &[USER, JSON], body).expect_status(201);
    send(&server, "GET", &format!("/events/{event}?x=/y"), &[], None).expect_status(200);
    send(&server, "GET", "/healthz?probe=1", &[], None).expect_status(200);
}

#[test]
fn the_index_tells_of_every_method_with_its_role_and_how_to_call_it() {
    let server = unlimited();
    let index = send(&server, "GET", "/", &[], None).expect_status(200);
    assert_eq!(media_type(&index), "text/plain");
    for row in [
        "GET    /events                    anyone",
        "POST   /events                    organizer",
        "POST   /events/{id}/register      user",
        "  curl -H 'X-Role: organizer' -d '{\"name\":\"Concert\",\"total_spots\":5}' localhost:8080/events",
    ] {
        assert!(
            index.body.lines().any(|line| line == row),
            "{row}: {index:?}"
        );
    }
    let paths = index
        .body
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    let told: BTreeSet<&str> = paths.filter(|path| path.starts_with('/')).collect();
    assert!(told.len() >= routes().len(), "{told:?}");
}

/// RFC 9112, 3.2.2, and RFC 9110, 4.2.3: an empty path is "/", and the scheme has no case.
#[test]
fn a_target_may_be_absolute() {
    let server = unlimited();
    for target in [
        "http://x/events",
        "HTTP://x/events?limit=1",
        "https://x/events",
    ] {
        assert_eq!(
            media_type(&server.get(target).expect_status(200)),
            "application/json"
        );
    }
    for target in ["http://x", "http://x/", "http://x?a=/events", "http://x?/"] {
        assert_eq!(
            media_type(&server.get(target).expect_status(200)),
            "text/plain"
        );
    }
    for target in ["ftp://x/events", "x/events", "*"] {
        assert_problem(&server.get(target), 404, "route_not_found");
    }
}
