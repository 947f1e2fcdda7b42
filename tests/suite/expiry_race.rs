//! The moment a hold expires, contested: by its holder who confirms, by a buyer who wants the
//! spot, and by the reaper. A ticket ends in exactly one state and its spot is counted once.

use crate::support::stampede::{Order, place, rush};
use crate::support::{FrozenClock, PATIENCE, Response, Server, wait_until};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const HOLD_MS: i64 = 300_000;

/// A server whose reaper does not come by while a test runs.
fn unswept(clock: &FrozenClock) -> Server {
    Server::builder()
        .args(clock.flags())
        .args(["--sweep", "1h"])
        .rate_limit_off()
        .start()
}

#[test]
fn a_ticket_ends_in_one_state_when_confirm_races_expiry() {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .args(clock.flags())
        .args(["--sweep", "100ms"])
        .rate_limit_off()
        .start();
    for round in 0..40 {
        race(&server, &clock, round);
    }
    server.assert_invariants();
}

fn race(server: &Server, clock: &FrozenClock, round: u32) {
    let event = server.create_event("Last moment", 1);
    let holder = server.register(event, "holder@example.com");
    let ticket = holder.expect_status(201).text("ticket_id");
    clock.advance(HOLD_MS - 1);

    let start_line = Barrier::new(7);
    let (confirms, rivals) = std::thread::scope(|scope| {
        let start_line = &start_line;
        let ticket = ticket.as_str();
        let confirms: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    start_line.wait();
                    server.confirm(ticket)
                })
            })
            .collect();
        let rivals: Vec<_> = (0..2)
            .map(|n| {
                scope.spawn(move || {
                    start_line.wait();
                    server.register(event, &format!("rival-{n}@example.com"))
                })
            })
            .collect();
        start_line.wait();
        // Later from round to round, so that either side gets its chance to win.
        (0..round * 20).for_each(|_| std::thread::yield_now());
        clock.advance(1);
        let join = |threads: Vec<std::thread::ScopedJoinHandle<_>>| -> Vec<Response> {
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        };
        (join(confirms), join(rivals))
    });
    judge(server, event, &ticket, &confirms, &rivals);
}

/// Whatever the order of events was, the answers and the database must tell one story.
fn judge(server: &Server, event: i64, ticket: &str, confirms: &[Response], rivals: &[Response]) {
    let end = server.get(&format!("/tickets/{ticket}")).expect_status(200);
    let rival_sales = rivals.iter().filter(|r| r.status == 201).count();
    for rival in rivals.iter().filter(|r| r.status != 201) {
        rival.clone().expect_problem(409, "sold_out");
    }
    if end.text("status") == "confirmed" {
        assert!(confirms.iter().all(|c| c.status == 200), "{confirms:?}");
        assert_eq!(rival_sales, 0, "the spot was sold twice");
        assert_eq!(server.event(event)["available_spots"], 0);
    } else {
        assert_eq!(end.text("status"), "cancelled");
        assert_eq!(end.text("cancel_reason"), "expired");
        for confirm in confirms {
            confirm.clone().expect_problem(410, "hold_expired");
        }
        assert!(rival_sales <= 1, "the spot was sold twice");
        let free = 1 - rival_sales;
        assert_eq!(server.event(event)["available_spots"], free);
        let late = server.register(event, "late@example.com");
        assert_eq!(late.status, if free == 1 { 201 } else { 409 }, "{late:?}");
    }
}

#[test]
fn the_real_clock_gives_the_holder_or_a_rival_the_spot_and_never_both() {
    let server = Server::builder()
        .args(["--hold", "1s", "--sweep", "1h"])
        .rate_limit_off()
        .start();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let server = &server;
            scope.spawn(move || race_in_real_time(server, n));
        }
    });
    server.assert_invariants();
}

