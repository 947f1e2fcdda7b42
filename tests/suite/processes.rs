//! Several server processes on one database file. They share no baton and no memory: the
//! transactions alone must keep them from overselling.

use super::stampede::assert_one_ticket_a_buyer;
use crate::support::stampede::{Order, Outcome, place, rush};
use crate::support::{PATIENCE, Server, assert_invariants, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROCESSES: usize = 4;

/// Starts them all at one moment.
fn start_together(db: &Path, processes: usize) -> Vec<Server> {
    let start_line = Barrier::new(processes);
    std::thread::scope(|scope| {
        let start = |_| {
            scope.spawn(|| {
                start_line.wait();
                Server::builder().db(db).rate_limit_off().start()
            })
        };
        let starts: Vec<_> = (0..processes).map(start).collect();
        let started = |s: std::thread::ScopedJoinHandle<Server>| s.join().expect("starts");
        starts.into_iter().map(started).collect()
    })
}

/// The first makes the file, the others find it.
fn start_all(db: &Path) -> Vec<Server> {
    let mut servers = start_together(db, 1);
    servers.extend(start_together(db, PROCESSES - 1));
    servers
}

fn addresses(servers: &[Server]) -> Vec<SocketAddr> {
    servers.iter().map(Server::addr).collect()
}

/// What a 503 asks of a client: the same order, with the same key, until it is decided.
fn place_until_decided(server: SocketAddr, event: i64, order: &Order) -> Outcome {
    let mut outcome = place(server, event, order.clone());
    wait_until(PATIENCE, || {
        if outcome.status == 503 {
            outcome = place(server, event, order.clone());
        }
        outcome.status != 503
    });
    outcome
}

#[test]
fn processes_that_start_at_one_moment_make_one_database() {
    for _ in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let servers = start_together(&folder.path().join("events.db"), PROCESSES);
        let event = servers[0].create_event("One file", 1);
        for server in &servers {
            assert_eq!(server.event(event)["available_spots"], 1);
        }
    }
}

#[test]
fn four_processes_on_one_file_sell_each_spot_once() {
    let folder = tempfile::tempdir().unwrap();
    let servers = start_all(&folder.path().join("events.db"));
    let addresses = addresses(&servers);
    let event = servers[0].create_event("Four doors", 10);
    // Each buyer sends one order through all four doors.
    let order = |n| Order::by(format!("buyer-{n}@example.com")).with_key(format!("order-{n}"));
    let orders = (0..120).map(|n| order(n / PROCESSES)).collect();

    let mut outcomes = rush(&addresses, event, orders);
    for (n, outcome) in outcomes.iter_mut().enumerate() {
        if outcome.status == 503 {
            let address = addresses[n % PROCESSES];
            *outcome = place_until_decided(address, event, &outcome.order);
        }
    }

    assert_one_ticket_a_buyer(&outcomes, PROCESSES, 10);
    for server in &servers {
        assert_eq!(server.event(event)["available_spots"], 0);
    }
    servers[0].assert_invariants();
}

#[test]
fn four_processes_sell_out_under_sustained_contention() {
    const SPOTS: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let servers = start_all(&folder.path().join("events.db"));
    let addresses = addresses(&servers);
    let event = servers[3].create_event("A long queue", SPOTS as u32);
    let sold = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (buyer, address) in addresses.iter().cycle().take(16).enumerate() {
            let sold = &sold;
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("buyer-{buyer}-{n}");
                    let order = Order::by(format!("{name}@example.com")).with_key(name);
                    let outcome = place_until_decided(*address, event, &order);
                    if outcome.is_sold_out() {
                        return;
                    }
                    assert!(outcome.is_sale(), "{outcome:?}");
                    sold.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(sold.into_inner(), SPOTS);
    assert_invariants(&servers[0].db());
}

#[test]
fn a_ticket_sold_by_one_process_is_confirmed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let servers = start_all(&folder.path().join("events.db"));
    let event = servers[0].create_event("Next door", 1);
    let order = Order::by("buyer@example.com").with_key("the-order");
    let sale = place(servers[1].addr(), event, order.clone());
    assert!(sale.is_sale(), "{sale:?}");
    let ticket = sale.ticket_id.clone().unwrap();

    let confirmed = servers[2].confirm(&ticket).expect_status(200);
    assert_eq!(confirmed.text("status"), "confirmed");
    let again = place(servers[3].addr(), event, order);
    assert_eq!(again.ticket_id, Some(ticket));
    assert!(again.is_replay, "{again:?}");
    let rival = place(servers[3].addr(), event, Order::by("rival@example.com"));
    assert!(rival.is_sold_out(), "{rival:?}");
    assert_invariants(&servers[0].db());
}
