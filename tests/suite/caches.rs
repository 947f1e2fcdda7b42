//! What caches may keep, and what they are told when they ask again.

use super::contract_support::{JSON, NO_TICKET, ORGANIZER, USER, ask, sell, send, unlimited};
use crate::support::{Client, Response, Server};

const CACHED: [&str; 3] = ["/events", "/events/1", "/openapi.json"];

fn etag(response: &Response) -> String {
    let etag = response
        .header("ETag")
        .unwrap_or_else(|| panic!("no ETag: {response:?}"));
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    etag.to_owned()
}

#[track_caller]
fn get_if_none_match(server: &Server, path: &str, etag: &str) -> Response {
    send(server, "GET", path, &[("If-None-Match", etag)], None)
}

#[test]
fn whoever_has_the_newest_is_told_so_without_a_body() {
    let server = unlimited();
    server.create_event("Walk", 5);
    for path in CACHED {
        let first = server.get(path).expect_status(200);
        assert_eq!(first.header("Cache-Control"), Some("no-cache"), "{path}");
        let etag = etag(&first);
        let lists = [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"other\" , {etag}"),
            "*".to_owned(),
        ];
        let mut client = Client::connect(server.addr());
        for list in lists {
            for method in ["GET", "HEAD"] {
                let headers = [("If-None-Match", list.as_str())];
                let again = ask(&mut client, method, path, &headers, None).expect_status(304);
                assert_eq!(again.body, "", "{path}");
                assert_eq!(again.header("ETag"), Some(etag.as_str()));
                assert_eq!(again.header("Cache-Control"), Some("no-cache"));
                assert_eq!(again.header("Content-Type"), None);
            }
        }
        for other in ["\"other\"", "other", &etag[1..etag.len() - 1]] {
            let again = get_if_none_match(&server, path, other).expect_status(200);
            assert_eq!(again.body, first.body, "{path}");
        }
    }
}

#[test]
fn a_sale_makes_what_was_kept_old() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let paths = ["/events", "/events/1"];
    let before = paths.map(|path| etag(&server.get(path)));
    sell(&server, event, "ada@example.com");
    for (path, before) in paths.iter().zip(before) {
        let now = get_if_none_match(&server, path, &before).expect_status(200);
        assert_ne!(etag(&now), before, "{path}");
    }
}

#[test]
fn a_page_that_has_got_a_next_one_is_another() {
    let server = unlimited();
    server.create_event("Walk", 5);
    let alone = server.get("/events?limit=1");
    server.create_event("Run", 5);
    let first = get_if_none_match(&server, "/events?limit=1", &etag(&alone)).expect_status(200);
    assert_eq!(first.body, alone.body);
    assert!(first.header("Link").is_some());
}

#[test]
fn nobody_keeps_a_ticket_a_list_of_them_a_change_or_a_problem() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = format!("/tickets/{}", sell(&server, event, "ada@example.com"));
    let nobodys = format!("/tickets/{NO_TICKET}");
    let confirm = format!("{ticket}/confirm");
    let register = Some(r#"{"email":"bob@example.com"}"#);
    let change = Some(r#"{"total_spots":6}"#);
    let csv = [ORGANIZER, ("Accept", "text/csv")];
    type Call<'c> = (
        &'c str,
        &'c str,
        &'c [(&'c str, &'c str)],
        Option<&'c str>,
        u16,
    );
    let calls: [Call; 11] = [
        ("GET", &ticket, &[USER], None, 200),
        ("GET", "/events/1/tickets", &[ORGANIZER], None, 200),
        ("GET", "/events/1/tickets", &csv, None, 200),
        ("POST", "/events/1/register", &[USER, JSON], register, 201),
        ("POST", &confirm, &[USER], None, 200),
        ("PATCH", "/events/1", &[ORGANIZER, JSON], change, 200),
        ("POST", "/events/1/register", &[USER, JSON], register, 409),
        ("GET", &nobodys, &[USER], None, 404),
        ("GET", "/nowhere", &[], None, 404),
        ("GET", "/events/9", &[], None, 404),
        ("GET", "/events?limit=0", &[], None, 400),
    ];
    for (method, path, headers, body, status) in calls {
        let answer = send(&server, method, path, headers, body).expect_status(status);
        let kept = answer.header_all("Cache-Control");
        assert_eq!(kept, ["no-store"], "{method} {path}");
    }
}

#[test]
fn what_an_answer_depends_on_is_told() {
    let by_role = unlimited();
    let by_key = Server::builder()
        .rate_limit_off()
        .args(["--auth", "key"])
        .start();
    by_role.create_event("Walk", 5);
    let cases = [
        (&by_role, "/events", None),
        (&by_role, "/events/1/tickets", Some("Accept, X-Role")),
        (&by_role, "/tickets/x", Some("X-Role")),
        (&by_key, "/events", Some("Authorization")),
        (&by_key, "/events/1/tickets", Some("Accept, Authorization")),
        (&by_key, "/metrics", None),
    ];
    for (server, path, varies_by) in cases {
        let answer = send(server, "GET", path, &[], None);
        assert_eq!(answer.header("Vary"), varies_by, "{path}: {answer:?}");
    }
}

#[test]
fn a_change_of_something_else_than_was_seen_is_refused() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let seen = etag(&server.get("/events/1"));
    let change = |if_match: &str, key: &str, body: &str| {
        let headers = [
            ORGANIZER,
            JSON,
            ("If-Match", if_match),
            ("Idempotency-Key", key),
        ];
        send(&server, "PATCH", "/events/1", &headers, Some(body))
    };
    sell(&server, event, "ada@example.com");
    let late = change(&seen, "k1", r#"{"total_spots":9}"#);
    super::contract_support::assert_problem(&late, 412, "precondition_failed");
    assert_eq!(server.event(event)["total_spots"], 5);
    let now = etag(&server.get("/events/1"));
    let weak = change(&format!("W/{now}"), "k2", r#"{"total_spots":9}"#);
    super::contract_support::assert_problem(&weak, 412, "precondition_failed");
    let changed = change(&now, "k3", r#"{"total_spots":9}"#).expect_status(200);
    assert_eq!(changed.json()["total_spots"], 9);
    // Repeated, because its answer was lost: what it was asked of is gone, and it was done.
    let again = change(&now, "k3", r#"{"total_spots":9}"#).expect_status(200);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    // The answer names what there is now, and so the next change needs no other look.
    let next = change(&etag(&changed), "k4", r#"{"total_spots":8}"#).expect_status(200);
    assert_eq!(etag(&next), etag(&server.get("/events/1")));
    change("*", "k5", r#"{"total_spots":7}"#).expect_status(200);
}
