//! The rate limit with a clock that stands still: the fifth and the sixth request, the millisecond
//! in which the oldest leaves, what counts and what doesn't, and other settings.

use super::contract_support::{ask, assert_problem, register_with_key, send};
use crate::support::{Client, FrozenClock, Response, Server, fresh_source};

const ADMITTED: u16 = 200;
const REFUSED: u16 = 429;

fn limited(flags: &[&str]) -> (FrozenClock, Server) {
    let clock = FrozenClock::new();
    let server = Server::builder().args(clock.flags()).args(flags).start();
    (clock, server)
}

/// `RateLimit` and `Retry-After`.
fn standing(response: &Response) -> (&str, Option<&str>) {
    let standing = response.header("RateLimit").unwrap_or("none");
    (standing, response.header("Retry-After"))
}

#[test]
fn the_sixth_request_is_refused_and_told_when_to_come_back() {
    let (_clock, server) = limited(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for left in [4, 3, 2, 1, 0] {
        let response = client.get("/events").expect_status(ADMITTED);
        let expected = format!(r#""default";r={left};t=10"#);
        assert_eq!(standing(&response), (expected.as_str(), None));
        assert_eq!(
            response.header("RateLimit-Policy"),
            Some(r#""default";q=5;w=10"#)
        );
    }
    for _ in 0..3 {
        let response = client.get("/events");
        assert_problem(&response, REFUSED, "rate_limited");
        assert_eq!(standing(&response), (r#""default";r=0;t=10"#, Some("10")));
        assert_eq!(
            response.header("RateLimit-Policy"),
            Some(r#""default";q=5;w=10"#)
        );
    }
}

#[test]
fn the_window_slides_to_the_millisecond() {
    let (clock, server) = limited(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let start = clock.now_ms();
    let steps = [
        (0, ADMITTED, r#""default";r=4;t=10"#, None),
        (2_000, ADMITTED, r#""default";r=3;t=8"#, None),
        (4_000, ADMITTED, r#""default";r=2;t=6"#, None),
        (6_001, ADMITTED, r#""default";r=1;t=4"#, None),
        (8_000, ADMITTED, r#""default";r=0;t=2"#, None),
        (8_000, REFUSED, r#""default";r=0;t=2"#, Some("2")),
        (8_999, REFUSED, r#""default";r=0;t=2"#, Some("2")),
        (9_000, REFUSED, r#""default";r=0;t=1"#, Some("1")),
        (9_999, REFUSED, r#""default";r=0;t=1"#, Some("1")),
        (10_000, ADMITTED, r#""default";r=0;t=2"#, None),
        (10_000, REFUSED, r#""default";r=0;t=2"#, Some("2")),
        (11_999, REFUSED, r#""default";r=0;t=1"#, Some("1")),
        (14_000, ADMITTED, r#""default";r=1;t=3"#, None),
        (14_000, ADMITTED, r#""default";r=0;t=3"#, None),
        (16_000, REFUSED, r#""default";r=0;t=1"#, Some("1")),
        (16_001, ADMITTED, r#""default";r=0;t=2"#, None),
        (60_000, ADMITTED, r#""default";r=4;t=10"#, None),
    ];
    for (ms, status, rate_limit, retry_after) in steps {
        clock.set(start + ms);
        let response = client.get("/events");
        assert_eq!(response.status, status, "at {ms} ms: {response:?}");
        assert_eq!(standing(&response), (rate_limit, retry_after), "at {ms} ms");
    }
}

#[test]
fn a_burst_over_the_edge_of_a_fixed_window_is_refused() {
    let (clock, server) = limited(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    clock.set(clock.now_ms() / 10_000 * 10_000 + 9_990);
    for _ in 0..5 {
        client.get("/events").expect_status(ADMITTED);
    }
    clock.advance(20);
    for _ in 0..5 {
        let response = client.get("/events");
        assert_problem(&response, REFUSED, "rate_limited");
        assert_eq!(response.header("Retry-After"), Some("10"));
    }
}

#[test]
fn a_refused_request_does_not_count() {
    let (clock, server) = limited(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for _ in 0..5 {
        client.get("/events").expect_status(ADMITTED);
    }
    for _ in 0..20 {
        clock.advance(499);
        client.get("/events").expect_status(REFUSED);
    }
    clock.advance(20);
    for _ in 0..5 {
        client.get("/events").expect_status(ADMITTED);
    }
}

#[test]
fn every_other_refusal_counts() {
    let (_clock, server) = limited(&[]);
    let event = ("Content-Type", "application/json");
    let calls: [(u16, &str, &str, Option<&str>); 5] = [
        (404, "GET", "/nowhere", None),
        (405, "DELETE", "/events", None),
        (403, "POST", "/events", Some("{}")),
        (404, "GET", "/events/99", None),
        (400, "GET", "/events?limit=0", None),
    ];
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for (at, (status, method, path, body)) in calls.into_iter().enumerate() {
        let response = client
            .request(method, path, &[event], body)
            .expect_status(status);
        let expected = format!(r#""default";r={};t=10"#, 4 - at);
        assert_eq!(response.header("RateLimit"), Some(expected.as_str()));
        assert_eq!(
            response.header("RateLimit-Policy"),
            Some(r#""default";q=5;w=10"#)
        );
    }
    client.get("/events").expect_status(REFUSED);
}

#[test]
fn refusals_by_the_headers_alone_count_too() {
    let (_clock, server) = limited(&[]);
    let source = fresh_source();
    let connect = || Client::connect_from(source, server.addr());
    let flaws = [
        (413, ("Content-Length", "5000")),
        (400, ("Transfer-Encoding", "xchunked")),
        (400, ("Content-Length", "+5")),
        (400, ("Content-Length", "x")),
        (413, ("Content-Length", "1000000000000000")),
    ];
    for (status, flaw) in flaws {
        let response = ask(&mut connect(), "POST", "/events", &[flaw], None);
        assert_eq!(response.status, status, "{response:?}");
    }
    assert_problem(&connect().get("/events"), REFUSED, "rate_limited");
    // And what the headers show is still told first.
    let response = ask(&mut connect(), "POST", "/events", &[flaws[0].1], None);
    assert_problem(&response, 413, "body_too_large");
}

#[test]
fn head_and_options_count() {
    let (_clock, server) = limited(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for (method, status) in [
        ("HEAD", 200),
        ("OPTIONS", 204),
        ("HEAD", 200),
        ("OPTIONS", 204),
    ] {
        client
            .request(method, "/events", &[], None)
            .expect_status(status);
    }
    client
        .request("GET", "/problems/sold-out", &[], None)
        .expect_status(ADMITTED);
    let refused = client
        .request("HEAD", "/events", &[], None)
        .expect_status(REFUSED);
    assert_eq!(refused.header("Retry-After"), Some("10"));
    client
        .request("OPTIONS", "/events", &[], None)
        .expect_status(REFUSED);
    client
        .request("GET", "/healthz", &[], None)
        .expect_status(ADMITTED);
}

#[test]
fn an_address_is_one_client_whatever_its_port() {
    let (_clock, server) = limited(&[]);
    let (one, other) = (fresh_source(), fresh_source());
    for left in [4, 3, 2, 1, 0] {
        let mut client = Client::connect_from(one, server.addr());
        let response = client.get("/events").expect_status(ADMITTED);
        let expected = format!(r#""default";r={left};t=10"#);
        assert_eq!(response.header("RateLimit"), Some(expected.as_str()));
    }
    Client::connect_from(one, server.addr())
        .get("/events")
        .expect_status(REFUSED);
    Client::connect_from(other, server.addr())
        .get("/events")
        .expect_status(ADMITTED);
}

#[test]
fn a_limited_buyer_buys_nothing() {
    let (_clock, server) = limited(&[]);
    let event = server.create_event("Harbour walk", 5);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let path = format!("/events/{event}/register");
    for n in 0..7 {
        let body = format!(r#"{{"email":"buyer{n}@example.com"}}"#);
        let response = client.post(&path, "user", &body);
        assert_eq!(response.status, if n < 5 { 201 } else { REFUSED });
    }
    assert_eq!(server.event(event)["available_spots"], 0);
    let sql = "SELECT count(*) FROM tickets";
    let tickets: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(tickets, 5);
}

#[test]
fn a_replay_counts_like_any_request() {
    let (_clock, server) = limited(&[]);
    let event = server.create_event("Harbour walk", 5);
    register_with_key(&server, event, "ada@example.com", "k").expect_status(201);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let path = format!("/events/{event}/register");
    let body = r#"{"email":"ada@example.com","idempotency_key":"k"}"#;
    for left in [4, 3, 2, 1, 0] {
        let response = client.post(&path, "user", body).expect_status(201);
        let expected = format!(r#""default";r={left};t=10"#);
        assert_eq!(response.header("RateLimit"), Some(expected.as_str()));
    }
    client.post(&path, "user", body).expect_status(REFUSED);
}

#[test]
fn off_means_no_limit_and_no_headers() {
    let (_clock, server) = limited(&["--rate-limit", "off"]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for _ in 0..50 {
        let response = client.get("/events").expect_status(ADMITTED);
        assert_eq!(standing(&response), ("none", None));
        assert_eq!(response.header("RateLimit-Policy"), None);
    }
}

#[test]
fn another_setting_is_kept_as_exactly() {
    for (setting, requests, window_ms, policy) in [
        ("2/1s", 2, 1_000, r#""default";q=2;w=1"#),
        ("1/1h", 1, 3_600_000, r#""default";q=1;w=3600"#),
        ("7/2m", 7, 120_000, r#""default";q=7;w=120"#),
    ] {
        let (clock, server) = limited(&["--rate-limit", setting]);
        let mut client = Client::connect_from(fresh_source(), server.addr());
        for _ in 0..requests {
            let response = client.get("/events").expect_status(ADMITTED);
            assert_eq!(response.header("RateLimit-Policy"), Some(policy));
        }
        clock.advance(window_ms - 1);
        let response = client.get("/events").expect_status(REFUSED);
        assert_eq!(standing(&response), (r#""default";r=0;t=1"#, Some("1")));
        clock.advance(1);
        client.get("/events").expect_status(ADMITTED);
    }
}

#[test]
fn the_limit_holds_under_the_real_clock() {
    let server = Server::start(&[]);
    let source = fresh_source();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let read = || {
            Client::connect_from(source, server.addr())
                .get("/events")
                .status
        };
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(read)).collect();
        asking
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let admitted = statuses
        .iter()
        .filter(|status| **status == ADMITTED)
        .count();
    let refused = statuses.iter().filter(|status| **status == REFUSED).count();
    assert_eq!((admitted, refused), (5, 15));
    send(&server, "GET", "/healthz", &[], None).expect_status(200);
}