/// The holder confirms within a few milliseconds of the end, while a rival asks again and again
/// for the spot.
fn race_in_real_time(server: &Server, n: i64) {
    let event = server.create_event("Real time", 1);
    let holder = server.register(event, "holder@example.com");
    let ticket = holder.expect_status(201);
    let expires_at = chrono::DateTime::parse_from_rfc3339(&ticket.text("expires_at")).unwrap();
    let confirm_at = expires_at.timestamp_millis() - 4 + n;
    let ticket = ticket.text("ticket_id");
    let is_confirmed = AtomicBool::new(false);
    let (confirm, rival_bought) = std::thread::scope(|scope| {
        let rival = scope.spawn(|| {
            let mut sold = false;
            wait_until(PATIENCE, || {
                // Asked before the order is placed, so that one is placed after it is true.
                let is_last = is_confirmed.load(Ordering::SeqCst);
                sold = place(server.addr(), event, Order::by("rival@example.com")).is_sale();
                sold || is_last
            });
            sold
        });
        while chrono::Utc::now().timestamp_millis() < confirm_at {
            std::thread::yield_now();
        }
        let confirm = server.confirm(&ticket);
        is_confirmed.store(confirm.status == 200, Ordering::SeqCst);
        (confirm, rival.join().unwrap())
    });
    if confirm.status == 200 {
        assert!(!rival_bought, "the spot was sold twice");
    } else {
        confirm.expect_problem(410, "hold_expired");
        assert!(rival_bought, "the spot was lost");
    }
}

#[test]
fn expired_holds_go_to_the_next_buyers_before_any_sweep() {
    let clock = FrozenClock::new();
    let server = unswept(&clock);
    let event = server.create_event("Musical chairs", 5);
    for generation in 0..4 {
        assert_eq!(server.event(event)["available_spots"], 5);
        let order = |n| Order::by(format!("g{generation}-{n}@example.com"));
        let outcomes = rush(&[server.addr()], event, (0..40).map(order).collect());
        let sold = outcomes.iter().filter(|o| o.is_sale()).count();
        let refused = outcomes.iter().filter(|o| o.is_sold_out()).count();
        assert_eq!((sold, refused), (5, 35), "generation {generation}");
        server.assert_invariants();
        clock.advance(HOLD_MS);
    }
    let sql = "SELECT count(*) FROM ledger WHERE event_id = ?1 AND kind = 'expired'";
    let released: i64 = server
        .db()
        .query_row(sql, [event], |row| row.get(0))
        .unwrap();
    assert_eq!(
        released, 15,
        "each generation but the last was released, once"
    );
}

#[test]
fn holds_that_expire_under_load_are_sold_again_exactly_once() {
    let clock = FrozenClock::new();
    let server = unswept(&clock);
    let event = server.create_event("Under load", 5);
    let (sold, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut reached = Vec::new();
    std::thread::scope(|scope| {
        for buyer in 0..8 {
            let (server, sold, is_over) = (&server, &sold, &is_over);
            scope.spawn(move || keep_buying(server, event, buyer, sold, is_over));
        }
        for generation in 1..=4 {
            wait_until(PATIENCE, || sold.load(Ordering::Relaxed) >= generation * 5);
            reached.push(sold.load(Ordering::Relaxed));
            clock.advance(HOLD_MS);
        }
        wait_until(PATIENCE, || sold.load(Ordering::Relaxed) >= 25);
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(reached, [5, 10, 15, 20]);
    assert_eq!(sold.into_inner(), 25);
    server.assert_invariants();
}

/// One connection that asks for a ticket, each time for another person, until told to stop.
fn keep_buying(
    server: &Server,
    event: i64,
    buyer: usize,
    sold: &AtomicUsize,
    is_over: &AtomicBool,
) {
    let mut client = server.client();
    let path = format!("/events/{event}/register");
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let order = Order::by(format!("load-{buyer}-{n}@example.com"));
        let answer = client.post(&path, "user", &order.json());
        if answer.status == 201 {
            sold.fetch_add(1, Ordering::Relaxed);
        } else {
            answer.expect_problem(409, "sold_out");
        }
    }
}
