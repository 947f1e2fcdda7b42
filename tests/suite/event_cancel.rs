//! `POST /events/{id}/cancel`: the event and all of its live tickets end in one moment, once.

use super::contract_support::{
    JSON, ORGANIZER, assert_problem, cancel_event, change_event, fill, frozen, get_ticket, ledger,
    rfc3339, sell, send, unlimited,
};
use crate::support::{PATIENCE, wait_until};
use serde_json::json;
use std::sync::Barrier;

#[test]
fn a_cancelled_event_takes_its_live_tickets_with_it() {
    let (clock, server) = frozen(&[]);
    let (event, other) = (
        server.create_event("Walk", 5),
        server.create_event("Talk", 5),
    );
    let expired = sell(&server, event, "expired@example.com");
    clock.advance(299_000);
    let held = sell(&server, event, "held@example.com");
    let confirmed = sell(&server, event, "confirmed@example.com");
    let elsewhere = sell(&server, other, "held@example.com");
    server.confirm(&confirmed).expect_status(200);
    clock.advance(1_000);

    let answer = cancel_event(&server, event).expect_status(200).json();
    let told = (
        &answer["status"],
        &answer["total_spots"],
        &answer["available_spots"],
    );
    assert_eq!(told, (&json!("cancelled"), &json!(5), &json!(5)));
    assert_eq!(server.event(event), answer);
    for ticket in [&held, &confirmed] {
        let ticket = get_ticket(&server, ticket);
        assert_eq!(ticket["status"], "cancelled");
        assert_eq!(ticket["cancel_reason"], "organizer");
        assert_eq!(ticket["cancelled_at"], rfc3339(clock.now_ms()));
    }
    assert_eq!(get_ticket(&server, &expired)["cancel_reason"], "expired");
    assert_eq!(get_ticket(&server, &elsewhere)["status"], "reserved");
    assert_eq!(server.event(other)["available_spots"], 4);
    let told = ledger(&server, event);
    assert_eq!(told.last(), Some(&("event_cancelled".to_owned(), 0)));
    assert_eq!(
        told.iter().filter(|(kind, _)| kind == "cancelled").count(),
        2
    );
    server.assert_invariants();
}

#[test]
fn cancelling_again_gives_the_same_answer_and_does_nothing() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    sell(&server, event, "ada@example.com");
    let first = cancel_event(&server, event).expect_status(200);
    let rows = ledger(&server, event);
    clock.advance(400_000);
    for body in ["", "{}"] {
        let again = server.post(&format!("/events/{event}/cancel"), "organizer", body);
        assert_eq!(again.expect_status(200).body, first.body);
    }
    assert_eq!(ledger(&server, event), rows);
    assert_problem(&cancel_event(&server, 99), 404, "event_not_found");
    let path = format!("/events/{event}/cancel");
    let refused = server.post(&path, "organizer", r#"{"reason":"rain"}"#);
    assert_problem(&refused, 400, "invalid_request");
}

#[test]
fn nothing_is_sold_confirmed_or_changed_after_it() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let held = sell(&server, event, "ada@example.com");
    let first = cancel_event(&server, event).expect_status(200);
    for email in ["ada@example.com", "bob@example.com"] {
        let refused = server.register(event, email);
        assert_problem(&refused, 409, "event_cancelled");
    }
    assert_problem(&server.confirm(&held), 409, "ticket_cancelled");
    for body in ["{}", r#"{"total_spots":9}"#, r#"{"total_spots":1}"#] {
        let refused = change_event(&server, event, body);
        assert_problem(&refused, 409, "event_cancelled");
    }
    assert_eq!(cancel_event(&server, event).body, first.body);
}

#[test]
fn a_cancellation_by_key_is_replayed() {
    let server = unlimited();
    let [event, other] = ["Walk", "Talk"].map(|name| server.create_event(name, 5));
    let cancel = |event: i64| {
        let headers = [ORGANIZER, JSON, ("Idempotency-Key", "k")];
        send(
            &server,
            "POST",
            &format!("/events/{event}/cancel"),
            &headers,
            None,
        )
    };
    let first = cancel(event).expect_status(200);
    assert_eq!(first.header("Idempotent-Replayed"), None);
    let again = cancel(event).expect_status(200);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_problem(&cancel(other), 422, "idempotency_key_reused");
    assert_eq!(server.event(other)["status"], "on_sale");
}

#[test]
fn twenty_thousand_tickets_end_in_one_transaction_or_none() {
    let server = unlimited();
    let event = server.create_event("Stadium", 20_000);
    fill(&server, event, 20_000);
    let db = server.db();
    let live = "SELECT count(*) FROM tickets WHERE status <> 'cancelled'";
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let server = &server;
        let canceller = scope.spawn(move || cancel_event(server, event));
        assert!(wait_until(PATIENCE, || {
            let count: i64 = db.query_row(live, [], |row| row.get(0)).unwrap();
            seen.push(count);
            count == 0
        }));
        canceller.join().unwrap().expect_status(200);
    });
    assert!(
        seen.iter().all(|count| [0, 20_000].contains(count)),
        "{seen:?}"
    );
    assert_eq!(server.event(event)["available_spots"], 20_000);
    server.assert_invariants();
}

#[test]
fn confirmations_race_the_cancellation_and_no_ticket_outlives_it() {
    let server = unlimited();
    let mut confirmed = 0;
    for round in 0..20 {
        let event = server.create_event("Called off", 8);
        let tickets: Vec<_> = (0..8)
            .map(|n| sell(&server, event, &format!("buyer-{n}@example.com")))
            .collect();
        let start_line = Barrier::new(9);
        let answers = std::thread::scope(|scope| {
            let (server, start_line) = (&server, &start_line);
            let confirm = |ticket| {
                scope.spawn(move || {
                    start_line.wait();
                    server.confirm(ticket)
                })
            };
            let holders: Vec<_> = tickets.iter().map(String::as_str).map(confirm).collect();
            start_line.wait();
            // Later from round to round, so that either side gets its chance to be first.
            (0..round * 20).for_each(|_| std::thread::yield_now());
            cancel_event(server, event).expect_status(200);
            let join = |h: std::thread::ScopedJoinHandle<_>| h.join().unwrap();
            holders.into_iter().map(join).collect::<Vec<_>>()
        });
        for (answer, ticket) in answers.into_iter().zip(&tickets) {
            let end = get_ticket(&server, ticket);
            assert_eq!(end["cancel_reason"], "organizer");
            if answer.status == 200 {
                confirmed += 1;
                assert!(end["confirmed_at"].is_string(), "{end}");
            } else {
                assert_problem(&answer, 409, "ticket_cancelled");
                assert!(end["confirmed_at"].is_null(), "{end}");
            }
        }
        assert_eq!(server.event(event)["available_spots"], 8);
        server.assert_invariants();
    }
    println!("{confirmed} of 160 were confirmed before the end");
}
