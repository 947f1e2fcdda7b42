//! The line before an event that is sold out: served by whoever frees spots, in the order of joining,
//! and overtaken by nobody.

use super::contract_support::{
    JSON, USER, assert_problem, cancel_event, cancel_ticket, change_event, frozen, get_ticket,
    ledger, parse_ms, rfc3339, sell, sell_for_good, send, unlimited,
};
use crate::support::random::Random;
use crate::support::{PATIENCE, Response, Server, assert_sound, fill, wait_until};
use serde_json::json;
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn ask(server: &Server, event: i64, name: &str, spots: i64, waits: bool) -> Response {
    let email = format!("{name}@example.com");
    let body = json!({"email": email, "spots": spots, "wait": waits});
    let path = format!("/events/{event}/register");
    server.post(&path, "user", &body.to_string())
}

/// Joins the line; returns the ticket.
#[track_caller]
fn join(server: &Server, event: i64, name: &str, spots: i64) -> String {
    let joined = ask(server, event, name, spots, true).expect_status(202);
    assert_eq!(joined.text("status"), "waiting");
    joined.text("ticket_id")
}

fn status(server: &Server, ticket: &str) -> String {
    get_ticket(server, ticket)["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn statuses(server: &Server, tickets: &[String]) -> Vec<String> {
    tickets
        .iter()
        .map(|ticket| status(server, ticket))
        .collect()
}

fn spots(server: &Server, event: i64) -> (i64, i64) {
    let event = server.event(event);
    let number = |name: &str| event[name].as_i64().unwrap();
    (number("available_spots"), number("waiting"))
}

#[test]
fn who_waits_is_told_how_many_are_ahead_and_gets_the_spot_that_comes_free() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 1);
    let holder = sell(&server, event, "ada@example.com");
    let joined = ask(&server, event, "bob", 1, true).expect_status(202);
    let bob = joined.text("ticket_id");
    assert_eq!(
        joined.header("Location"),
        Some(format!("/tickets/{bob}").as_str())
    );
    assert_eq!(joined.json()["ahead"], 0);
    assert!(joined.json().get("expires_at").is_none());
    let eve = join(&server, event, "eve", 1);
    assert_eq!(get_ticket(&server, &eve)["ahead"], 1);
    assert_eq!(spots(&server, event), (0, 2));
    assert_problem(
        &ask(&server, event, "bob", 1, false),
        409,
        "already_registered",
    );
    assert_problem(&server.confirm(&bob), 409, "ticket_waiting");
    let refused = server.register(event, "late@example.com");
    assert_problem(&refused, 409, "sold_out");
    assert_eq!(refused.json()["waiting"], 2);
    clock.advance(100_000);
    cancel_ticket(&server, &holder).expect_status(200);
    let served = get_ticket(&server, &bob);
    assert_eq!(served["status"], "reserved");
    assert_eq!(served["expires_at"], rfc3339(clock.now_ms() + 300_000));
    assert!(served.get("ahead").is_none());
    assert_eq!(get_ticket(&server, &eve)["ahead"], 0);
    cancel_ticket(&server, &eve).expect_status(200);
    server.confirm(&bob).expect_status(200);
    assert_eq!(spots(&server, event), (0, 0));
    let kinds: Vec<String> = ledger(&server, event)
        .into_iter()
        .map(|row| row.0)
        .collect();
    let told = [
        "created",
        "reserved",
        "waiting",
        "waiting",
        "cancelled",
        "offered",
        "cancelled",
        "confirmed",
    ];
    assert_eq!(kinds, told);
    server.assert_invariants();
    assert_sound(server.db_path());
}

#[test]
fn a_key_gives_the_first_answer_again_and_says_what_became_of_it() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    let holder = sell(&server, event, "ada@example.com");
    let again = || {
        let headers = [USER, JSON, ("Idempotency-Key", "k")];
        let path = format!("/events/{event}/register");
        let body = r#"{"email":"bob@example.com","wait":true}"#;
        send(&server, "POST", &path, &headers, Some(body))
    };
    let first = again().expect_status(202);
    cancel_ticket(&server, &holder).expect_status(200);
    let replayed = again().expect_status(202);
    assert_eq!(replayed.body, first.body);
    assert_eq!(replayed.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(replayed.header("Ticket-Status"), Some("reserved"));
    assert_eq!(replayed.header("Location"), first.header("Location"));
}

