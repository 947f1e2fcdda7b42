//! `PATCH /events/{id}`: what can be changed, within which limits, and that the capacity never falls
//! below what is held or sold.

use super::contract_support::{
    JSON, ORGANIZER, assert_names, assert_problem, change_event, frozen, ledger, rfc3339, sell,
    send, unlimited,
};
use crate::support::{PATIENCE, Response, Server, wait_until};
use serde_json::json;
use std::sync::Barrier;

fn create(server: &Server, body: &serde_json::Value) -> i64 {
    let response = server.post("/events", "organizer", &body.to_string());
    response.expect_status(201).json()["id"].as_i64().unwrap()
}

#[test]
fn every_member_can_be_changed_alone_and_the_rest_stays() {
    let (clock, server) = frozen(&[]);
    let event = create(
        &server,
        &json!({"name": "Walk", "total_spots": 5, "starts_at": "2027-05-01T12:00:00Z"}),
    );
    clock.advance(1_000);
    let mut expected = server.event(event);
    let changes = [
        ("name", json!("Evening walk")),
        ("starts_at", json!("2027-05-02T12:00:00.000Z")),
        ("sales_open_at", json!("2027-01-01T00:00:00.000Z")),
        ("sales_close_at", json!("2027-04-01T00:00:00.000Z")),
        ("hold_seconds_max", json!(600)),
        ("hold_seconds", json!(90)),
        ("party_max", json!(4)),
        ("waiting_max", json!(0)),
        ("public_sale", json!(true)),
        ("payment_url", json!("https://pay.example/?for={ticket_id}")),
        ("starts_at", json!(null)),
        ("sales_open_at", json!(null)),
        ("sales_close_at", json!(null)),
    ];
    for (member, value) in changes {
        let changed = change_event(&server, event, &json!({member: value}).to_string());
        expected[member] = value;
        assert_eq!(changed.expect_status(200).json(), expected);
        assert_eq!(server.event(event), expected);
    }
    server.assert_invariants();
}

#[test]
fn capacity_goes_up_and_down_with_what_is_available() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    sell(&server, event, "ada@example.com");
    for (total, available) in [(8, 7), (2, 1), (1, 0), (1_000_000, 999_999), (1, 0), (2, 1)] {
        let body = json!({"total_spots": total}).to_string();
        let changed = change_event(&server, event, &body)
            .expect_status(200)
            .json();
        let got = (&changed["total_spots"], &changed["available_spots"]);
        assert_eq!(got, (&json!(total), &json!(available)));
        server.assert_invariants();
    }
    sell(&server, event, "bob@example.com");
    let refused = server.register(event, "eve@example.com");
    assert_problem(&refused, 409, "sold_out");
    change_event(&server, event, r#"{"total_spots":3}"#).expect_status(200);
    sell(&server, event, "eve@example.com");
    server.assert_invariants();
}

#[test]
fn capacity_below_what_is_held_or_sold_is_refused_with_the_minimum() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let sold = sell(&server, event, "ada@example.com");
    server.confirm(&sold).expect_status(200);
    sell(&server, event, "bob@example.com");
    let before = server.event(event);
    let body = r#"{"name":"Talk","total_spots":1}"#;
    let refused = change_event(&server, event, body);
    assert_problem(&refused, 409, "capacity_below_committed");
    assert_eq!(refused.json()["minimum"], 2);
    assert_eq!(server.event(event), before, "a refusal changes nothing");
    // An expired hold, swept or not, is committed no more.
    clock.advance(300_000);
    let changed = change_event(&server, event, body).expect_status(200).json();
    assert_eq!(changed["available_spots"], 0);
    let told = ledger(&server, event);
    let end: Vec<_> = told
        .iter()
        .map(|(kind, spots)| (kind.as_str(), *spots))
        .collect();
    assert_eq!(end[end.len() - 2..], [("expired", 1), ("changed", -4)]);
    server.assert_invariants();
}

