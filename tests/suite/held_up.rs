//! Nobody holds up the sale: whatever one address does, directly on the port, an ordinary buyer is
//! answered within a second, the server lives on in bounded memory, and when it is over nothing is
//! left of it.

use super::contract_support::fill;
use crate::support::slow_clients::{Attack, Flood, assert_nobody_is_held_up, upload_head};
use crate::support::{Server, request_text};
use std::io::{Read, Write};
use std::time::Duration;

const FOR_A_MOMENT: Duration = Duration::from_millis(1_500);
/// For what takes a while to fill up.
const FOR_A_WHILE: Duration = Duration::from_millis(2_500);
pub const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub fn start() -> Server {
    lastseat::process::raise_descriptor_limit().expect("raises the test's own limit");
    let quiet = ["--log-level", "warn"];
    Server::builder().rate_limit_off().args(quiet).start()
}

pub fn get(path: &str) -> String {
    request_text("GET", path, &[("X-Role", "organizer")], None)
}

fn asks_and_never_reads(attack: &Attack, requests: &str) {
    if let Some(mut stream) = attack.connect_narrow() {
        attack.send(&mut stream, requests.as_bytes());
        attack.stay(stream);
    }
}

#[test]
fn clients_that_never_read_their_answers_hold_up_nobody() {
    let server = start();
    for n in 0..50 {
        server.create_event(&format!("Walk {n}"), 5);
    }
    let floods = [
        Flood {
            name: "5 ask for /openapi.json and never read",
            clients: 5,
            lasts: FOR_A_WHILE,
            attack: |attack| asks_and_never_reads(attack, &get("/openapi.json")),
        },
        Flood {
            name: "5 ask for /openapi.json 20 times and never read",
            clients: 5,
            lasts: FOR_A_WHILE,
            attack: |attack| asks_and_never_reads(attack, &get("/openapi.json").repeat(20)),
        },
        Flood {
            name: "2 pipeline 3,000 GET /metrics and never read",
            clients: 2,
            lasts: FOR_A_WHILE,
            attack: |attack| asks_and_never_reads(attack, &get("/metrics").repeat(3_000)),
        },
        Flood {
            name: "20 pipeline lists and never read",
            clients: 20,
            lasts: FOR_A_WHILE,
            attack: |attack| asks_and_never_reads(attack, &get("/events").repeat(1_000)),
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}

#[test]
fn forty_who_ask_for_100_000_attendees_and_never_read_hold_up_nobody() {
    let server = start();
    let event = server.create_event("Stadium", 100_000);
    assert_eq!(event, 1, "the attack asks for the first event");
    fill(&server, event, 100_000);
    let flood = Flood {
        name: "40 ask for the CSV and never read",
        clients: 40,
        lasts: FOR_A_WHILE,
        attack: |attack| {
            let headers = [("X-Role", "organizer"), ("Accept", "text/csv")];
            let request = request_text("GET", "/events/1/tickets", &headers, None);
            asks_and_never_reads(attack, &request);
        },
    };
    assert_nobody_is_held_up(&server, &[flood]);
}

/// Sends without end what is answered with more than was sent.
fn pipelines_without_end(attack: &Attack) {
    let requests = get("/events").repeat(100);
    if let Some(mut stream) = attack.connect() {
        while attack.send(&mut stream, requests.as_bytes()) {}
    }
}

fn pipelines_without_end_and_reads(attack: &Attack) {
    let Some(mut stream) = attack.connect() else {
        return;
    };
    let mut reader = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut answers = [0; 65_536];
            while !attack.is_over() {
                let _ = reader.read(&mut answers);
            }
        });
        let requests = get("/events").repeat(100);
        while attack.send(&mut stream, requests.as_bytes()) {}
    });
}

