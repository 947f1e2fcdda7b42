//! haproxy hands the requests of many clients to lastseat over the same few connections. Whatever
//! some of them send, the answer that a client gets is the one to its own request.

use super::{Front, HAPROXY, Kind};
use crate::support::random::Random;
use crate::support::{Client, Response, Server, fresh_source};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CLIENTS: usize = 24;
const HOSTILE: usize = 12;
const REQUESTS: usize = 150;

#[test]
#[ignore = "needs haproxy: make front"]
fn front_haproxy_hands_no_answer_to_the_wrong_client() {
    every_answer_is_ones_own(HAPROXY);
}

/// As if haproxy had no idea of what lastseat takes, and left each refusal to it.
#[test]
#[ignore = "needs haproxy: make front"]
fn front_haproxy_that_lets_everything_through_hands_no_answer_to_the_wrong_client() {
    let server = every_answer_is_ones_own(Kind {
        dropped: &[
            "    chroot /var/lib/haproxy\n",
            "    group haproxy\n",
            "    option http-buffer-request\n",
            "    http-request deny deny_status 413 if { req.body_size gt 1024 }\n",
        ],
        ..HAPROXY
    });
    // Which shows that the refusals were its own.
    let metrics = server.get("/metrics").expect_status(200).body;
    for status in ["400", "413"] {
        let label = format!("status=\"{status}\"");
        assert!(metrics.contains(&label), "no {status} in {metrics}");
    }
}

fn every_answer_is_ones_own(kind: Kind) -> Server {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--log-level", "warn", "--trusted-proxy", "127.0.0.1"])
        .start();
    let pid = server.server_pid();
    let events = [
        server.create_event("Large", 100_000),
        server.create_event("Sold out", 1),
    ];
    server.register(events[1], "first@example.com");
    let front = Front::before(&server.addr().to_string(), kind);
    let (_, seed) = Random::announced("front");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let address = front.address;
        for n in 0..HOSTILE {
            let (random, is_over) = (Random::from(seed ^ n as u64), &is_over);
            scope.spawn(move || be_hostile(address, n, random, is_over));
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| scope.spawn(move || be_ordinary(address, events, n)))
            .collect();
        let served: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(served.iter().all(Result::is_ok), "a client was not served");
    });
    assert_eq!(server.server_pid(), pid, "{}", server.log());
    server.assert_invariants();
    server
}

/// A client of haproxy's that stays, and one that comes anew for each request, by turns.
fn be_ordinary(front: SocketAddr, events: [i64; 2], client: usize) {
    let source = fresh_source();
    let mut kept = Client::connect_from(source, front);
    for n in 0..REQUESTS {
        let id = format!("ordinary-{client}-{n}");
        let email = format!("{id}@example.com");
        let order = format!(r#"{{"email":"{email}"}}"#);
        let (method, path, body, status) = match n % 4 {
            0 => ("GET", format!("/events/{}", events[0]), None, 200),
            1 => (
                "POST",
                format!("/events/{}/register", events[0]),
                Some(&*order),
                201,
            ),
            2 => (
                "POST",
                format!("/events/{}/register", events[1]),
                Some(&*order),
                409,
            ),
            _ => ("GET", format!("/nowhere/{client}/{n}"), None, 404),
        };
        let mut fresh = (n % 8 < 4).then(|| Client::connect_from(source, front));
        let wire = fresh.as_mut().unwrap_or(&mut kept);
        let headers = [("X-Request-Id", &*id)];
        let answer = wire.request(method, &path, &headers, body);
        assert_eq!(answer.header("X-Request-Id"), Some(&*id), "{answer:?}");
        assert_eq!(answer.status, status, "{answer:?}");
        match status {
            200 => assert_eq!(answer.json()["id"], events[0]),
            201 => assert_eq!(answer.text("email"), email),
            _ => assert_eq!(answer.text("request_id"), id),
        }
    }
}

/// Sends what could put answers out of step with requests, and checks those that name a request.
fn be_hostile(front: SocketAddr, client: usize, mut random: Random, is_over: &AtomicBool) {
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let id = |part: usize| format!("hostile-{client}-{n}-{part}");
        let requests = hostile(random.below(9), &id);
        let Ok(mut wire) = Client::try_connect(front, Some(fresh_source())) else {
            continue;
        };
        if wire.try_send_raw(requests.as_bytes()).is_err() || random.once_in(3) {
            // Gone before its answer comes.
            continue;
        }
        wire.wait_at_most(Duration::from_millis(100));
        for part in 0..3 {
            let Ok(answer) = wire.try_read_response() else {
                break;
            };
            assert_names(&answer, &id(part));
        }
    }
}

/// haproxy's own answers, and bare ones, name none.
#[track_caller]
fn assert_names(answer: &Response, id: &str) {
    let named = answer.header("X-Request-Id");
    assert!(named.is_none_or(|named| named == id), "{id}: {answer:?}");
}

fn hostile(kind: usize, id: &dyn Fn(usize) -> String) -> String {
    let head = |part: usize, headers: &str| {
        let id = id(part);
        format!(
            "POST /events/1/register HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n{headers}\r\n"
        )
    };
    let get = |part: usize| {
        let id = id(part);
        format!("GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n")
    };
    let chunked = |part: usize| head(part, "Transfer-Encoding: chunked\r\n");
    let long = |length: usize| format!("Content-Length: {length}\r\n");
    match kind {
        // A body too large, in full, and a request behind it.
        0 => head(0, &long(1_025)) + &"x".repeat(1_025) + &get(1),
        1 => {
            let requests = get(9).repeat(400);
            head(0, &long(requests.len())) + &requests
        }
        // Aborted uploads.
        2 => head(0, &long(900)) + "{",
        3 => head(0, &long(40_000)) + &"x".repeat(5_000),
        // Bad lengths.
        4 => head(0, "Content-Length: 5\r\nContent-Length: 6\r\n") + "12345" + &get(1),
        5 => head(0, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + &get(1),
        // Chunks: a request in them, and too many.
        6 => chunked(0) + &chunk(&get(9)) + &get(1),
        7 => chunked(0) + &chunk(&"x".repeat(1_100)) + &get(1),
        // Pipelined.
        _ => get(0) + &head(1, &long(2)) + "{}" + &get(2),
    }
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}