#[test]
fn the_sales_window_is_valid_together_with_what_is_stored() {
    let server = unlimited();
    let (open, close) = ("2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z");
    let event = create(
        &server,
        &json!({"name": "Walk", "total_spots": 5, "sales_open_at": open, "sales_close_at": close}),
    );
    let before = server.event(event);
    let bad = [
        json!({"sales_open_at": close}),
        json!({"sales_close_at": open}),
        json!({"sales_close_at": "2026-12-31T23:59:59.999Z", "total_spots": 9}),
        json!({"sales_open_at": close, "sales_close_at": open}),
    ];
    for body in bad {
        let refused = change_event(&server, event, &body.to_string());
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, "sales_close_at");
        assert_eq!(server.event(event), before);
    }
    let good = [
        json!({"sales_close_at": null, "sales_open_at": close}),
        json!({"sales_open_at": null, "sales_close_at": open}),
        json!({"sales_open_at": "2020-01-01T00:00:00Z"}),
    ];
    for body in good {
        change_event(&server, event, &body.to_string()).expect_status(200);
    }
}

#[test]
fn a_bad_change_is_refused_named_and_changes_nothing() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let before = server.event(event);
    let bad = [
        ("name", json!("")),
        ("name", json!(null)),
        ("name", json!("x".repeat(201))),
        ("name", json!("a\nb")),
        ("total_spots", json!(0)),
        ("total_spots", json!(1_000_001)),
        ("total_spots", json!(null)),
        ("total_spots", json!("5")),
        ("total_spots", json!(4.5)),
        ("hold_seconds", json!(9)),
        ("hold_seconds", json!(3601)),
        ("hold_seconds", json!(null)),
        ("hold_seconds_max", json!(86_401)),
        ("party_max", json!(0)),
        ("party_max", json!(101)),
        ("waiting_max", json!(-1)),
        ("waiting_max", json!(1_000_001)),
        ("public_sale", json!(1)),
        ("payment_url", json!("javascript:alert('{ticket_id}')")),
        ("payment_url", json!("https://pay.example/")),
        ("payment_url", json!("https://pay.example/ {ticket_id}")),
        ("starts_at", json!("tomorrow")),
        ("sales_open_at", json!(7)),
        ("sales_close_at", json!(["2027-01-01T00:00:00Z"])),
        ("status", json!("cancelled")),
        ("available_spots", json!(5)),
        ("id", json!(7)),
    ];
    for (member, value) in bad {
        let refused = change_event(&server, event, &json!({member: value}).to_string());
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, member);
    }
    assert_problem(&change_event(&server, event, ""), 400, "invalid_json");
    assert_problem(&change_event(&server, 99, "{}"), 404, "event_not_found");
    assert_eq!(server.event(event), before);
    assert_eq!(ledger(&server, event).len(), 1);
}

#[test]
fn a_change_to_what_is_already_so_leaves_no_trace() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let before = server.event(event);
    for body in [
        "{}",
        r#"{"name":" Walk ","total_spots":5,"starts_at":null}"#,
    ] {
        let same = change_event(&server, event, body).expect_status(200);
        assert_eq!(same.json(), before);
    }
    assert_eq!(ledger(&server, event), [("created".to_owned(), 5)]);
}

