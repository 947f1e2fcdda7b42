//! Buyers who never give up and keep a record of everything they were promised. Whoever gets no
//! answer, or a 503, asks again with the same key, however often the server dies meanwhile.

use super::random::Random;
use super::{Client, PATIENCE, Response, fresh_source, signal, wait_until};
use rusqlite::{Connection, OptionalExtension};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What one buyer was promised last.
#[derive(Clone, Debug)]
struct Promise {
    event: i64,
    email: String,
    key: String,
    /// What was asked for, and the status of the answer.
    body: String,
    answered: u16,
    ticket_id: String,
    /// As the last answer said.
    status: &'static str,
    /// What an unanswered request may have made of it.
    maybe: &'static str,
}

impl Promise {
    /// Who was in line may have been served at any moment.
    fn allows(&self, status: &str) -> bool {
        let is_served = self.status == "waiting" && status == "reserved";
        is_served || status == self.status || status == self.maybe
    }
}

pub struct Crowd {
    address: SocketAddr,
    seed: u64,
    events: Mutex<Vec<i64>>,
    promises: Mutex<Vec<Promise>>,
    answers: AtomicUsize,
    /// A process, and how many yeses it may still give before it dies of one.
    trap: Mutex<Option<(u32, usize)>>,
    is_over: AtomicBool,
}

impl Crowd {
    pub fn new(address: SocketAddr, seed: u64) -> Crowd {
        Crowd {
            address,
            seed,
            events: Mutex::default(),
            promises: Mutex::default(),
            answers: AtomicUsize::new(0),
            trap: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// The buyers are after the newest events.
    pub fn offer(&self, event: i64) {
        self.events.lock().unwrap().push(event);
    }

    /// How many requests have been answered, those with a refusal included.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// After so many yeses, whoever gets the next one kills that process the moment it has it: what
    /// was acknowledged too early has not been done yet.
    pub fn kill_after(&self, yeses: usize, pid: u32) {
        *self.trap.lock().unwrap() = Some((pid, yeses));
    }

    fn spring_trap(&self) {
        let mut trap = self.trap.lock().unwrap();
        match trap.take() {
            Some((pid, 0)) => signal(pid, "KILL"),
            Some((pid, yeses)) => *trap = Some((pid, yeses - 1)),
            None => {}
        }
    }

    /// How many tickets were acknowledged.
    pub fn sold(&self) -> usize {
        self.promises.lock().unwrap().len()
    }

    /// The buyers are at it while `meanwhile` goes on; then each gets the answer it waits for.
    pub fn run(&self, buyers: usize, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            for buyer in 0..buyers {
                scope.spawn(move || self.buy(buyer));
            }
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            self.is_over.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    fn buy(&self, buyer: usize) {
        let mut random = Random::from(self.seed ^ buyer as u64);
        for n in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let event = {
                let events = self.events.lock().unwrap();
                let newest = events.len().min(3);
                events[events.len() - 1 - random.below(newest)]
            };
            let name = format!("{buyer}-{n}-{event}");
            let email = format!("{name}@example.com");
            let path = format!("/events/{event}/register");
            let (spots, waits) = (1 + random.below(3), random.once_in(2));
            let body = format!(r#"{{"email":"{email}","spots":{spots},"wait":{waits}}}"#);
            let answer = self.ask(&path, &name, &body);
            let status = match answer.status {
                202 => "waiting",
                _ => "reserved",
            };
            if !matches!(answer.status, 201 | 202) {
                assert_eq!(answer.code(), "sold_out", "{answer:?}");
                continue;
            }
            let at = self.promised(Promise {
                event,
                email,
                key: name.clone(),
                body,
                answered: answer.status,
                ticket_id: answer.text("ticket_id"),
                status,
                maybe: status,
            });
            if status == "waiting" {
                // Some stay in line, and some give up.
                if random.once_in(3) {
                    self.change(at, "cancel", "cancelled");
                }
                continue;
            }
            for (verb, status) in [("confirm", "confirmed"), ("cancel", "cancelled")] {
                if random.once_in(2) {
                    self.change(at, verb, status);
                }
            }
        }
    }

    fn promised(&self, promise: Promise) -> usize {
        let mut promises = self.promises.lock().unwrap();
        promises.push(promise);
        promises.len() - 1
    }

    fn change(&self, at: usize, verb: &str, status: &'static str) {
        let promise = {
            let mut promises = self.promises.lock().unwrap();
            promises[at].maybe = status;
            promises[at].clone()
        };
        let path = format!("/tickets/{}/{verb}", promise.ticket_id);
        let answer = self.ask(&path, &format!("{verb}-{}", promise.key), "{}");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("status"), status, "{answer:?}");
        self.promises.lock().unwrap()[at].status = status;
    }

    /// Until there is an answer that says yes or no.
    fn ask(&self, path: &str, key: &str, body: &str) -> Response {
        let headers = [("X-Role", "user"), ("Idempotency-Key", key)];
        let mut answer = None;
        wait_until(PATIENCE * 2, || {
            let client = Client::try_connect(self.address, Some(fresh_source()));
            answer = client
                .and_then(|mut c| c.try_request("POST", path, &headers, Some(body)))
                .ok()
                .filter(|answer| answer.status != 503);
            answer.is_some()
        });
        if answer.as_ref().is_some_and(|answer| answer.status < 300) {
            self.spring_trap();
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
        answer.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// Everything that was promised is in the file, with the state that was promised, or with the
    /// one that a request still unanswered was to make of it, or with none if its hold has ended.
    #[track_caller]
    pub fn assert_promises_kept(&self, db: &Connection) {
        // Promises made before the file is read.
        let promises = self.promises.lock().unwrap().clone();
        let sql = "
            SELECT iif(cancel_reason = 'expired', 'reserved', status) FROM tickets
            WHERE ticket_id = unhex(?, '-') AND event_id = ? AND email = ?";
        let mut statement = db.prepare(sql).unwrap();
        for promise in promises {
            let row = (&promise.ticket_id, promise.event, &promise.email);
            let status: Option<String> = statement
                .query_row(row, |row| row.get(0))
                .optional()
                .unwrap();
            let status = status.unwrap_or_else(|| panic!("acknowledged and lost: {promise:?}"));
            assert!(
                promise.allows(&status),
                "acknowledged, and now {status}: {promise:?}"
            );
        }
    }

    /// The key of each of the last sales, so many of them, gives its ticket again.
    pub fn assert_keys_remembered(&self, newest: usize) {
        for promise in self.promises.lock().unwrap().iter().rev().take(newest) {
            let path = format!("/events/{}/register", promise.event);
            let again = self.ask(&path, &promise.key, &promise.body);
            let again = again.expect_status(promise.answered);
            assert_eq!(again.text("ticket_id"), promise.ticket_id);
            assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
        }
    }
}
