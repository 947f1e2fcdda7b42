//! Behind a proxy, and among other software: where the server is mounted, how paths are written, what
//! is passed on.

use super::contract_support::{
    JSON, NO_TICKET, ORGANIZER, USER, assert_names, assert_problem, run, send, unlimited,
};
use crate::support::{PATIENCE, Response, Server, wait_until};
use serde_json::{Value, json};

fn mounted(path: &str) -> Server {
    Server::builder()
        .rate_limit_off()
        .args(["--base-path", path])
        .start()
}

#[test]
fn what_the_server_names_begins_with_where_it_is_mounted() {
    // One proxy takes the path away, another leaves it.
    for inner in ["", "/tickets"] {
        let server = mounted("/tickets/");
        let post = |path: &str, who, body: &str| {
            send(
                &server,
                "POST",
                &format!("{inner}{path}"),
                &[who, JSON],
                Some(body),
            )
        };
        let get = |path: &str, who| send(&server, "GET", &format!("{inner}{path}"), &[who], None);
        let body = r#"{"name":"Walk","total_spots":5}"#;
        for _ in 0..2 {
            let event = post("/events", ORGANIZER, body).expect_status(201);
            let location = event.header("Location").unwrap();
            assert!(location.starts_with("/tickets/events/"), "{location}");
        }
        let sold = post("/events/1/register", USER, r#"{"email":"ada@example.com"}"#);
        let sold = sold.expect_status(201);
        let ticket = sold.text("ticket_id");
        assert_eq!(
            sold.header("Location"),
            Some(format!("/tickets/tickets/{ticket}").as_str())
        );
        get(&format!("/tickets/{ticket}"), USER).expect_status(200);
        post(&format!("/tickets/{ticket}/confirm"), USER, "").expect_status(200);
        let page = get("/events?limit=1", USER).expect_status(200);
        let link = page.header("Link").unwrap();
        assert!(
            link.starts_with("</tickets/events?limit=1&after="),
            "{link}"
        );
        let refused = get("/events/7", USER).expect_status(404);
        assert_eq!(refused.text("type"), "/tickets/problems/event-not-found");
        get("/problems/event-not-found", USER).expect_status(200);
        let document = get("/openapi.json", USER).expect_status(200).json();
        assert_eq!(document["servers"][0]["url"], "/tickets");
        get("/healthz", USER).expect_status(200);
    }
}

#[test]
fn where_it_is_mounted_is_a_path() {
    for wrong in ["tickets", "/a//b", "/a b", "/a?b", "https://a/b"] {
        let run = run(&["--base-path", wrong], &[]);
        assert_eq!(run.status.code(), Some(2), "{wrong:?}: {run:?}");
    }
}

#[test]
fn percent_encoding_is_taken_off_paths_and_queries() {
    let server = unlimited();
    for name in ["One", "Two"] {
        server.create_event(name, 5);
    }
    for path in [
        "/%65vents/1",
        "/events/%31",
        "/events?%6cimit=1",
        "/events?limit=%31",
        "/events?limit=1&after=%65",
    ] {
        let status = if path.ends_with("after=%65") {
            400
        } else {
            200
        };
        send(&server, "GET", path, &[], None).expect_status(status);
    }
    let page = server.get("/events?limit=%31").expect_status(200).json();
    assert_eq!(page.as_array().unwrap().len(), 1);
    for path in [
        "/events%2F1",
        "/events%2f1",
        "/events/%2531",
        "/events/%ff",
        "/events/%",
        "/events/1%00",
    ] {
        assert_eq!(server.get(path).expect_status(404).status, 404, "{path}");
    }
}

#[test]
fn an_id_is_written_in_one_way_only() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let sold = server.register(event, "ada@example.com").expect_status(201);
    let upper = sold.text("ticket_id").to_uppercase();
    assert_ne!(upper, sold.text("ticket_id"));
    for id in [
        "001",
        "01",
        "+1",
        "-1",
        "1.0",
        "1e0",
        " 1",
        "0",
        "9223372036854775808",
    ] {
        let path = format!("/events/{}", id.replace(' ', "%20"));
        assert_problem(&server.get(&path), 404, "event_not_found");
    }
    assert_problem(
        &server.get(&format!("/tickets/{upper}")),
        404,
        "ticket_not_found",
    );
}

