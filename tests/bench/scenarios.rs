//! What is measured: each scenario owns a running server and knows what its clients send.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::load::{self, Ask, Seen, Target};
use crate::support::Server;

pub const EVENT_SPOTS: u32 = 1_000_000;
/// Admits what the clients of a scenario send, so that the limiter does its work on every request.
pub const RATE_LIMIT: &str = "1000/1s";

pub struct Scenario {
    pub name: &'static str,
    /// The server's process.
    pub pid: u32,
    run: Box<dyn Fn(usize, Duration) -> Seen>,
}

impl Scenario {
    pub fn run(&self, clients: usize, time: Duration) -> Seen {
        signal(self.pid, "CONT");
        let seen = (self.run)(clients, time);
        self.rest();
        seen
    }

    /// Stops the server's process until its next turn: a server beats its pulse also when it is
    /// idle, and the others' turns should not pay for that.
    pub fn rest(&self) {
        signal(self.pid, "STOP");
    }

    fn on(
        name: &'static str,
        server: Server,
        run: impl Fn(usize, Duration) -> Seen + 'static,
    ) -> Self {
        let pid = server.server_pid();
        let run = move |clients, time| {
            let _lives = &server;
            run(clients, time)
        };
        Scenario {
            name,
            pid,
            run: Box::new(run),
        }
    }
}

pub fn target(server: &Server) -> Target {
    Target {
        address: server.addr(),
        pid: server.server_pid(),
    }
}

fn server(flags: &[&str]) -> Server {
    Server::builder()
        .args(["--rate-limit", RATE_LIMIT])
        .args(flags)
        .start()
}

/// The yardstick: tiny_http as it comes, answering a registration with a constant, in a process of
/// its own as the server is, and with as many threads as its default has workers.
pub fn bare_tiny_http(name: &'static str) -> Scenario {
    let program = std::env::current_exe().expect("this program's path");
    let mut child = Command::new(program)
        .arg(BARE_TINY_HTTP)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts itself");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a piped stdout");
    BufReader::new(stdout).read_line(&mut line).expect("reads");
    let address: SocketAddr = line.trim().parse().expect("an address");
    let target = Target {
        address,
        pid: child.id(),
    };
    let child = EndedWhenDropped(child);
    let run = move |clients, time| {
        let _lives = &child;
        load::run(target, clients, time, |_| {
            || {
                Some(Ask {
                    bytes: registration(1, &fresh_email(), None),
                    expected: 200,
                })
            }
        })
    };
    Scenario {
        name,
        pid: target.pid,
        run: Box::new(run),
    }
}

struct EndedWhenDropped(std::process::Child);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The argument that makes the program [`bare_tiny_http`]'s child.
pub const BARE_TINY_HTTP: &str = "--bare-tiny-http";

/// Serves until standard input ends.
pub fn serve_bare_tiny_http() {
    let tiny = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("listens"));
    println!("{}", tiny.server_addr());
    let workers = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 16);
    for _ in 0..workers {
        let tiny = tiny.clone();
        std::thread::spawn(move || {
            for request in tiny.incoming_requests() {
                let _ = request.respond(tiny_http::Response::from_string("constant"));
            }
        });
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

pub fn register(name: &'static str, flags: &[&str]) -> Scenario {
    let server = server(flags);
    let (target, event) = (target(&server), server.create_event("bench", EVENT_SPOTS));
    Scenario::on(name, server, move |clients, time| {
        load::run(target, clients, time, |_| {
            move || {
                Some(Ask {
                    bytes: registration(event, &fresh_email(), None),
                    expected: 201,
                })
            }
        })
    })
}

pub fn sold_out(name: &'static str) -> Scenario {
    let server = server(&["--hold", "1h"]);
    let (target, event) = (target(&server), server.create_event("bench", 1));
    server
        .register(event, "winner@example.com")
        .expect_status(201);
    Scenario::on(name, server, move |clients, time| {
        load::run(target, clients, time, |_| {
            move || {
                Some(Ask {
                    bytes: registration(event, &fresh_email(), None),
                    expected: 409,
                })
            }
        })
    })
}

pub fn show_event(name: &'static str) -> Scenario {
    let server = server(&[]);
    let (target, event) = (target(&server), server.create_event("bench", EVENT_SPOTS));
    let path = format!("/events/{event}");
    Scenario::on(name, server, move |clients, time| {
        load::run(target, clients, time, |_| {
            || {
                Some(Ask {
                    bytes: get(&path),
                    expected: 200,
                })
            }
        })
    })
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
                    0 => Ask {
                        bytes: get(&format!("/events/{event}")),
                        expected: 200,
                    },
                    _ => Ask {
                        bytes: registration(event, &fresh_email(), None),
                        expected: 201,
                    },
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
        let sell = || {
            Some(Ask {
                bytes: registration(event, &fresh_email(), None),
                expected: 201,
            })
        };
        load::run(target, clients, time + time / 2, |_| sell);
        let held = held_tickets(&path, event);
        let next = AtomicU64::new(0);
        load::run(target, clients, time, |_| {
            || {
                let id = held.get(next.fetch_add(1, Ordering::Relaxed) as usize)?;
                Some(Ask {
                    bytes: post(&format!("/tickets/{id}/confirm"), "{}", None),
                    expected: 200,
                })
            }
        })
    })
}

fn held_tickets(db: &std::path::Path, event: i64) -> Vec<String> {
    let db = rusqlite::Connection::open(db).expect("opens");
    let sql = "SELECT ticket_id FROM tickets WHERE event_id = ? AND status = 'reserved'";
    let mut statement = db.prepare(sql).expect("prepares");
    let ids = statement
        .query_map([event], |row| row.get(0))
        .expect("queries");
    ids.map(|id| id.expect("an id")).collect()
}

/// 10,000 buyers, 500 spots; every tenth request is a retry with the same key. Each round is a new
/// event.
pub fn flash_sale(name: &'static str) -> Scenario {
    const BUYERS: u64 = 10_000;
    let server = server(&["--hold", "1h"]);
    let target = target(&server);
    Scenario::on(name, server, move |clients, _| {
        let body = "{\"name\":\"flash\",\"total_spots\":500}";
        let created =
            crate::support::Client::connect(target.address).post("/events", "organizer", body);
        let event = created.expect_status(201).json()["id"]
            .as_i64()
            .expect("an id");
        let next = AtomicU64::new(0);
        load::run(target, clients, Duration::from_secs(30), |_| {
            || {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let buyer = n - u64::from(n % 10 == 9);
                let email = format!("{:x}@example.com", mix(buyer));
                let key = format!("{event}-{buyer}");
                // The first 500 buyers win, whatever the order: nobody knows which, so any answer
                // but these two is the error.
                (n < BUYERS).then(|| Ask {
                    bytes: registration(event, &email, Some(&key)),
                    expected: load::WON_OR_LOST,
                })
            }
        })
    })
}

/// Addresses as they come: in no order.
pub fn fresh_email() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!(
        "{:016x}@example.com",
        mix(NEXT.fetch_add(1, Ordering::Relaxed))
    )
}

/// Spreads counting numbers over all numbers, each once (the finalizer of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

pub fn registration(event: i64, email: &str, key: Option<&str>) -> Vec<u8> {
    post(
        &format!("/events/{event}/register"),
        &format!("{{\"email\":\"{email}\"}}"),
        key,
    )
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn post(path: &str, body: &str, key: Option<&str>) -> Vec<u8> {
    let key = key
        .map(|k| format!("Idempotency-Key: {k}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Role: user\r\nContent-Type: application/json\r\n\
         {key}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "kill -{name} {pid}"
    );
}