#[test]
fn a_change_by_key_is_made_once_and_its_key_serves_nothing_else() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let change = |body: &str| -> Response {
        let headers = [ORGANIZER, JSON, ("Idempotency-Key", "k")];
        let path = format!("/events/{event}");
        send(&server, "PATCH", &path, &headers, Some(body))
    };
    let first = change(r#"{"total_spots":6,"starts_at":null}"#).expect_status(200);
    change_event(&server, event, r#"{"total_spots":7}"#).expect_status(200);
    let again = change(r#"{"starts_at":null,"total_spots":6}"#).expect_status(200);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(server.event(event)["total_spots"], 7);
    // A null is not the same as nothing.
    let other = change(r#"{"total_spots":6}"#);
    assert_problem(&other, 422, "idempotency_key_reused");
}

#[test]
fn sales_begin_and_end_to_the_millisecond() {
    let (clock, server) = frozen(&[]);
    let (open, close) = (clock.now_ms() + 1_000, clock.now_ms() + 2_000);
    let event = server.create_event("Walk", 5);
    let window = json!({"sales_open_at": rfc3339(open), "sales_close_at": rfc3339(close)});
    change_event(&server, event, &window.to_string()).expect_status(200);
    clock.set(open - 1);
    let early = server.register(event, "ada@example.com");
    assert_problem(&early, 409, "sales_not_open");
    assert_eq!(early.text("opens_at"), rfc3339(open));
    clock.set(open);
    sell(&server, event, "ada@example.com");
    clock.set(close - 1);
    let last = sell(&server, event, "bob@example.com");
    clock.set(close);
    let late = server.register(event, "eve@example.com");
    assert_problem(&late, 409, "sales_closed");
    assert_eq!(late.text("closed_at"), rfc3339(close));
    // What is held can still be confirmed.
    server.confirm(&last).expect_status(200);
    change_event(&server, event, r#"{"sales_close_at":null}"#).expect_status(200);
    sell(&server, event, "eve@example.com");
}

#[test]
fn a_new_hold_time_is_for_new_holds() {
    let (clock, server) = frozen(&["--hold", "1500ms"]);
    let event = server.create_event("Walk", 5);
    let expires = |email: &str| {
        let ticket = server.register(event, email).expect_status(201);
        ticket.text("expires_at")
    };
    // Another change leaves a hold time alone that is finer than a second.
    change_event(&server, event, r#"{"name":"Talk"}"#).expect_status(200);
    assert_eq!(expires("ada@example.com"), rfc3339(clock.now_ms() + 1_500));
    change_event(&server, event, r#"{"hold_seconds":10}"#).expect_status(200);
    assert_eq!(expires("bob@example.com"), rfc3339(clock.now_ms() + 10_000));
    clock.advance(1_500);
    assert_eq!(server.event(event)["available_spots"], 4);
    clock.advance(8_500);
    assert_eq!(server.event(event)["available_spots"], 5);
}

#[test]
fn a_capacity_cut_races_buyers_and_neither_loses_a_spot() {
    let server = unlimited();
    let mut cuts = 0;
    for round in 0..20 {
        let event = server.create_event("Cut", 10);
        let start_line = Barrier::new(9);
        let (sold, cut) = std::thread::scope(|scope| {
            let (server, start_line) = (&server, &start_line);
            let buyers: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn(move || {
                        start_line.wait();
                        server.register(event, &format!("buyer-{n}@example.com"))
                    })
                })
                .collect();
            start_line.wait();
            // Later from round to round, so that either side gets its chance to be first.
            (0..round * 20).for_each(|_| std::thread::yield_now());
            let cut = change_event(server, event, r#"{"total_spots":4}"#);
            let answers: Vec<_> = buyers.into_iter().map(|b| b.join().unwrap()).collect();
            (answers.iter().filter(|a| a.status == 201).count(), cut)
        });
        let shown = server.event(event);
        if cut.status == 200 {
            cuts += 1;
            assert_eq!(sold, 4, "four spots for eight buyers");
            assert_eq!(shown["available_spots"], 0);
        } else {
            assert_problem(&cut, 409, "capacity_below_committed");
            let minimum = cut.json()["minimum"].as_u64().unwrap();
            assert!((5..=8).contains(&minimum), "{minimum}");
            assert_eq!((sold, &shown["available_spots"]), (8, &json!(2)));
        }
        server.assert_invariants();
    }
    println!("the cut came first in {cuts} of 20 rounds");
}

#[test]
fn a_growing_event_sells_exactly_what_it_grows_by() {
    let server = unlimited();
    let event = server.create_event("Grow", 1);
    std::thread::scope(|scope| {
        let server = &server;
        for buyer in 0..8 {
            scope.spawn(move || {
                let email = format!("buyer-{buyer}@example.com");
                let bought = || server.register(event, &email).status == 201;
                assert!(wait_until(PATIENCE, bought));
            });
        }
        for total in 2..=8 {
            let body = json!({"total_spots": total}).to_string();
            change_event(server, event, &body).expect_status(200);
        }
    });
    assert_eq!(server.event(event)["available_spots"], 0);
    server.assert_invariants();
}