#[test]
fn a_party_that_does_not_fit_keeps_its_place_and_nothing_stands_empty() {
    let server = unlimited();
    let event = server.create_event("Walk", 6);
    let holders: Vec<_> = (0..6)
        .map(|n| sell(&server, event, &format!("{n}@example.com")))
        .collect();
    let four = join(&server, event, "four", 4);
    let two = join(&server, event, "two", 2);
    let one = join(&server, event, "one", 1);
    let line = [four, two, one];
    let free = |n: usize| drop(cancel_ticket(&server, &holders[n]).expect_status(200));
    free(0);
    assert_eq!(statuses(&server, &line), ["waiting", "waiting", "reserved"]);
    free(1);
    free(2);
    assert_eq!(
        statuses(&server, &line),
        ["waiting", "reserved", "reserved"]
    );
    free(3);
    // Nobody in line can use it, so that a newcomer may.
    assert_eq!(spots(&server, event), (1, 1));
    let newcomer = ask(&server, event, "new", 1, false)
        .expect_status(201)
        .text("ticket_id");
    free(4);
    free(5);
    cancel_ticket(&server, &line[2]).expect_status(200);
    assert_eq!(status(&server, &line[0]), "waiting");
    cancel_ticket(&server, &newcomer).expect_status(200);
    assert_eq!(status(&server, &line[0]), "reserved");
    server.assert_invariants();
    assert_sound(server.db_path());
}