#[test]
fn clients_that_pipeline_without_end_hold_up_nobody() {
    let server = start();
    let floods = [
        Flood {
            name: "one pipelines without end and does not read",
            clients: 1,
            lasts: FOR_A_WHILE,
            attack: pipelines_without_end,
        },
        Flood {
            name: "one pipelines without end and reads",
            clients: 1,
            lasts: FOR_A_WHILE,
            attack: pipelines_without_end_and_reads,
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}

#[test]
fn connections_by_the_thousand_hold_up_nobody() {
    let server = start();
    let floods = [
        Flood {
            name: "1,500 heads that do not end",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| attack.stay(attack.connect_many(1_500, "GET /events HT")),
        },
        Flood {
            name: "1,500 bodies that do not come",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let head = upload_head(900) + "{";
                attack.stay(attack.connect_many(1_500, &head));
            },
        },
        Flood {
            name: "1,500 that say that they say nothing more",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let held = attack.connect_many(1_500, "GET /events HT");
                for stream in &held {
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
                attack.stay(held);
            },
        },
        Flood {
            name: "1,500 at a time that reset",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let request = get("/events");
                while !attack.is_over() {
                    drop(attack.connect_many(1_500, &request));
                }
            },
        },
        Flood {
            name: "2,000 idle connections",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| attack.stay(attack.connect_many(2_000, "")),
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}

/// Sends the start, and more of the same as long as it is taken.
fn sends_without_end(attack: &Attack, start: &str, more: &str) {
    let more = more.repeat(65_536 / more.len());
    while !attack.is_over() {
        if let Some(mut stream) = attack.connect() {
            attack.send(&mut stream, start.as_bytes());
            while attack.send(&mut stream, more.as_bytes()) {}
        }
    }
}

#[test]
fn what_does_not_end_takes_no_memory() {
    let server = start();
    let floods = [
        Flood {
            name: "4 paths without end",
            clients: 4,
            lasts: FOR_A_WHILE,
            attack: |attack| sends_without_end(attack, "GET /", "x"),
        },
        Flood {
            name: "4 header values without end",
            clients: 4,
            lasts: FOR_A_WHILE,
            attack: |attack| sends_without_end(attack, "GET / HTTP/1.1\r\nX: ", "x"),
        },
        Flood {
            name: "4 heads without end",
            clients: 4,
            lasts: FOR_A_WHILE,
            attack: |attack| sends_without_end(attack, "GET / HTTP/1.1\r\n", "X-Header: 1\r\n"),
        },
        Flood {
            name: "4 chunk sizes without end",
            clients: 4,
            lasts: FOR_A_WHILE,
            attack: |attack| {
                let coding = "Transfer-Encoding: chunked\r\n\r\n";
                let start = format!("POST /events HTTP/1.1\r\nHost: a\r\n{coding}");
                sends_without_end(attack, &start, "0");
            },
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}

/// Says one thing, takes the answer, and says it again on another connection.
fn says_again_and_again(attack: &Attack, said: &[u8]) {
    while !attack.is_over() {
        if let Some(mut stream) = attack.connect() {
            let _ = stream.write_all(said);
            attack.read(&mut stream);
        }
    }
}

#[test]
fn what_is_no_ordinary_request_holds_up_nobody() {
    let server = start();
    let floods = [
        Flood {
            name: "20 upload 2 MiB",
            clients: 20,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let upload = upload_head(2 << 20) + &"x".repeat(2 << 20);
                while !attack.is_over() {
                    if let Some(mut stream) = attack.connect() {
                        attack.send(&mut stream, upload.as_bytes());
                        attack.read(&mut stream);
                    }
                }
            },
        },
        Flood {
            name: "the preface of HTTP/2",
            clients: 2,
            lasts: FOR_A_MOMENT,
            attack: |attack| says_again_and_again(attack, PREFACE.as_bytes()),
        },
        Flood {
            name: "HTTP/2.0, then nothing",
            clients: 1,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let request = "GET / HTTP/2.0\r\nHost: a\r\n\r\n";
                attack.stay(attack.connect_many(200, request));
            },
        },
        Flood {
            name: "TE: trailers with 5,000 bytes",
            clients: 2,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let headers = "X-Role: organizer\r\nTE: trailers\r\nContent-Length: 5000\r\n\r\n";
                let head = format!("POST /events HTTP/1.1\r\nHost: a\r\n{headers}");
                says_again_and_again(attack, (head + &"x".repeat(5_000)).as_bytes());
            },
        },
        Flood {
            name: "a hello in TLS",
            clients: 2,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                let mut hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec();
                hello.resize(517, 0x5a);
                says_again_and_again(attack, &hello);
            },
        },
        Flood {
            name: "a length of 10^15",
            clients: 2,
            lasts: FOR_A_MOMENT,
            attack: |attack| {
                says_again_and_again(attack, upload_head(1_000_000_000_000_000).as_bytes());
            },
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}
