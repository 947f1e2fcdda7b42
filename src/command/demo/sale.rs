//! The demonstration's sale: people who all want a spot, and what became of them.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::buyer::Buyer;
use crate::report::{Answer, Crowd};

/// What the answer to a sale is called among the refusals.
const SOLD: &str = "sold";

pub struct Sale {
    address: SocketAddr,
    event: i64,
    people: u64,
    opened: Instant,
    /// People who have asked or are asking.
    came: AtomicU64,
    sold: AtomicU64,
    refused: AtomicU64,
    other: AtomicU64,
    slowest_us: AtomicU64,
    /// When the last answer came, since the opening.
    last_us: AtomicU64,
    broken_off: AtomicBool,
}

/// How far the sale has come.
pub struct Counts {
    pub left: i64,
    pub sold: u64,
    pub refused: u64,
    /// Neither sold nor sold out.
    pub other: u64,
    pub per_second: u64,
    pub slowest: Duration,
}

impl Sale {
    pub fn open(address: SocketAddr, spots: u64, people: u64) -> io::Result<Sale> {
        let event = format!(r#"{{"name":"Demonstration","total_spots":{spots}}}"#);
        let (_, event) = Buyer::connect(address)?.ask("POST", "/events", "organizer", &event)?;
        let id = event["id"].as_i64().ok_or(io::ErrorKind::InvalidData)?;
        let zero = AtomicU64::default;
        Ok(Sale {
            address,
            event: id,
            people,
            opened: Instant::now(),
            came: zero(),
            sold: zero(),
            refused: zero(),
            other: zero(),
            slowest_us: zero(),
            last_us: zero(),
            broken_off: AtomicBool::new(false),
        })
    }

    pub fn start_buyers(self: &Arc<Sale>, at_once: usize) -> Vec<JoinHandle<Crowd>> {
        let start = |_| {
            let sale = self.clone();
            std::thread::spawn(move || sale.buy())
        };
        (0..at_once).map(start).collect()
    }

    /// Lets one person after the other ask, over one connection.
    fn buy(&self) -> Crowd {
        let mut crowd = Crowd::default();
        let path = format!("/events/{}/register", self.event);
        let mut buyer = Buyer::connect(self.address);
        loop {
            let person = self.came.fetch_add(1, Relaxed);
            if person >= self.people || self.is_broken_off() {
                return crowd;
            }
            let body = format!(r#"{{"email":"person-{person}@example.com"}}"#);
            let asked = Instant::now();
            let answer = match &mut buyer {
                Ok(connection) => connection.ask("POST", &path, "user", &body),
                Err(e) => Err(e.kind().into()),
            };
            let took_us = asked.elapsed().as_micros() as u64;
            self.slowest_us.fetch_max(took_us, Relaxed);
            let now_us = self.opened.elapsed().as_micros() as u64;
            self.last_us.fetch_max(now_us, Relaxed);
            let code = match &answer {
                Ok((201, _)) => SOLD,
                Ok((_, problem)) => problem["code"].as_str().unwrap_or("not understood"),
                Err(_) => "no answer",
            };
            let at_ms = (now_us / 1_000) as u32;
            let took_us = took_us as u32;
            crowd.add(code, Answer { at_ms, took_us });
            let count = match code {
                SOLD => &self.sold,
                "sold_out" => &self.refused,
                _ => &self.other,
            };
            count.fetch_add(1, Relaxed);
            if answer.is_err() {
                buyer = Buyer::connect(self.address);
            }
        }
    }

    pub fn break_off(&self) {
        self.broken_off.store(true, Relaxed);
    }

    pub fn is_broken_off(&self) -> bool {
        self.broken_off.load(Relaxed)
    }

    /// The spots that are left are the server's own word.
    pub fn counts(&self) -> Counts {
        let path = format!("/events/{}", self.event);
        let event = Buyer::connect(self.address).and_then(|mut b| b.ask("GET", &path, "user", ""));
        let left = event.ok().and_then(|(_, e)| e["available_spots"].as_i64());
        let [sold, refused, other] =
            [&self.sold, &self.refused, &self.other].map(|n| n.load(Relaxed));
        let seconds = self.last_us.load(Relaxed).max(1) as f64 / 1e6;
        Counts {
            left: left.unwrap_or(-1),
            sold,
            refused,
            other,
            per_second: ((sold + refused + other) as f64 / seconds) as u64,
            slowest: Duration::from_micros(self.slowest_us.load(Relaxed)),
        }
    }
}

impl Counts {
    pub fn line(&self) -> String {
        let (left, sold, refused) = (self.left, self.sold, self.refused);
        let (per_second, slowest) = (self.per_second, self.slowest.as_millis());
        format!(
            "spots left {left} | sold {sold} | refused {refused} | {per_second} a second | slowest {slowest} ms"
        )
    }

    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |what: &str, n: String| {
            let _ = writeln!(text, "  {what:<16} {n:>12}");
        };
        row("spots left", self.left.to_string());
        row("sold", self.sold.to_string());
        row("refused", self.refused.to_string());
        row("other answers", self.other.to_string());
        row("a second", self.per_second.to_string());
        row(
            "slowest answer",
            format!("{:.1} ms", self.slowest.as_secs_f64() * 1e3),
        );
        text
    }
}
