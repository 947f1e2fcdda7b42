//! Nothing a client sends stops the sale: after, and during, everything in the table of hostile
//! cases an ordinary client is answered within three seconds by the same process, nothing acknowledged is
//! lost, no worker is missing and the memory stays within its bounds.

use crate::support::hostile::{Case, cases};
use crate::support::sale::Sale;
use crate::support::slow_clients::{ANSWERED_WITHIN, MEMORY_MIB_MAX, recovers};
use crate::support::stampede::{Order, place};
use crate::support::{Client, Server, Usage};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longer than elsewhere: who connects here may stand behind 1,500 connections made in the same
/// moment, at a debug build that shares two cores with all other tests. (`held_up` asks for a second,
/// with its floods one at a time.)
const NEWCOMER_ANSWERED_WITHIN: Duration = Duration::from_secs(3);

fn start(flags: &[&str]) -> Server {
    lastseat::process::raise_descriptor_limit().expect("raises the test's own limit");
    Server::builder()
        .rate_limit_off()
        .args(["--log-level", "warn"])
        .args(flags)
        .start()
}

/// Somebody who just wants a ticket, between all the others.
pub struct Ordinary<'s> {
    server: &'s Server,
    pid: u32,
    /// The server itself, or a proxy before it.
    front: SocketAddr,
    event: i64,
    orders: AtomicUsize,
}

impl<'s> Ordinary<'s> {
    pub fn new(server: &'s Server, front: SocketAddr) -> Ordinary<'s> {
        Ordinary {
            server,
            pid: server.server_pid(),
            front,
            event: server.create_event("Harbour walk", 100_000),
            orders: AtomicUsize::new(0),
        }
    }

    /// Orders a ticket, once. Says what was wrong with the answer, or with the server.
    fn is_served(&self) -> Result<(), String> {
        let n = self.orders.fetch_add(1, Ordering::Relaxed);
        let order = Order::by(format!("ordinary-{n}@example.com"));
        let outcome = place(self.front, self.event, order);
        if !outcome.is_sale() {
            return Err(format!("{outcome:?}"));
        }
        if outcome.took >= NEWCOMER_ANSWERED_WITHIN {
            return Err(format!("answered after {:?}", outcome.took));
        }
        let usage = Usage::of(self.pid).map_err(|e| format!("the server is gone: {e}"))?;
        if usage.memory_mib > MEMORY_MIB_MAX {
            return Err(format!("{} MiB", usage.memory_mib));
        }
        Ok(())
    }

    #[track_caller]
    pub fn got_everything(&self) {
        let event = self.server.event(self.event);
        assert_eq!(
            event["available_spots"],
            100_000 - self.orders.load(Ordering::Relaxed)
        );
        let pid = self.server.try_server_pid();
        assert_eq!(pid, Some(self.pid), "started again: {}", self.server.log());
        self.server.assert_invariants();
    }

    /// Carries out a case on all its connections at once, and asks as long as it lasts.
    pub fn withstands(&self, case: &Case) {
        let during = if case.is_many() {
            let held = case.carry_out_alone(self.front);
            let served = self.is_served();
            drop(held);
            served
        } else {
            let is_over = AtomicBool::new(false);
            let busy = AtomicUsize::new(case.connections);
            std::thread::scope(|scope| {
                for _ in 0..case.connections {
                    scope.spawn(|| {
                        case.carry_out(self.front, &busy, &is_over);
                    });
                }
                let mut served = self.is_served();
                while served.is_ok() && busy.load(Ordering::Relaxed) > 0 {
                    served = self.is_served();
                }
                is_over.store(true, Ordering::Relaxed);
                served
            })
        };
        let outcome = during.and_then(|()| self.is_served());
        assert_eq!(outcome, Ok(()), "{}", case.name);
    }
}

/// The threads of this name that the server has.
fn threads(pid: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server's threads");
    let names = tasks
        .flatten()
        .map(|t| std::fs::read_to_string(t.path().join("comm")));
    names
        .flatten()
        .filter(|comm| comm.starts_with(name))
        .count()
}

/// With one worker, one that was lost or stuck would be missed at once.
#[test]
fn every_hostile_case_leaves_the_only_worker_at_work() {
    let server = start(&["--workers", "1"]);
    let ordinary = Ordinary::new(&server, server.addr());
    let before = Usage::of(ordinary.pid).expect("a server");
    for case in cases() {
        for _ in 0..2 {
            ordinary.withstands(&case);
        }
        let workers = threads(server.server_pid(), "worker-");
        assert_eq!(workers, 1, "{}", case.name);
    }
    ordinary.got_everything();
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
    let recovered = recovers(ordinary.pid, &before);
    assert_eq!(recovered, Ok(()), "something is lost for good");
}

#[test]
fn every_hostile_case_leaves_a_sale_of_1000_spots_alone() {
    let server = start(&[]);
    let ordinary = Ordinary::new(&server, server.addr());
    let sale = Sale::of(&server, server.addr(), 1_000);
    let cases = cases();
    sale.run(&server, 32, || {
        for case in &cases {
            sale.release(1_000 / cases.len());
            ordinary.withstands(case);
        }
    });
    ordinary.got_everything();
}

#[test]
fn sixty_four_clients_that_start_at_once_and_stay_are_answered() {
    answers_all_at_once(64);
}

#[test]
fn three_hundred_clients_that_start_at_once_and_stay_are_answered() {
    answers_all_at_once(300);
}

fn answers_all_at_once(clients: usize) {
    let server = Server::start(&["--rate-limit", "off"]);
    let slowest = slowest_of(&server, clients);
    assert!(slowest < ANSWERED_WITHIN, "{slowest:?}");
}

fn slowest_of(server: &Server, clients: usize) -> Duration {
    let start_line = Barrier::new(clients);
    let stay = Barrier::new(clients);
    std::thread::scope(|scope| {
        let ask = || {
            start_line.wait();
            let start = Instant::now();
            let answer = Client::try_connect(server.addr(), None).and_then(|mut client| {
                let answer = client.try_request("GET", "/events", &[], None);
                answer.map(|answer| (answer.status, client))
            });
            let took = start.elapsed();
            stay.wait();
            assert_eq!(answer.map(|(status, _)| status).ok(), Some(200));
            took
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        let times = clients.into_iter().map(|client| client.join().unwrap());
        times.max().unwrap_or_default()
    })
}
