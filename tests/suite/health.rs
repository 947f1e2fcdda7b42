//! `/healthz` and `/readyz`: what they answer, and that they stand outside the rate limit.

use super::contract_support::{assert_problem, frozen, media_type, send};
use crate::support::{Client, FrozenClock, Server, fresh_source};

#[test]
fn healthz_says_ok_while_the_process_lives() {
    let server = Server::start(&[]);
    let response = send(&server, "GET", "/healthz", &[], None).expect_status(200);
    assert_eq!(media_type(&response), "application/json");
    assert_eq!(response.json(), serde_json::json!({"status": "ok"}));
}

#[test]
fn readyz_says_ready_after_a_real_commit() {
    let (clock, server) = frozen(&[]);
    let expected = serde_json::json!({"status": "ready", "reaper": "running"});
    for _ in 0..3 {
        clock.advance(60_000);
        let response = send(&server, "GET", "/readyz", &[], None).expect_status(200);
        assert_eq!(media_type(&response), "application/json");
        assert_eq!(response.json(), expected);
    }
    server.assert_invariants();
}

#[test]
fn readyz_says_why_when_no_commit_can_be_made() {
    let (clock, server) = frozen(&[]);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let response = send(&server, "GET", "/readyz", &[], None);
    assert_problem(&response, 503, "storage_unavailable");
    let retry_after = response.header("Retry-After").expect("a Retry-After");
    assert!(retry_after.parse::<u32>().unwrap() >= 1);
    send(&server, "GET", "/healthz", &[], None).expect_status(200);
    other_program.execute_batch("ROLLBACK").unwrap();
    // The answer holds for a second.
    assert_eq!(send(&server, "GET", "/readyz", &[], None).status, 503);
    clock.advance(1_000);
    send(&server, "GET", "/readyz", &[], None).expect_status(200);
}

#[test]
fn neither_is_ever_limited_or_counted() {
    let clock = FrozenClock::new();
    let server = Server::builder().args(clock.flags()).start();
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for path in ["/healthz", "/readyz"] {
        for _ in 0..10 {
            let response = client.request("GET", path, &[], None).expect_status(200);
            assert_eq!(response.header("RateLimit"), None);
            assert_eq!(response.header("RateLimit-Policy"), None);
            assert!(response.header("X-Request-Id").is_some());
        }
    }
    let first = client.get("/events").expect_status(200);
    assert_eq!(first.header("RateLimit"), Some(r#""default";r=4;t=10"#));
}

#[test]
fn an_exhausted_address_still_sees_that_the_server_lives() {
    let clock = FrozenClock::new();
    let server = Server::builder().args(clock.flags()).start();
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for _ in 0..5 {
        client.get("/events").expect_status(200);
    }
    client.get("/events").expect_problem(429, "rate_limited");
    for path in ["/healthz", "/readyz"] {
        client.get(path).expect_status(200);
    }
}