#[test]
fn a_smaller_party_in_line_fits_at_once() {
    let server = unlimited();
    let event = server.create_event("Walk", 2);
    sell_for_good(&server, event, "ada@example.com");
    let three = join(&server, event, "three", 3);
    let path = format!("/tickets/{three}/cancel");
    server
        .post(&path, "user", r#"{"spots":1}"#)
        .expect_status(200);
    assert_eq!(status(&server, &three), "waiting");
    let served = server
        .post(&path, "user", r#"{"spots":1}"#)
        .expect_status(200);
    assert_eq!(
        (served.text("status"), served.json()["spots"].as_i64()),
        ("reserved".into(), Some(1))
    );
    assert_sound(server.db_path());
}

#[test]
fn the_line_is_as_long_as_the_organizer_lets_it() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    sell(&server, event, "ada@example.com");
    change_event(&server, event, r#"{"waiting_max":2}"#).expect_status(200);
    join(&server, event, "a", 1);
    let b = join(&server, event, "b", 1);
    for _ in 0..2 {
        let refused = ask(&server, event, "c", 1, true);
        assert_problem(&refused, 409, "line_full");
        assert_eq!(refused.json()["waiting"], 2);
    }
    cancel_ticket(&server, &b).expect_status(200);
    join(&server, event, "c", 1);
    change_event(&server, event, r#"{"waiting_max":0}"#).expect_status(200);
    assert_problem(&ask(&server, event, "d", 1, true), 409, "line_full");
    server.assert_invariants();
}

#[test]
fn a_hold_that_ends_is_the_lines_at_once_and_never_shown_as_free() {
    let (clock, server) = frozen(&["--hold", "60s"]);
    let event = server.create_event("Walk", 2);
    sell(&server, event, "ada@example.com");
    sell_for_good(&server, event, "bob@example.com");
    let [next, last] = ["next", "last"].map(|name| join(&server, event, name, 1));
    clock.advance(60_000);
    let ended = Instant::now();
    assert!(wait_until(PATIENCE, || {
        assert_eq!(spots(&server, event).0, 0, "shown as free");
        status(&server, &next) == "reserved"
    }));
    assert!(
        ended.elapsed() < Duration::from_secs(2),
        "{:?}",
        ended.elapsed()
    );
    // The offer ends like any hold, and goes on down the line.
    clock.advance(60_000);
    assert!(wait_until(PATIENCE, || status(&server, &last) == "reserved"));
    assert_eq!(get_ticket(&server, &next)["cancel_reason"], "expired");
    assert_sound(server.db_path());
}

#[test]
fn a_newcomer_does_not_get_the_spot_of_a_hold_that_has_ended() {
    let (clock, server) = frozen(&["--hold", "60s"]);
    for round in 0..10 {
        let event = server.create_event("Walk", 1);
        sell(&server, event, "ada@example.com");
        let next = join(&server, event, "next", 1);
        clock.advance(60_000);
        let refused = server.register(event, &format!("late-{round}@example.com"));
        assert_problem(&refused, 409, "sold_out");
        assert_eq!(status(&server, &next), "reserved");
    }
    assert_sound(server.db_path());
}

#[test]
fn offers_are_made_while_sales_are_open_and_as_soon_as_they_are() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 1);
    let holder = sell(&server, event, "ada@example.com");
    let next = join(&server, event, "next", 1);
    let opens = rfc3339(clock.now_ms() + 50_000);
    let closed = format!(r#"{{"sales_open_at":"{opens}"}}"#);
    change_event(&server, event, &closed).expect_status(200);
    cancel_ticket(&server, &holder).expect_status(200);
    assert_eq!(status(&server, &next), "waiting");
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(
        status(&server, &next),
        "waiting",
        "served while sales were closed"
    );
    clock.advance(50_000);
    assert!(wait_until(PATIENCE, || status(&server, &next) == "reserved"));
    // And at once, if it is the organizer who opens them.
    let last = join(&server, event, "last", 1);
    change_event(
        &server,
        event,
        r#"{"sales_open_at":null,"sales_close_at":"2026-01-01T00:00:00Z"}"#,
    )
    .expect_status(200);
    cancel_ticket(&server, &next).expect_status(200);
    assert_eq!(status(&server, &last), "waiting");
    change_event(&server, event, r#"{"sales_close_at":null}"#).expect_status(200);
    assert_eq!(status(&server, &last), "reserved");
    assert_sound(server.db_path());
}

#[test]
fn ten_cancellations_serve_the_first_ten_and_no_newcomer() {
    let server = unlimited();
    let event = server.create_event("Walk", 10);
    let holders: Vec<_> = (0..10)
        .map(|n| sell_for_good(&server, event, &format!("holder-{n}@example.com")))
        .collect();
    let line: Vec<_> = (0..60)
        .map(|n| join(&server, event, &format!("line-{n}"), 1))
        .collect();
    let start_line = Barrier::new(50);
    std::thread::scope(|scope| {
        for holder in &holders {
            let (server, start_line) = (&server, &start_line);
            scope.spawn(move || {
                start_line.wait();
                cancel_ticket(server, holder).expect_status(200);
            });
        }
        for n in 0..40 {
            let (server, start_line) = (&server, &start_line);
            scope.spawn(move || {
                start_line.wait();
                let refused = server.register(event, &format!("new-{n}@example.com"));
                assert_problem(&refused, 409, "sold_out");
            });
        }
    });
    let served = statuses(&server, &line);
    assert!(
        served[..10].iter().all(|status| status == "reserved"),
        "{served:?}"
    );
    assert!(
        served[10..].iter().all(|status| status == "waiting"),
        "{served:?}"
    );
    let sql =
        "SELECT group_concat(place) FROM (SELECT place FROM ledger JOIN tickets ON seq = ticket_seq
               WHERE kind = 'offered' ORDER BY n)";
    let order: String = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(order, "1,2,3,4,5,6,7,8,9,10");
    assert_sound(server.db_path());
}

/// Buyers who do anything that can be done, in parties of 1 to 10, while the organizer makes the event
/// larger and smaller.
#[test]
fn whatever_a_crowd_of_parties_does_the_line_is_served_in_its_order() {
    let (clock, server) = frozen(&["--hold", "20s"]);
    let (_, seed) = Random::announced("line");
    let event = server.create_event("Walk", 40);
    std::thread::scope(|scope| {
        for buyer in 0..12 {
            let (server, clock) = (&server, &clock);
            scope.spawn(move || {
                let mut random = Random::from(seed ^ buyer);
                let mut tickets: Vec<String> = Vec::new();
                for n in 0..40 {
                    let number = 1 + random.below(10) as i64;
                    let ticket = tickets.get(random.below(tickets.len().max(1)));
                    match (random.below(8), ticket) {
                        (0, Some(ticket)) => drop(server.confirm(ticket)),
                        (1, Some(ticket)) => {
                            drop(server.post(&format!("/tickets/{ticket}/extend"), "user", ""));
                        }
                        (2, Some(ticket)) => {
                            let body = json!({"spots": number}).to_string();
                            drop(server.post(&format!("/tickets/{ticket}/cancel"), "user", &body));
                        }
                        (3, Some(ticket)) => drop(cancel_ticket(server, ticket)),
                        (4, _) if buyer == 0 => {
                            let body = json!({"total_spots": 20 + random.below(40)}).to_string();
                            drop(change_event(server, event, &body));
                        }
                        (5, _) if buyer == 1 => {
                            clock.advance(5_000);
                        }
                        _ => {
                            let name = format!("buyer-{buyer}-{n}");
                            let asked = ask(server, event, &name, number, !random.once_in(3));
                            assert!(matches!(asked.status, 201 | 202 | 409), "{asked:?}");
                            if asked.status < 300 {
                                tickets.push(asked.text("ticket_id"));
                            }
                        }
                    }
                }
            });
        }
    });
    server.assert_invariants();
    assert_sound(server.db_path());
    let kinds: Vec<String> = ledger(&server, event)
        .into_iter()
        .map(|row| row.0)
        .collect();
    for kind in ["waiting", "offered", "reduced", "expired", "changed"] {
        assert!(kinds.iter().any(|k| k == kind), "no {kind}: SEED={seed}");
    }
}

/// The holder extends, confirms, and the hold ends: with somebody in line who wants the spot.
#[test]
fn a_spot_is_the_holders_or_the_next_ones_whoever_is_first() {
    let (clock, server) = frozen(&["--hold", "60s"]);
    for round in 0..20 {
        let event = server.create_event("Walk", 1);
        let holder = sell(&server, event, "ada@example.com");
        let next = join(&server, event, "next", 1);
        clock.advance(59_999);
        let start_line = Barrier::new(4);
        std::thread::scope(|scope| {
            let spawn = |what: &'static str| {
                let (server, start_line, holder) = (&server, &start_line, &holder);
                scope.spawn(move || {
                    start_line.wait();
                    server.post(&format!("/tickets/{holder}/{what}"), "user", "")
                });
            };
            ["confirm", "extend"].into_iter().for_each(spawn);
            let (server, start_line) = (&server, &start_line);
            scope.spawn(move || {
                start_line.wait();
                server.register(event, "late@example.com")
            });
            start_line.wait();
            (0..round * 20).for_each(|_| std::thread::yield_now());
            clock.advance(1);
        });
        let holder = get_ticket(&server, &holder);
        if holder["status"] == "cancelled" {
            assert!(wait_until(PATIENCE, || status(&server, &next) == "reserved"));
        } else {
            assert_eq!(status(&server, &next), "waiting");
        }
        assert_eq!(spots(&server, event).0, 0);
    }
    assert_sound(server.db_path());
}

#[test]
fn a_larger_event_serves_thousands_at_once() {
    let server = unlimited();
    let event = server.create_event("Stadium", 1);
    sell(&server, event, "ada@example.com");
    fill::line(server.db_path(), event, 10_000);
    let before = join(&server, event, "party", 7);
    assert_eq!(get_ticket(&server, &before)["ahead"], 10_000);
    let changed = change_event(&server, event, r#"{"total_spots":6001}"#).expect_status(200);
    assert_eq!(changed.json()["waiting"], 4_001);
    assert_eq!(changed.json()["available_spots"], 0);
    assert_eq!(get_ticket(&server, &before)["ahead"], 4_000);
    change_event(&server, event, r#"{"total_spots":20000}"#).expect_status(200);
    assert_eq!(status(&server, &before), "reserved");
    assert_eq!(spots(&server, event), (20_000 - 10_008, 0));
    server.assert_invariants();
    assert_sound(server.db_path());
}

#[test]
fn an_event_is_cancelled_with_its_line() {
    let server = unlimited();
    let event = server.create_event("Stadium", 5);
    let holder = sell_for_good(&server, event, "ada@example.com");
    (0..4).for_each(|n| drop(sell(&server, event, &format!("{n}@example.com"))));
    fill::line(server.db_path(), event, 10_000);
    let last = join(&server, event, "last", 3);
    let cancelled = cancel_event(&server, event).expect_status(200);
    assert_eq!(cancelled.json()["waiting"], 0);
    let (last, holder) = (get_ticket(&server, &last), get_ticket(&server, &holder));
    assert_eq!(
        (&last["status"], &last["cancel_reason"]),
        (&json!("cancelled"), &json!("organizer"))
    );
    assert_eq!(holder["status"], "cancelled");
    let sql = "SELECT count(*) FROM ledger WHERE kind = 'offered'";
    let offers: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(offers, 0);
    server.assert_invariants();
    assert_sound(server.db_path());
}

#[test]
fn the_line_is_in_the_list_and_in_the_sheet() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 1);
    sell(&server, event, "ada@example.com");
    let next = join(&server, event, "next", 1);
    let path = format!("/events/{event}/tickets?status=waiting");
    let listed = send(&server, "GET", &path, &[("X-Role", "organizer")], None).expect_status(200);
    assert_eq!(listed.json()[0]["ticket_id"], next);
    let csv = [("X-Role", "organizer"), ("Accept", "text/csv")];
    let sheet = send(&server, "GET", &path, &csv, None)
        .expect_status(200)
        .body;
    assert_eq!(sheet.lines().count(), 2, "{sheet}");
    assert!(
        sheet.contains("\"next@example.com\",\"waiting\""),
        "{sheet}"
    );
    assert_eq!(
        parse_ms(get_ticket(&server, &next)["created_at"].as_str().unwrap()),
        clock.now_ms()
    );
}
