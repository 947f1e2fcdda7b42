//! `POST /tickets/{id}/check-in`: a ticket lets its holder in exactly once, however many scan it.

use super::contract_support::{
    JSON, NO_TICKET, ORGANIZER, assert_names, assert_problem, cancel_event, cancel_ticket,
    check_in, frozen, get_ticket, ledger, rfc3339, sell, sell_for_good, send, unlimited,
};
use crate::support::{Response, Server};
use serde_json::json;
use std::sync::Barrier;

fn check_in_with_key(server: &Server, ticket: &str, key: &str) -> Response {
    let headers = [ORGANIZER, JSON, ("Idempotency-Key", key)];
    let path = format!("/tickets/{ticket}/check-in");
    send(server, "POST", &path, &headers, None)
}

#[test]
fn the_first_scan_lets_in_and_the_next_is_told_when() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    clock.advance(1_000_000);
    let mut expected = get_ticket(&server, &ticket);
    expected["checked_in_at"] = json!(rfc3339(clock.now_ms()));
    expected["checked_in_spots"] = json!(1);
    let first = check_in(&server, &ticket).expect_status(200);
    assert_eq!(first.json(), expected);
    clock.advance(1_000);
    let second = check_in(&server, &ticket);
    assert_problem(&second, 409, "already_checked_in");
    assert_eq!(second.json()["checked_in_at"], expected["checked_in_at"]);
    assert_eq!(get_ticket(&server, &ticket), expected);
    // To confirm again is as good as ever.
    assert_eq!(server.confirm(&ticket).expect_status(200).json(), expected);
    assert_eq!(server.event(event)["available_spots"], 4);
    assert_eq!(ledger(&server, event).last().unwrap().0, "checked_in");
    server.assert_invariants();
}

#[test]
fn only_a_confirmed_ticket_lets_in() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let held = sell(&server, event, "ada@example.com");
    let given_back = sell_for_good(&server, event, "bob@example.com");
    cancel_ticket(&server, &given_back).expect_status(200);
    for (ticket, status) in [(&held, "reserved"), (&given_back, "cancelled")] {
        let refused = check_in(&server, ticket);
        assert_problem(&refused, 409, "not_confirmed");
        assert_eq!(refused.text("ticket_status"), status);
    }
    clock.advance(300_000);
    let refused = check_in(&server, &held);
    assert_eq!(
        refused.text("ticket_status"),
        "cancelled",
        "an expired hold"
    );
    for id in [NO_TICKET, "1", "%00"] {
        assert_problem(&check_in(&server, id), 404, "ticket_not_found");
    }
    let path = format!("/tickets/{held}/check-in");
    let refused = server.post(&path, "organizer", r#"{"email":"ada@example.com"}"#);
    assert_problem(&refused, 400, "invalid_request");
    assert_names(&refused, "email");
}

#[test]
fn the_scan_that_let_in_may_be_repeated_by_its_key_only() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let [ticket, other] =
        ["ada@example.com", "bob@example.com"].map(|email| sell_for_good(&server, event, email));
    let first = check_in_with_key(&server, &ticket, "gate-1").expect_status(200);
    for _ in 0..2 {
        let again = check_in_with_key(&server, &ticket, "gate-1").expect_status(200);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    }
    let refused = check_in_with_key(&server, &ticket, "gate-2");
    assert_problem(&refused, 409, "already_checked_in");
    let reused = check_in_with_key(&server, &other, "gate-1");
    assert_problem(&reused, 422, "idempotency_key_reused");
    // A refused scan's key is still fresh.
    check_in_with_key(&server, &other, "gate-2").expect_status(200);
    server.assert_invariants();
}

