//! A sale to buyers who do not give up: whoever gets no answer, or a 5xx, asks again with the same key.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, wait_until};

const PAUSE: Duration = Duration::from_millis(100);
/// How long a buyer asks for one ticket.
const PERSEVERANCE: Duration = Duration::from_secs(120);

pub struct Sale {
    pub event: i64,
    address: SocketAddr,
    placed: AtomicU64,
    sold_out: AtomicBool,
    tickets: Mutex<Vec<Sold>>,
    /// Answers that were no decision: none at all, or a 5xx.
    pub unanswered: AtomicU64,
    pub unknown: AtomicU64,
    pub replayed: AtomicU64,
}

/// An acknowledged ticket.
#[derive(Clone)]
pub struct Sold {
    pub order: u64,
    pub ticket_id: String,
    at: Instant,
}

enum Answer {
    Sold(String),
    SoldOut,
    None,
}

impl Sale {
    pub fn of(event: i64, address: SocketAddr) -> Sale {
        Sale {
            event,
            address,
            placed: AtomicU64::new(0),
            sold_out: AtomicBool::new(false),
            tickets: Mutex::default(),
            unanswered: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
        }
    }

    /// Sells until nothing is left, while `meanwhile` goes on.
    pub fn run(&self, buyers: usize, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            for _ in 0..buyers {
                scope.spawn(|| self.buy());
            }
            meanwhile();
        });
    }

    pub fn tickets(&self) -> Vec<Sold> {
        self.tickets.lock().unwrap().clone()
    }

    /// The longest time between two sales, and how long after the first it began.
    pub fn longest_pause(&self) -> (Duration, Duration) {
        let mut times: Vec<Instant> = self.tickets().iter().map(|sold| sold.at).collect();
        times.sort();
        let first = times[0];
        let pauses = times.windows(2).map(|w| (w[1] - w[0], w[0] - first));
        pauses.max().unwrap_or_default()
    }

    fn buy(&self) {
        let mut client = None;
        while !self.sold_out.load(Ordering::Relaxed) {
            let order = self.placed.fetch_add(1, Ordering::Relaxed);
            let mut answer = Answer::None;
            wait_until(PERSEVERANCE, || {
                answer = self.ask(&mut client, order);
                let is_answered = !matches!(answer, Answer::None);
                if !is_answered {
                    std::thread::sleep(PAUSE);
                }
                is_answered
            });
            match answer {
                Answer::Sold(ticket_id) => self.tickets.lock().unwrap().push(Sold {
                    order,
                    ticket_id,
                    at: Instant::now(),
                }),
                Answer::SoldOut => self.sold_out.store(true, Ordering::Relaxed),
                Answer::None => panic!("no answer to order {order} in {PERSEVERANCE:?}"),
            }
        }
    }

    fn ask(&self, client: &mut Option<Client>, order: u64) -> Answer {
        let path = format!("/events/{}/register", self.event);
        let name = format!("buyer-{}-{order}", self.event);
        let body = format!(r#"{{"email":"{name}@example.com","idempotency_key":"{name}"}}"#);
        let connection = match client.take() {
            Some(connection) => Ok(connection),
            None => Client::try_connect(self.address, None),
        };
        let answer = connection.and_then(|mut connection| {
            let response = connection.try_post(&path, "user", &body)?;
            *client = Some(connection);
            Ok(response)
        });
        let Ok(response) = answer else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return Answer::None;
        };
        match response.status {
            201 => {
                let replayed = response.header("Idempotent-Replayed").is_some();
                self.replayed.fetch_add(replayed.into(), Ordering::Relaxed);
                Answer::Sold(response.text("ticket_id"))
            }
            409 if response.code() == "sold_out" => Answer::SoldOut,
            500.. => {
                if response.body.contains("outcome_unknown") {
                    self.unknown.fetch_add(1, Ordering::Relaxed);
                }
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                Answer::None
            }
            _ => panic!("an answer that nobody may get: {response:?}"),
        }
    }

    /// Asks for every ticket again: the same key is the same ticket.
    pub fn assert_same_again(&self, buyers: usize) {
        let tickets = self.tickets();
        let ask_all = |tickets: &[Sold]| {
            let mut client = None;
            for sold in tickets {
                match self.ask(&mut client, sold.order) {
                    Answer::Sold(ticket_id) => assert_eq!(ticket_id, sold.ticket_id),
                    _ => panic!("order {} is no longer known", sold.order),
                }
            }
        };
        std::thread::scope(|scope| {
            for some in tickets.chunks(tickets.len().div_ceil(buyers)) {
                scope.spawn(move || ask_all(some));
            }
        });
    }

    pub fn assert_distinct(&self) {
        let tickets = self.tickets();
        let ids: HashSet<&String> = tickets.iter().map(|sold| &sold.ticket_id).collect();
        assert_eq!(ids.len(), tickets.len(), "a ticket was sold twice");
    }
}
