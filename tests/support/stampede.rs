//! The stampede: buyers released together, each on a connection from an address of its own,
//! all after the same few spots. `make stress` shows it, a test asserts it.

use super::client::{Client, fresh_source};
use super::server::Server;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One attempt to register.
#[derive(Debug, Clone)]
pub struct Order {
    pub email: String,
    pub spots: i64,
    pub idempotency_key: Option<String>,
}

impl Order {
    pub fn by(email: impl Into<String>) -> Self {
        Order {
            email: email.into(),
            spots: 1,
            idempotency_key: None,
        }
    }

    pub fn for_spots(self, spots: i64) -> Self {
        Order { spots, ..self }
    }

    pub fn with_key(self, key: impl Into<String>) -> Self {
        let idempotency_key = Some(key.into());
        Order {
            idempotency_key,
            ..self
        }
    }

    pub fn json(&self) -> String {
        let mut body = serde_json::json!({"email": self.email});
        if self.spots > 1 {
            body["spots"] = self.spots.into();
        }
        if let Some(key) = &self.idempotency_key {
            body["idempotency_key"] = key.as_str().into();
        }
        body.to_string()
    }
}

/// What became of an order. `status` 0: the connection broke, and `code` says how.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub order: Order,
    pub status: u16,
    pub code: String,
    pub ticket_id: Option<String>,
    pub is_replay: bool,
    pub took: Duration,
}

impl Outcome {
    pub fn is_sale(&self) -> bool {
        self.status == 201
    }

    pub fn is_sold_out(&self) -> bool {
        self.status == 409 && self.code == "sold_out"
    }
}

/// Places one order on a connection of its own.
pub fn place(server: SocketAddr, event: i64, order: Order) -> Outcome {
    let start = Instant::now();
    let path = format!("/events/{event}/register");
    let answer = Client::try_connect(server, Some(fresh_source()))
        .and_then(|mut client| client.try_post(&path, "user", &order.json()));
    let took = start.elapsed();
    match answer {
        Ok(response) => Outcome {
            ticket_id: (response.status == 201).then(|| response.text("ticket_id")),
            is_replay: response.header("Idempotent-Replayed") == Some("true"),
            status: response.status,
            code: response.code(),
            order,
            took,
        },
        Err(e) => Outcome {
            ticket_id: None,
            is_replay: false,
            status: 0,
            code: e.to_string(),
            order,
            took,
        },
    }
}

/// Places all orders at one moment, one thread each, spread evenly over the servers.
pub fn rush(servers: &[SocketAddr], event: i64, orders: Vec<Order>) -> Vec<Outcome> {
    let start_line = Barrier::new(orders.len());
    std::thread::scope(|scope| {
        let buyers: Vec<_> = orders
            .into_iter()
            .zip(servers.iter().cycle())
            .map(|(order, server)| {
                let start_line = &start_line;
                scope.spawn(move || {
                    start_line.wait();
                    place(*server, event, order)
                })
            })
            .collect();
        let join = |buyer: std::thread::ScopedJoinHandle<_>| buyer.join().expect("a buyer");
        buyers.into_iter().map(join).collect()
    })
}

/// One stampede, and what was found when the dust had settled.
pub struct Round {
    pub spots: usize,
    pub outcomes: Vec<Outcome>,
    pub elapsed: Duration,
    pub available_spots: i64,
    pub ticket_rows: u32,
    pub integrity: String,
    pub broken_invariants: Vec<String>,
}

/// Sells a fresh event to `buyers` who all come at once.
pub fn run_round(server: &Server, buyers: usize, spots: usize) -> Round {
    let event = server.create_event("Stampede", spots as u32);
    let orders = (0..buyers).map(|n| Order::by(format!("buyer-{n}@example.com")));
    let start = Instant::now();
    let outcomes = rush(&[server.addr()], event, orders.collect());
    let elapsed = start.elapsed();

    let db = server.db();
    let count = "SELECT count(*) FROM tickets WHERE event_id = ?1";
    Round {
        spots,
        outcomes,
        elapsed,
        available_spots: server.event(event)["available_spots"]
            .as_i64()
            .unwrap_or(-1),
        ticket_rows: db.query_row(count, [event], |row| row.get(0)).unwrap(),
        integrity: db
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap(),
        broken_invariants: super::check_invariants(&db).unwrap(),
    }
}

impl Round {
    /// How often each answer came, by status and code.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for outcome in &self.outcomes {
            let answer = match (outcome.status, outcome.code.as_str()) {
                (0, broken) => format!("no answer: {broken}"),
                (status, "") => status.to_string(),
                (status, code) => format!("{status} {code}"),
            };
            *counts.entry(answer).or_default() += 1;
        }
        counts
    }

    pub fn slowest(&self) -> Duration {
        self.outcomes
            .iter()
            .map(|o| o.took)
            .max()
            .unwrap_or_default()
    }

    /// Exactly as many sales as spots, everyone else told `sold_out`, and the file agrees.
    pub fn verdict(&self) -> Result<(), String> {
        let refusals = self.outcomes.len() - self.spots;
        let expected = BTreeMap::from([
            ("201".to_owned(), self.spots),
            ("409 sold_out".to_owned(), refusals),
        ]);
        let counts = self.counts();
        if counts != expected {
            return Err(format!("expected {expected:?}, got {counts:?}"));
        }
        if self.available_spots != 0 || self.ticket_rows as usize != self.spots {
            let (free, rows) = (self.available_spots, self.ticket_rows);
            return Err(format!("{free} spots still free, {rows} rows in tickets"));
        }
        if self.integrity != "ok" {
            return Err(format!("integrity_check: {}", self.integrity));
        }
        match self.broken_invariants.first() {
            Some(sentence) => Err(sentence.clone()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (answer, count) in self.counts() {
            writeln!(f, "  {answer:<24} {count:>9}")?;
        }
        let (elapsed, slowest) = (millis(self.elapsed), millis(self.slowest()));
        writeln!(f, "  {:<24} {:>9}", "available_spots", self.available_spots)?;
        writeln!(f, "  {:<24} {:>9}", "rows in tickets", self.ticket_rows)?;
        writeln!(f, "  {:<24} {:>9}", "integrity_check", self.integrity)?;
        writeln!(f, "  {:<24} {elapsed:>9}", "time, all answered")?;
        writeln!(f, "  {:<24} {slowest:>9}", "slowest answer")
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
