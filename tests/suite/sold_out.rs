//! When nothing is left: `sold_out` with `next_expiry`, and expired holds that are sold again
//! without a sweep.

use super::contract_support::{assert_problem, frozen, rfc3339, sell, unlimited};
use serde_json::Value;

#[test]
fn the_buyer_after_the_last_spot_is_told_when_to_come_back() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 2);
    let first_ends = clock.now_ms() + 300_000;
    let first = sell(&server, event, "first@example.com");
    clock.advance(5_000);
    let second = sell(&server, event, "second@example.com");
    let next_expiry = || {
        let response = server.register(event, "late@example.com");
        assert_problem(&response, 409, "sold_out");
        response.json()["next_expiry"].clone()
    };
    assert_eq!(next_expiry(), rfc3339(first_ends));
    server.confirm(&first).expect_status(200);
    assert_eq!(next_expiry(), rfc3339(first_ends + 5_000));
    server.confirm(&second).expect_status(200);
    assert_eq!(next_expiry(), Value::Null);
    let refused = server.register(event, "late@example.com").json();
    assert!(refused.as_object().unwrap().contains_key("next_expiry"));
    server.assert_invariants();
}

#[test]
fn next_expiry_is_this_events_own() {
    let (clock, server) = frozen(&[]);
    let other = server.create_event("Another walk", 1);
    sell(&server, other, "ada@example.com");
    clock.advance(1_000);
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "ada@example.com");
    let refused = server.register(event, "late@example.com");
    assert_problem(&refused, 409, "sold_out");
    let ends = rfc3339(clock.now_ms() + 300_000);
    assert_eq!(refused.json()["next_expiry"], ends);
}

#[test]
fn a_spot_is_sold_again_in_the_millisecond_its_hold_ends() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "first@example.com");
    clock.advance(299_999);
    let early = server.register(event, "second@example.com");
    assert_problem(&early, 409, "sold_out");
    clock.advance(1);
    sell(&server, event, "second@example.com");
    let late = server.register(event, "third@example.com");
    assert_problem(&late, 409, "sold_out");
    server.assert_invariants();
}

#[test]
fn every_expired_hold_of_the_event_is_released_and_no_other() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let other = server.create_event("Another walk", 5);
    for n in 0..4 {
        sell(&server, event, &format!("early{n}@example.com"));
        sell(&server, other, &format!("early{n}@example.com"));
    }
    clock.advance(200_000);
    let live = sell(&server, event, "live@example.com");
    clock.advance(100_000);
    for n in 0..4 {
        sell(&server, event, &format!("late{n}@example.com"));
    }
    let refused = server.register(event, "too.late@example.com");
    assert_problem(&refused, 409, "sold_out");
    server.confirm(&live).expect_status(200);
    assert_eq!(server.event(event)["available_spots"], 0);
    assert_eq!(server.event(other)["available_spots"], 5);
    server.assert_invariants();
}

#[test]
fn a_holder_hears_that_they_hold_rather_than_that_it_sold_out() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 1);
    let ticket = sell(&server, event, "ada@example.com");
    for _ in 0..2 {
        let again = server.register(event, "Ada@example.com");
        assert_problem(&again, 409, "already_registered");
        server.confirm(&ticket).expect_status(200);
    }
}

#[test]
fn a_refusal_leaves_no_trace() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "ada@example.com");
    let rows = || -> (i64, i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM ledger),
                          (SELECT count(*) FROM idempotency_keys)";
        let db = server.db();
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
    };
    let before = rows();
    let body = r#"{"email":"late@example.com","idempotency_key":"late"}"#;
    let path = format!("/events/{event}/register");
    assert_problem(&server.post(&path, "user", body), 409, "sold_out");
    let body = r#"{"email":"ada@example.com","idempotency_key":"again"}"#;
    assert_problem(&server.post(&path, "user", body), 409, "already_registered");
    assert_eq!(rows(), before);
}
