//! The line contested: by cancellations and newcomers, by parties of any size, by holders at their last
//! moment, and by the organizer.

use super::contract_support::{
    assert_problem, cancel_event, cancel_ticket, change_event, frozen, get_ticket, ledger, sell,
    sell_for_good, unlimited,
};
use super::line::{ask, join, spots, status, statuses};
use crate::support::random::Random;
use crate::support::{PATIENCE, assert_sound, fill, wait_until};
use serde_json::json;
use std::sync::Barrier;

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
    for kind in ["waiting", "offered"] {
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
