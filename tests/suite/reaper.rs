//! The reaper: expired holds are written off by themselves, live ones and confirmed ones never.

use super::contract_support::{frozen, get_ticket, sell};
use crate::support::{FrozenClock, PATIENCE, Server, wait_until};

fn count(server: &Server, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM tickets WHERE {condition}");
    server.db().query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// What the row itself says, without the reader's own arithmetic.
fn stored_spots(server: &Server, event: i64) -> i64 {
    let sql = "SELECT available_spots FROM events WHERE id = ?";
    server
        .db()
        .query_row(sql, [event], |row| row.get(0))
        .unwrap()
}

#[test]
fn expired_holds_of_every_event_are_released_without_any_request() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .args(["--sweep", "100ms"])
        .start();
    let events = ["one", "two", "three"].map(|name| server.create_event(name, 5));
    for event in events {
        for n in 0..3 {
            sell(&server, event, &format!("buyer{n}@example.com"));
        }
        let confirmed = sell(&server, event, "confirmed@example.com");
        server.confirm(&confirmed).expect_status(200);
    }
    clock.advance(299_999);
    let live = sell(&server, events[0], "late@example.com");
    clock.advance(1);
    let all_swept = || count(&server, "status = 'cancelled'") == 9;
    assert!(wait_until(PATIENCE, all_swept));
    assert_eq!(events.map(|event| stored_spots(&server, event)), [3, 4, 4]);
    assert_eq!(count(&server, "status = 'confirmed'"), 3);
    assert_eq!(
        count(
            &server,
            "cancelled_at = expires_at AND cancel_reason = 'expired'"
        ),
        9
    );
    assert_eq!(get_ticket(&server, &live)["status"], "reserved");
    server.assert_invariants();
}

#[test]
fn the_real_clock_expires_holds_too() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--hold", "1s", "--sweep", "100ms"])
        .start();
    let event = server.create_event("Harbour walk", 1);
    let ticket = sell(&server, event, "ada@example.com");
    assert!(wait_until(PATIENCE, || stored_spots(&server, event) == 1));
    assert_eq!(get_ticket(&server, &ticket)["cancel_reason"], "expired");
    sell(&server, event, "ada@example.com");
    server.assert_invariants();
}

#[test]
fn holds_that_expired_while_the_server_was_down_are_released() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "ada@example.com");
    server.kill9();
    clock.advance(300_000);
    let next = Server::builder()
        .rate_limit_off()
        .db(server.db_path())
        .args(clock.flags())
        .args(["--sweep", "100ms"])
        .start();
    assert!(wait_until(PATIENCE, || stored_spots(&next, event) == 1));
    next.assert_invariants();
}
