//! The server ends, politely or not, and starts again on the same file: holds, confirmations
//! and idempotency keys are where they were, and time has gone on meanwhile.

use crate::support::stampede::{Order, Outcome, place};
use crate::support::{FrozenClock, PATIENCE, Server, wait_until};
use std::path::Path;
use std::sync::Mutex;

/// How many orders a buyer has, at most, in the test that cuts the power.
const ORDERS_EACH: usize = 50;

fn start(db: &Path) -> Server {
    Server::builder().db(db).rate_limit_off().start()
}

fn stop(server: &Server) {
    server.sigterm();
    let status = server.wait(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn live_holds_survive_a_stop() {
    survives(stop);
}

#[test]
fn live_holds_survive_a_kill() {
    survives(Server::kill9);
}

fn survives(end: fn(&Server)) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = start(&db);
    let event = server.create_event("Interrupted", 2);
    let order = Order::by("holder@example.com").with_key("the-order");
    let held = place(server.addr(), event, order.clone());
    let held = held.ticket_id.expect("sold");
    let held_before = server.get(&format!("/tickets/{held}")).expect_status(200);
    let paid = server.register(event, "payer@example.com");
    let paid = paid.expect_status(201).text("ticket_id");
    let paid_before = server.confirm(&paid).expect_status(200);
    end(&server);

    let server = start(&db);
    server.assert_invariants();
    assert_eq!(server.event(event)["available_spots"], 0);
    let held_after = server.get(&format!("/tickets/{held}")).expect_status(200);
    assert_eq!(held_after.json(), held_before.json());
    assert_eq!(held_after.text("status"), "reserved");
    assert_eq!(
        server.confirm(&paid).expect_status(200).json(),
        paid_before.json()
    );
    let again = place(server.addr(), event, order);
    assert_eq!(again.ticket_id.as_ref(), Some(&held));
    assert!(again.is_replay, "{again:?}");
    let rival = server.register(event, "rival@example.com");
    rival.expect_problem(409, "sold_out");
    assert_eq!(
        server.confirm(&held).expect_status(200).text("status"),
        "confirmed"
    );
    server.assert_invariants();
}

#[test]
fn a_hold_that_expires_while_the_server_is_down_is_for_sale_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let clock = FrozenClock::new();
    let start = || {
        let flags = clock.flags();
        let builder = Server::builder().db(&db).args(flags).rate_limit_off();
        builder.args(["--sweep", "1h"]).start()
    };
    let server = start();
    let event = server.create_event("Downtime", 1);
    let ticket = server.register(event, "holder@example.com");
    let ticket = ticket.expect_status(201).text("ticket_id");
    server.kill9();
    clock.advance(300_000);

    let server = start();
    assert_eq!(server.event(event)["available_spots"], 1);
    server.confirm(&ticket).expect_problem(410, "hold_expired");
    server
        .register(event, "next@example.com")
        .expect_status(201);
    server.confirm(&ticket).expect_problem(410, "hold_expired");
    server.assert_invariants();
}

#[test]
fn a_stop_leaves_one_file_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = start(&db);
    let event = server.create_event("One file", 3);
    server.register(event, "a@example.com").expect_status(201);
    stop(&server);

    let wal = folder.path().join("events.db-wal");
    let left = std::fs::metadata(&wal).map_or(0, |wal| wal.len());
    assert_eq!(
        left, 0,
        "the write-ahead log was not taken back into the database"
    );
    let copy = folder.path().join("copy.db");
    std::fs::copy(&db, &copy).unwrap();
    let server = start(&copy);
    assert_eq!(server.event(event)["available_spots"], 2);
}

#[test]
fn what_was_answered_before_a_kill_is_sold_and_the_rest_is_sold_by_retrying() {
    const BUYERS: usize = 16;
    // Enough for all, so that every order is either sold or cut off.
    const SPOTS: usize = BUYERS * ORDERS_EACH;
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = start(&db);
    let event = server.create_event("Power cut", SPOTS as u32);
    let outcomes = Mutex::new(Vec::<Outcome>::new());
    std::thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let (server, outcomes) = (&server, &outcomes);
            scope.spawn(move || buy_until_broken(server, event, buyer, outcomes));
        }
        // The cut comes in the middle of the sale.
        wait_until(PATIENCE, || outcomes.lock().unwrap().len() >= SPOTS / 4);
        server.kill9();
    });
    let outcomes = outcomes.into_inner().unwrap();

    let server = start(&db);
    server.assert_invariants();
    for outcome in &outcomes {
        let again = place(server.addr(), event, outcome.order.clone());
        assert!(again.is_sale(), "{again:?}");
        if outcome.is_sale() {
            assert_eq!(again.ticket_id, outcome.ticket_id);
            assert!(again.is_replay, "{again:?}");
        }
    }
    let left = SPOTS - outcomes.len();
    assert_eq!(server.event(event)["available_spots"], left);
    server.assert_invariants();
}

/// Orders with a new key each, until the server is gone; the last one got no answer.
fn buy_until_broken(server: &Server, event: i64, buyer: usize, outcomes: &Mutex<Vec<Outcome>>) {
    for n in 0..ORDERS_EACH {
        let name = format!("buyer-{buyer}-{n}");
        let order = Order::by(format!("{name}@example.com")).with_key(name);
        let outcome = place(server.addr(), event, order);
        let is_broken = outcome.status == 0;
        assert!(is_broken || outcome.is_sale(), "{outcome:?}");
        outcomes.lock().unwrap().push(outcome);
        if is_broken {
            return;
        }
    }
}
