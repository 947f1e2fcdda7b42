//! What is measured: each scenario owns a running server and knows what its clients send.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::load::{self, Ask, Seen, Target};
use super::requests;
use crate::support::{Client, Server, fill, request_text, signal};

pub const EVENT_SPOTS: u32 = 1_000_000;
/// Admits what the clients of a scenario send, so that the limiter does its work on every request.
pub const RATE_LIMIT: &str = "1000/1s";

pub struct Scenario {
    pub name: &'static str,
    /// The server's process.
    pid: u32,
    run: Box<dyn Fn(usize, Duration) -> Seen>,
}

impl Scenario {
    pub fn new(
        name: &'static str,
        pid: u32,
        run: impl Fn(usize, Duration) -> Seen + 'static,
    ) -> Scenario {
        let run = Box::new(run);
        Scenario { name, pid, run }
    }

    pub fn run(&self, clients: usize, time: Duration) -> Seen {
        signal(self.pid, "CONT");
        let seen = (self.run)(clients, time);
        self.rest();
        seen
    }

    /// Stops the server's process until its next turn: the others' turns should not pay for what a
    /// server does when it is idle.
    pub fn rest(&self) {
        signal(self.pid, "STOP");
    }

    fn on(
        name: &'static str,
        server: Server,
        run: impl Fn(usize, Duration) -> Seen + 'static,
    ) -> Scenario {
        Scenario::new(name, server.server_pid(), move |clients, time| {
            let _lives = &server;
            run(clients, time)
        })
    }

    /// All clients send the same kind of request, again and again.
    fn repeated(
        name: &'static str,
        server: Server,
        ask: impl Fn() -> Ask + Sync + 'static,
    ) -> Scenario {
        let target = target(&server);
        Scenario::on(name, server, move |clients, time| {
            load::run(target, clients, time, |_| || Some(ask()))
        })
    }
}

pub fn target(server: &Server) -> Target {
    Target {
        address: server.addr(),
        pid: server.server_pid(),
    }
}

/// (Without a keeper, which would look after a server that is stopped between its turns.)
pub fn server(flags: &[&str]) -> Server {
    Server::builder()
        .no_keeper()
        .args(["--rate-limit", RATE_LIMIT])
        .args(flags)
        .start()
}

pub fn register(name: &'static str, flags: &[&str]) -> Scenario {
    let server = server(flags);
    let event = server.create_event("bench", EVENT_SPOTS);
    Scenario::repeated(name, server, move || requests::buyer(event))
}

pub fn register_with_keys(name: &'static str) -> Scenario {
    let server = server(&[]);
    let event = server.create_event("bench", EVENT_SPOTS);
    Scenario::repeated(name, server, move || requests::buyer_with_key(event))
}

/// While 100,000 stand in line for another event of the same file.
pub fn register_beside_line(name: &'static str) -> Scenario {
    let (server, _) = server_with_line();
    let event = server.create_event("bench", EVENT_SPOTS);
    Scenario::repeated(name, server, move || requests::buyer(event))
}

/// By an event for which 100,000 stand in line.
pub fn sold_out_behind_line(name: &'static str) -> Scenario {
    let (server, event) = server_with_line();
    Scenario::repeated(name, server, move || requests::late_buyer(event))
}

fn server_with_line() -> (Server, i64) {
    let server = server(&["--hold", "1h"]);
    let event = server.create_event("wanted", 1);
    server
        .register(event, "winner@example.com")
        .expect_status(201);
    fill::line(server.db_path(), event, 100_000);
    (server, event)
}