/// Each scanner's answer, all sent at one moment.
fn scan<S: Sync>(scanners: &[S], scan: impl Fn(&S) -> Response + Sync) -> Vec<Response> {
    let start_line = Barrier::new(scanners.len());
    std::thread::scope(|scope| {
        let (start_line, scan) = (&start_line, &scan);
        let at_once = |scanner| {
            scope.spawn(move || {
                start_line.wait();
                scan(scanner)
            })
        };
        let scanning: Vec<_> = scanners.iter().map(at_once).collect();
        let join = |s: std::thread::ScopedJoinHandle<_>| s.join().unwrap();
        scanning.into_iter().map(join).collect()
    })
}

#[test]
fn of_fifty_scanners_at_once_one_lets_in() {
    let server = unlimited();
    let event = server.create_event("Walk", 10);
    for round in 0..5 {
        let ticket = sell_for_good(&server, event, &format!("guest-{round}@example.com"));
        // Half of them with a key of their own: that makes no difference.
        let keys: Vec<String> = (0..50).map(|n| format!("{round}-{n}")).collect();
        let answers = scan(&keys, |key| {
            match key.ends_with(['0', '2', '4', '6', '8']) {
                true => check_in(&server, &ticket),
                false => check_in_with_key(&server, &ticket, key),
            }
        });
        let let_in: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
        assert_eq!(let_in.len(), 1, "round {round}");
        for refused in answers.iter().filter(|a| a.status != 200) {
            assert_problem(refused, 409, "already_checked_in");
            assert_eq!(
                refused.text("checked_in_at"),
                let_in[0].text("checked_in_at")
            );
        }
    }
    let rows = ledger(&server, event);
    let written = rows.iter().filter(|(kind, _)| kind == "checked_in").count();
    assert_eq!(written, 5);
    server.assert_invariants();
}

#[test]
fn one_scanner_that_repeats_itself_fifty_times_at_once_lets_in_once() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    let answers = scan(&[(); 50], |()| {
        check_in_with_key(&server, &ticket, "gate-1")
    });
    assert!(
        answers
            .iter()
            .all(|a| a.status == 200 && a.body == answers[0].body)
    );
    let fresh = |a: &&Response| a.header("Idempotent-Replayed").is_none();
    assert_eq!(answers.iter().filter(fresh).count(), 1);
    server.assert_invariants();
}

#[test]
fn a_scan_races_the_holders_cancellation_and_one_of_them_wins() {
    let server = unlimited();
    let event = server.create_event("Walk", 100);
    let mut came_in = 0;
    for round in 0..40 {
        let ticket = sell_for_good(&server, event, &format!("guest-{round}@example.com"));
        let answers = scan(&[true, false], |&scans| match scans {
            true => check_in(&server, &ticket),
            false => cancel_ticket(&server, &ticket),
        });
        let end = get_ticket(&server, &ticket);
        if answers[0].status == 200 {
            came_in += 1;
            assert_problem(&answers[1], 409, "already_checked_in");
            assert_eq!(end["status"], "confirmed");
        } else {
            assert_problem(&answers[0], 409, "not_confirmed");
            assert_eq!(answers[1].status, 200);
            assert_eq!(end["cancel_reason"], "holder");
        }
        server.assert_invariants();
    }
    assert_eq!(server.event(event)["available_spots"], 100 - came_in);
    println!("{came_in} of 40 came in");
}

#[test]
fn who_came_in_is_cancelled_with_the_event_and_has_come_in_all_the_same() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    let first = check_in_with_key(&server, &ticket, "gate-1").expect_status(200);
    cancel_event(&server, event).expect_status(200);
    let end = get_ticket(&server, &ticket);
    assert_eq!(
        (&end["status"], &end["checked_in_at"]),
        (&json!("cancelled"), &first.json()["checked_in_at"])
    );
    assert_problem(&check_in(&server, &ticket), 409, "not_confirmed");
    let again = check_in_with_key(&server, &ticket, "gate-1").expect_status(200);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("Ticket-Status"), Some("cancelled"));
    let kinds: Vec<_> = ledger(&server, event)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    let expected = "created reserved confirmed checked_in cancelled event_cancelled";
    assert_eq!(kinds.join(" "), expected);
    server.assert_invariants();
}
