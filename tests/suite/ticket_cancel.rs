//! `POST /tickets/{id}/cancel`: a ticket is given back once, and its spot is on sale at once.

use super::contract_support::{
    JSON, NO_TICKET, USER, assert_names, assert_problem, cancel_event, cancel_ticket, check_in,
    frozen, get_ticket, ledger, rfc3339, sell, sell_for_good, send, unlimited,
};
use crate::support::{FrozenClock, Server};
use serde_json::json;
use std::sync::Barrier;

fn rows(server: &Server, event: i64, kind: &str) -> usize {
    let rows = ledger(server, event);
    rows.iter().filter(|(k, _)| k == kind).count()
}

#[test]
fn a_cancelled_ticket_says_when_and_frees_its_spot_and_address() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 2);
    let held = sell(&server, event, "ada@example.com");
    let confirmed = sell_for_good(&server, event, "bob@example.com");
    let refused = server.register(event, "eve@example.com");
    assert_problem(&refused, 409, "sold_out");
    clock.advance(1_000);
    for (ticket, email) in [(&held, "ada@example.com"), (&confirmed, "bob@example.com")] {
        let mut expected = get_ticket(&server, ticket);
        expected.as_object_mut().unwrap().remove("expires_at");
        expected["status"] = json!("cancelled");
        expected["cancelled_at"] = json!(rfc3339(clock.now_ms()));
        expected["cancel_reason"] = json!("holder");
        let answer = cancel_ticket(&server, ticket).expect_status(200);
        assert_eq!(answer.json(), expected);
        assert_eq!(get_ticket(&server, ticket), expected);
        assert_eq!(server.event(event)["available_spots"], 1);
        assert_problem(&server.confirm(ticket), 409, "ticket_cancelled");
        sell(&server, event, email);
    }
    server.assert_invariants();
}

#[test]
fn cancelling_again_gives_the_same_answer_and_no_second_spot() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let first = cancel_ticket(&server, &ticket).expect_status(200);
    for _ in 0..2 {
        clock.advance(200_000);
        let again = cancel_ticket(&server, &ticket).expect_status(200);
        assert_eq!(again.body, first.body);
    }
    assert_eq!(server.event(event)["available_spots"], 5);
    assert_eq!(rows(&server, event, "cancelled"), 1);
    server.assert_invariants();
}

#[test]
fn a_ticket_that_ended_otherwise_is_told_as_it_ended() {
    let (clock, server) = frozen(&[]);
    let (event, other) = (
        server.create_event("Walk", 5),
        server.create_event("Talk", 5),
    );
    let expired = sell(&server, event, "ada@example.com");
    clock.advance(300_000);
    let answer = cancel_ticket(&server, &expired).expect_status(200);
    assert_eq!(answer.text("cancel_reason"), "expired");
    let called_off = sell(&server, other, "ada@example.com");
    cancel_event(&server, other).expect_status(200);
    let answer = cancel_ticket(&server, &called_off).expect_status(200);
    assert_eq!(answer.text("cancel_reason"), "organizer");
    assert_eq!(server.event(event)["available_spots"], 5);
    assert_eq!(server.event(other)["available_spots"], 5);
    server.assert_invariants();
}

#[test]
fn what_is_not_the_holders_to_cancel_stays() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    let cancel = |id: &str, body: &str| server.post(&format!("/tickets/{id}/cancel"), "user", body);
    let other = r#"{"email":"bob@example.com"}"#;
    assert_problem(&cancel(&ticket, other), 409, "email_mismatch");
    for (body, member) in [
        (r#"{"email":7}"#, "email"),
        (r#"{"reason":"ill"}"#, "reason"),
    ] {
        let refused = cancel(&ticket, body);
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, member);
    }
    for id in [NO_TICKET, "1", "%00"] {
        assert_problem(&cancel(id, "{}"), 404, "ticket_not_found");
    }
    let came_in = check_in(&server, &ticket).expect_status(200);
    let refused = cancel(&ticket, "{}");
    assert_problem(&refused, 409, "already_checked_in");
    assert_eq!(refused.text("checked_in_at"), came_in.text("checked_in_at"));
    assert_eq!(get_ticket(&server, &ticket)["status"], "confirmed");
    assert_eq!(server.event(event)["available_spots"], 4);
}

#[test]
fn a_cancellation_by_key_is_replayed_and_its_key_serves_nothing_else() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let post = |verb: &str, body: &str| {
        let headers = [USER, JSON, ("Idempotency-Key", "k")];
        send(
            &server,
            "POST",
            &format!("/tickets/{ticket}/{verb}"),
            &headers,
            Some(body),
        )
    };
    let first = post("cancel", "{}").expect_status(200);
    let again = post("cancel", "").expect_status(200);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    for (verb, body) in [
        ("confirm", "{}"),
        ("cancel", r#"{"email":"ada@example.com"}"#),
    ] {
        assert_problem(&post(verb, body), 422, "idempotency_key_reused");
    }
}

#[test]
fn a_cancellation_races_the_reaper_and_the_spot_comes_back_once() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .args(["--sweep", "100ms"])
        .start();
    let (mut by_holder, mut expired) = (0, 0);
    for round in 0..40 {
        let event = server.create_event("Last moment", 1);
        let ticket = sell(&server, event, "ada@example.com");
        clock.advance(299_999);
        let start_line = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start_line.wait();
                    cancel_ticket(&server, &ticket).expect_status(200);
                });
            }
            start_line.wait();
            // Later from round to round, so that either side gets its chance to be first.
            (0..round * 20).for_each(|_| std::thread::yield_now());
            clock.advance(1);
        });
        match get_ticket(&server, &ticket)["cancel_reason"].as_str() {
            Some("holder") => by_holder += 1,
            Some("expired") => expired += 1,
            other => panic!("cancelled for {other:?}"),
        }
        assert_eq!(server.event(event)["available_spots"], 1);
        sell(&server, event, "bob@example.com");
        let returned = rows(&server, event, "cancelled") + rows(&server, event, "expired");
        assert_eq!(returned, 1);
        server.assert_invariants();
    }
    println!("{by_holder} cancelled, {expired} expired");
}

#[test]
fn many_cancel_the_last_ticket_and_one_buyer_gets_the_spot() {
    let server = unlimited();
    for _ in 0..10 {
        let event = server.create_event("Last seat", 1);
        let ticket = sell_for_good(&server, event, "ada@example.com");
        let start_line = Barrier::new(16);
        let sold: usize = std::thread::scope(|scope| {
            let (server, start_line, ticket) = (&server, &start_line, ticket.as_str());
            for _ in 0..8 {
                scope.spawn(move || {
                    start_line.wait();
                    cancel_ticket(server, ticket).expect_status(200)
                });
            }
            let buyers: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn(move || {
                        start_line.wait();
                        server
                            .register(event, &format!("buyer-{n}@example.com"))
                            .status
                            == 201
                    })
                })
                .collect();
            buyers
                .into_iter()
                .map(|b| usize::from(b.join().unwrap()))
                .sum()
        });
        assert!(sold <= 1, "{sold} sold one spot");
        assert_eq!(server.event(event)["available_spots"], 1 - sold);
        server.assert_invariants();
    }
}
