//! When the server cannot: another program holds the database, or the commit queue is full.
//! A 503 means that nothing was sold and that the same order may be sent again.

use crate::support::stampede::{Order, Outcome, place};
use crate::support::{PATIENCE, Server, pause_for_arrival, wait_until};
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn order(n: usize) -> Order {
    Order::by(format!("buyer-{n}@example.com")).with_key(format!("order-{n}"))
}

#[test]
fn a_full_commit_queue_refuses_at_once_and_sells_nothing() {
    let server = Server::builder()
        .args(["--commit-queue", "4", "--commit-batch", "2"])
        .rate_limit_off()
        .start();
    let event = server.create_event("Overload", 100);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcomes = Mutex::new(Vec::<Outcome>::new());
    std::thread::scope(|scope| {
        for n in 0..30 {
            let (server, outcomes) = (&server, &outcomes);
            scope.spawn(move || {
                let outcome = place(server.addr(), event, order(n));
                outcomes.lock().unwrap().push(outcome);
            });
        }
        // The queue holds 4, the leader has taken at most 2: the others are refused while
        // the database is locked.
        wait_until(PATIENCE, || outcomes.lock().unwrap().len() >= 24);
        let refused_meanwhile = outcomes.lock().unwrap().len();
        let path = format!("/events/{event}/register");
        let refused = server.post(&path, "user", &order(30).json());
        assert!(refused.header("Retry-After").is_some(), "{refused:?}");
        refused.expect_problem(503, "overloaded");
        let sql = "SELECT count(*) FROM tickets";
        let sold: i64 = other_program.query_row(sql, [], |row| row.get(0)).unwrap();
        other_program.execute_batch("ROLLBACK").unwrap();
        assert_eq!(sold, 0);
        assert!(refused_meanwhile >= 24, "only {refused_meanwhile} answers");
    });
    let outcomes = outcomes.into_inner().unwrap();
    for refused in outcomes.iter().filter(|o| !o.is_sale()) {
        let answer = (refused.status, refused.code.as_str());
        assert_eq!(answer, (503, "overloaded"), "{refused:?}");
    }
    assert!(outcomes.iter().filter(|o| o.is_sale()).count() <= 6);

    for n in 0..=30 {
        assert!(place(server.addr(), event, order(n)).is_sale());
    }
    assert_eq!(server.event(event)["available_spots"], 69);
    server.assert_invariants();
}

#[test]
fn a_database_locked_by_another_program_for_10_s_is_503_and_reads_go_on() {
    let server = Server::start(&["--rate-limit", "off", "--workers", "2"]);
    let event = server.create_event("Locked", 2);
    let before = place(server.addr(), event, order(0));
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = Instant::now();
    let path = format!("/events/{event}/register");
    while locked.elapsed() < Duration::from_secs(10) {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| server.client().post(&path, "user", &order(1).json()));
            // Readers see the last committed state and wait for nobody.
            let mut reader = server.client();
            while !waiting.is_finished() {
                let seen = reader.get(&format!("/events/{event}")).expect_status(200);
                assert_eq!(seen.json()["available_spots"], 1);
            }
            let refused = waiting.join().unwrap();
            assert!(refused.header("Retry-After").is_some(), "{refused:?}");
            refused.expect_problem(503, "storage_unavailable");
        });
    }
    let log = server.log();
    assert!(log.contains("database is locked"), "{log}");
    other_program.execute_batch("ROLLBACK").unwrap();

    let sold = place(server.addr(), event, order(1));
    assert!(sold.is_sale() && !sold.is_replay, "{sold:?}");
    let again = place(server.addr(), event, order(0));
    assert_eq!((again.ticket_id, again.is_replay), (before.ticket_id, true));
    assert_eq!(server.event(event)["available_spots"], 0);
    server.assert_invariants();
}

#[test]
fn a_lock_of_a_moment_costs_a_moment_and_no_refusal() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Backup", 20);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let place_order = |n| {
            let server = &server;
            scope.spawn(move || place(server.addr(), event, order(n)))
        };
        let buyers: Vec<_> = (0..20).map(place_order).collect();
        pause_for_arrival();
        other_program.execute_batch("ROLLBACK").unwrap();
        for buyer in buyers {
            let outcome = buyer.join().unwrap();
            assert!(outcome.is_sale(), "{outcome:?}");
        }
    });
    server.assert_invariants();
}