#[test]
fn a_slash_too_many_is_pointed_out() {
    let server = unlimited();
    let ticket = format!("/tickets//{NO_TICKET}");
    for path in [
        "/events/",
        "//events",
        "/events//1",
        "/events/1/tickets/",
        &ticket,
        "/healthz/",
    ] {
        let refused = server.get(path);
        assert_problem(&refused, 404, "route_not_found");
        assert_names(&refused, "slash");
    }
    for path in ["/nowhere/", "/event/"] {
        let detail = server.get(path).text("detail");
        assert!(!detail.contains("slash"), "{detail}");
    }
}

#[test]
fn a_merge_patch_is_taken_by_patch_alone() {
    let server = unlimited();
    let merge = ("Content-Type", "application/merge-patch+json");
    let body = r#"{"name":"Walk","total_spots":5}"#;
    let refused = send(&server, "POST", "/events", &[ORGANIZER, merge], Some(body));
    assert_problem(&refused, 415, "unsupported_media_type");
    server.create_event("Walk", 5);
    let set = r#"{"starts_at":"2027-01-01T20:00:00+01:00"}"#;
    let change = |kind, body| {
        send(
            &server,
            "PATCH",
            "/events/1",
            &[ORGANIZER, kind],
            Some(body),
        )
    };
    let changed = change(merge, set).expect_status(200).json();
    assert_eq!(changed["starts_at"], "2027-01-01T19:00:00.000Z");
    let changed = change(merge, r#"{"starts_at":null}"#)
        .expect_status(200)
        .json();
    assert!(changed["starts_at"].is_null());
    // What an event always has cannot be taken away.
    assert_names(
        &change(merge, r#"{"name":null}"#).expect_status(400),
        "name",
    );
    let text = ("Content-Type", "text/plain");
    for told in [
        send(&server, "OPTIONS", "/events/1", &[], None).expect_status(204),
        change(text, set).expect_status(415),
    ] {
        let takes = told.header("Accept-Patch").unwrap();
        assert!(takes.contains("application/merge-patch+json"), "{takes}");
    }
}

#[test]
fn a_trace_is_carried_into_the_log() {
    let server = unlimited();
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let bad = [
        "00-XBf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "junk",
        "\"}",
        "00-0-0-0",
    ];
    for (n, trace) in [good].iter().chain(&bad).enumerate() {
        let id = format!("trace-{n}");
        let headers = [("traceparent", *trace), ("X-Request-Id", &id)];
        send(&server, "GET", "/events", &headers, None).expect_status(200);
        let logged = || {
            let lines = server.log_lines();
            lines
                .into_iter()
                .find(|line| line["request_id"] == id.as_str())
        };
        assert!(wait_until(PATIENCE, || logged().is_some()));
        let expected = if n == 0 { json!(good) } else { Value::Null };
        assert_eq!(logged().unwrap()["traceparent"], expected, "{trace}");
    }
}

#[test]
fn a_key_that_does_not_do_is_told_why_in_the_challenge() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--auth", "key"])
        .start();
    let user = super::keys::add(&server, "user");
    let bearer = super::keys::bearer(&user);
    let post = |headers: &[(&str, &str)]| send(&server, "POST", "/events", headers, Some("{}"));
    let challenge = |answer: &Response| answer.header("WWW-Authenticate").unwrap().to_owned();
    let plain = "Bearer realm=\"lastseat\"";
    assert_eq!(challenge(&post(&[]).expect_status(401)), plain);
    let unknown = post(&[("Authorization", "Bearer nonsense")]).expect_status(401);
    assert_eq!(
        challenge(&unknown),
        format!("{plain}, error=\"invalid_token\"")
    );
    let wrong_role = post(&[("Authorization", &bearer)]).expect_status(403);
    assert_eq!(
        challenge(&wrong_role),
        format!("{plain}, error=\"insufficient_scope\", scope=\"organizer\"")
    );
}