/// With 200 streams open, half of them of the event's ledger.
pub fn register_beside_streams(name: &'static str) -> Scenario {
    let server = server(&[]);
    let event = server.create_event("bench", EVENT_SPOTS);
    let mut streams: Vec<TcpStream> = (0..200)
        .map(|n| open_stream(server.addr(), event, n % 2 == 0))
        .collect();
    std::thread::spawn(move || {
        let mut read_away = vec![0; 256 * 1024];
        loop {
            for stream in &mut streams {
                let _ = stream.read(&mut read_away);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    Scenario::repeated(name, server, move || requests::buyer(event))
}

fn open_stream(server: SocketAddr, event: i64, is_ledger: bool) -> TcpStream {
    let path = match is_ledger {
        true => format!("/events/{event}/changes"),
        false => format!("/events/{event}"),
    };
    let headers = [("Accept", "text/event-stream"), ("X-Role", "organizer")];
    let mut stream = TcpStream::connect(server).expect("connects");
    let request = request_text("GET", &path, &headers, None);
    stream.write_all(request.as_bytes()).expect("sends");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200");
    stream.set_nonblocking(true).expect("a socket");
    stream
}

pub fn sold_out(name: &'static str) -> Scenario {
    let server = server(&["--hold", "1h"]);
    let event = server.create_event("bench", 1);
    server
        .register(event, "winner@example.com")
        .expect_status(201);
    Scenario::repeated(name, server, move || requests::late_buyer(event))
}

pub fn show_event(name: &'static str) -> Scenario {
    let server = server(&[]);
    let event = server.create_event("bench", EVENT_SPOTS);
    Scenario::repeated(name, server, move || requests::show(event))
}

pub fn list_events(name: &'static str) -> Scenario {
    let server = server(&[]);
    server.create_event("bench", EVENT_SPOTS);
    Scenario::repeated(name, server, || requests::get("/events"))
}

/// Reads among the sales: one request in five is a GET of the event.
pub fn mixed(name: &'static str) -> Scenario {
    let server = server(&[]);
    let (target, event) = (target(&server), server.create_event("bench", EVENT_SPOTS));
    Scenario::on(name, server, move |clients, time| {
        load::run(target, clients, time, |client| {
            let mut n = client;
            move || {
                n += 1;
                Some(match n % 5 {
                    0 => requests::show(event),
                    _ => requests::buyer(event),
                })
            }
        })
    })
}

/// Each ticket is confirmed once; they are sold beforehand, outside of the measured time.
pub fn confirm(name: &'static str) -> Scenario {
    let server = server(&["--hold", "1h"]);
    let target = target(&server);
    let path = server.db_path().to_owned();
    let event = server.create_event("bench", EVENT_SPOTS);
    Scenario::on(name, server, move |clients, time| {
        let sell = |_| || Some(requests::buyer(event));
        load::run(target, clients, time + time / 2, sell);
        let held = fill::held_ticket_ids(&path, event);
        let next = AtomicU64::new(0);
        load::run(target, clients, time, |_| {
            || {
                let id = held.get(next.fetch_add(1, Ordering::Relaxed) as usize)?;
                Some(requests::confirm(id))
            }
        })
    })
}

/// 10,000 buyers, 500 spots; every tenth request is a retry with the same key. Each round is a new
/// event.
pub fn flash_sale(name: &'static str) -> Scenario {
    const BUYERS: u64 = 10_000;
    let server = server(&["--hold", "1h"]);
    let target = target(&server);
    Scenario::on(name, server, move |clients, _| {
        let body = "{\"name\":\"flash\",\"total_spots\":500}";
        let created = Client::connect(target.address).post("/events", "organizer", body);
        let event = created.expect_status(201).json()["id"]
            .as_i64()
            .expect("an id");
        let next = AtomicU64::new(0);
        load::run(target, clients, Duration::from_secs(30), |_| {
            || {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let buyer = n - u64::from(n % 10 == 9);
                let (email, key) = (requests::nth_email(buyer), format!("{event}-{buyer}"));
                // The first 500 buyers win, whatever the order: nobody knows which, so any answer
                // but these two is the error.
                (n < BUYERS).then(|| Ask {
                    bytes: requests::registration(event, &email, Some(&key)),
                    expected: load::WON_OR_LOST,
                })
            }
        })
    })
}
