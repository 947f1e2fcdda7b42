//! A sale to buyers who do not give up: whoever gets no answer, or a 503, asks again with the same
//! key. It goes on for as long as a test wants, while the test does something to the server.

use super::server::Server;
use super::stampede::{Order, place};
use super::{Client, PATIENCE, fresh_source, wait_until};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a buyer asks again: a few restarts of the server.
const PERSEVERANCE: Duration = Duration::from_secs(60);

pub struct Sale {
    address: SocketAddr,
    event: i64,
    spots: usize,
    /// Orders that may be placed so far, and those that were.
    released: AtomicUsize,
    placed: AtomicUsize,
    tickets: Mutex<Vec<String>>,
}

impl Sale {
    /// Of a fresh event, through whatever stands at `address`.
    pub fn of(server: &Server, address: SocketAddr, spots: usize) -> Sale {
        Sale {
            address,
            event: server.create_event("Sale", spots as u32),
            spots,
            released: AtomicUsize::new(0),
            placed: AtomicUsize::new(0),
            tickets: Mutex::default(),
        }
    }

    /// Sells to `buyers` until nothing is left, while `meanwhile` goes on. Says which tickets were
    /// acknowledged; each one is there, and not one more or less than there were spots.
    pub fn run(&self, server: &Server, buyers: usize, meanwhile: impl FnOnce()) -> Vec<String> {
        std::thread::scope(|scope| {
            let buyers: Vec<_> = (0..buyers)
                .map(|buyer| scope.spawn(move || self.buy(buyer)))
                .collect();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            self.release(usize::MAX / 2);
            buyers
                .into_iter()
                .for_each(|buyer| buyer.join().expect("a buyer"));
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        let tickets = self.tickets.lock().unwrap().clone();
        assert_eq!(tickets.len(), self.spots, "acknowledged sales");
        let distinct: HashSet<&String> = tickets.iter().collect();
        assert_eq!(distinct.len(), self.spots, "a ticket was sold twice");
        server.assert_invariants();
        assert_all_there(server, &tickets);
        tickets
    }

    /// Lets the buyers place so many orders more.
    pub fn release(&self, orders: usize) {
        self.released.fetch_add(orders, Ordering::Relaxed);
    }

    pub fn sold(&self) -> usize {
        self.tickets.lock().unwrap().len()
    }

    fn buy(&self, buyer: usize) {
        for n in 0.. {
            let place = self.placed.fetch_add(1, Ordering::Relaxed);
            wait_until(PERSEVERANCE, || {
                place < self.released.load(Ordering::Relaxed)
            });
            let name = format!("buyer-{}-{buyer}-{n}", self.event);
            let order = Order::by(format!("{name}@example.com")).with_key(name);
            match self.order_until_answered(&order) {
                Some(ticket) => self.tickets.lock().unwrap().push(ticket),
                None => return,
            }
        }
    }

    /// The ticket, or None if there was none left.
    fn order_until_answered(&self, order: &Order) -> Option<String> {
        let mut answered = None;
        wait_until(PERSEVERANCE, || {
            let outcome = place(self.address, self.event, order.clone());
            if matches!(outcome.status, 0 | 502..=504) {
                return false;
            }
            answered = Some(outcome);
            true
        });
        let outcome = answered.unwrap_or_else(|| panic!("no answer to {order:?}"));
        if outcome.is_sale() {
            return outcome.ticket_id;
        }
        assert!(outcome.is_sold_out(), "{outcome:?}");
        // Nobody gives a spot back, so it is true for good if it was true.
        assert_eq!(self.free_spots(), Some(0), "refused falsely: {outcome:?}");
        None
    }

    fn free_spots(&self) -> Option<i64> {
        let mut spots = None;
        wait_until(PATIENCE, || {
            let client = Client::try_connect(self.address, Some(fresh_source()));
            let path = format!("/events/{}", self.event);
            let answer = client.and_then(|mut c| c.try_request("GET", &path, &[], None));
            spots = answer
                .ok()
                .filter(|answer| answer.status == 200)
                .and_then(|answer| answer.json()["available_spots"].as_i64());
            spots.is_some()
        });
        spots
    }
}

fn assert_all_there(server: &Server, tickets: &[String]) {
    let db = server.db();
    let sql =
        "SELECT count(*) FROM tickets WHERE ticket_id = unhex(?1, '-') AND status = 'reserved'";
    let mut statement = db.prepare(sql).unwrap();
    for ticket in tickets {
        let found: i64 = statement.query_row([ticket], |row| row.get(0)).unwrap();
        assert_eq!(found, 1, "acknowledged, but not in the file: {ticket}");
    }
}
