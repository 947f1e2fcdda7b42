//! `X-Request-Id`: on every answer, the caller's own if it is well formed, and the same in the
//! problem and on the log line.

use super::contract_support::{JSON, ORGANIZER, is_uuid, send, unlimited};
use crate::support::{Client, PATIENCE, Response, wait_until};

fn id(response: &Response) -> String {
    let ids = response.header_all("X-Request-Id");
    assert_eq!(ids.len(), 1, "{response:?}");
    ids[0].to_owned()
}

#[test]
fn the_callers_id_comes_back() {
    let server = unlimited();
    let longest = "x".repeat(64);
    for given in [
        "a",
        "A-b_c.9",
        "...",
        "-",
        &longest,
        "3f2c8f0e-7d1b-4f5e-9a43-000000000000",
    ] {
        for path in ["/events", "/nowhere", "/healthz"] {
            let response = send(&server, "GET", path, &[("X-Request-Id", given)], None);
            assert_eq!(id(&response), given);
            let lower = send(&server, "HEAD", path, &[("x-request-id", given)], None);
            assert_eq!(id(&lower), given);
        }
    }
}

#[test]
fn any_other_id_is_replaced() {
    let server = unlimited();
    let long = "x".repeat(65);
    let bad = ["", "a b", "a;b", "a/b", "a\"b", &long, "a:b", "<b>", "a\tb"];
    for given in bad {
        let response = send(&server, "GET", "/events", &[("X-Request-Id", given)], None);
        assert!(is_uuid(&id(&response)), "{given:?}: {response:?}");
    }
}

#[test]
fn a_header_cannot_be_smuggled_in_with_the_id() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    client.send_raw(b"GET /events HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\nSet-Cookie: b=c\r\n\r\n");
    // Refused or answered: either way nothing of the client's making is among the headers.
    if let Ok(response) = client.try_read_response() {
        assert_eq!(response.header("Set-Cookie"), None, "{response:?}");
    }
    server.get("/events").expect_status(200);
}

#[test]
fn every_answer_has_an_id_of_its_own() {
    let server = unlimited();
    let answers = [
        send(&server, "GET", "/events", &[], None),
        send(&server, "GET", "/events", &[], None),
        send(&server, "HEAD", "/events", &[], None),
        send(&server, "OPTIONS", "/events", &[], None),
        send(&server, "DELETE", "/events", &[], None),
        send(&server, "GET", "/nowhere", &[], None),
        send(&server, "GET", "/readyz", &[], None),
        send(&server, "POST", "/events", &[ORGANIZER, JSON], Some("{")),
        send(
            &server,
            "POST",
            "/events",
            &[("Content-Length", "1025")],
            None,
        ),
        send(&server, "POST", "/events", &[("Content-Length", "x")], None),
        send(
            &server,
            "POST",
            "/events",
            &[("Transfer-Encoding", "gzip")],
            None,
        ),
    ];
    let mut ids: Vec<String> = answers.iter().map(id).collect();
    assert!(ids.iter().all(|id| is_uuid(id)), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), answers.len());
}

#[test]
fn the_log_line_has_the_same_id() {
    let server = unlimited();
    let given = "trace-me.7";
    let path = "/events/99";
    let response = send(&server, "GET", path, &[("X-Request-Id", given)], None);
    assert_eq!(response.text("request_id"), given);
    let made = id(&send(&server, "GET", "/events", &[], None));
    let logged = |id: &str, path: &str| {
        let lines = server.log_lines();
        lines
            .iter()
            .any(|line| line["request_id"] == id && line["path"] == path)
    };
    assert!(wait_until(PATIENCE, || logged(given, path) && logged(&made, "/events")));
}
