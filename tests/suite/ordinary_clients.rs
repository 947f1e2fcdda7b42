//! What ordinary clients do, and must not be punished for: a last request that says so, a cookie that
//! is not ASCII, an upgrade on offer, many questions whether the server is ready.

use super::chunks::{EVENT, assert_in_step, chunked, post_event};
use super::contract_support::{ORGANIZER, assert_problem, fill, list, unlimited};
use crate::support::{Client, FrozenClock, Server, fresh_source};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Far below any deadline, far above what an answer takes.
const AT_ONCE: Duration = Duration::from_millis(800);
const PATIENCE_OF_A_READ: Duration = Duration::from_secs(5);

/// Everything until the end of the connection, and how long that took.
fn read_to_the_end(server: SocketAddr, request: &str) -> (String, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE_OF_A_READ)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(ended.is_ok(), "{ended:?} after {request:?}: {answer:?}");
    (answer, start.elapsed())
}

#[test]
fn a_connection_that_is_to_close_is_closed_with_the_answer() {
    let server = unlimited();
    let event = server.create_event("Long list", 500);
    fill(&server, event, 500);
    let csv = format!("GET /events/{event}/tickets");
    let organizer = "Host: a\r\nX-Role: organizer\r\n";
    let creates = format!("Connection: close\r\nContent-Length: {}\r\n", EVENT.len());
    let requests = [
        (
            200,
            format!("GET /events HTTP/1.1\r\n{organizer}Connection: close\r\n\r\n"),
        ),
        (
            404,
            format!("GET /nowhere HTTP/1.1\r\n{organizer}Connection: CLOSE\r\n\r\n"),
        ),
        (201, post_event(&creates, EVENT)),
        (
            413,
            post_event(
                "Connection: close\r\nContent-Length: 1025\r\n",
                &"x".repeat(1_025),
            ),
        ),
        (200, "GET /events HTTP/1.0\r\n\r\n".to_owned()),
        (200, "GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n".to_owned()),
        (
            200,
            format!("{csv} HTTP/1.1\r\n{organizer}Accept: text/csv\r\nConnection: close\r\n\r\n"),
        ),
        (
            200,
            format!("{csv} HTTP/1.0\r\n{organizer}Accept: text/csv\r\n\r\n"),
        ),
        (
            405,
            format!("GET {} HTTP/1.0\r\n{organizer}\r\n", "/events/1/register"),
        ),
    ];
    for (status, request) in requests {
        let (answer, took) = read_to_the_end(server.addr(), &request);
        let start = format!("HTTP/1.1 {status} ");
        let start_1_0 = format!("HTTP/1.0 {status} ");
        assert!(
            answer.starts_with(&start) || answer.starts_with(&start_1_0),
            "{request:?}: {answer:?}"
        );
        assert_eq!(
            answer.matches("HTTP/1.").count(),
            1,
            "{request:?}: {answer:?}"
        );
        assert!(took < AT_ONCE, "{took:?}: {request:?}");
        if request.contains("HTTP/1.0") {
            let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
            assert!(!head.contains("transfer-encoding"), "{head}");
        }
        if request.contains("csv") {
            // Nobody is cut off: the head line and all 500.
            assert!(answer.matches("@example.com").count() == 500, "{request:?}");
        }
    }
}

#[test]
fn a_client_of_http_1_0_that_asks_to_stay_is_told_what_becomes_of_it() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    client.send_raw(b"GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.read_response().expect_status(200);
    if list(&answer, "Connection").contains("keep-alive") {
        assert_in_step(&mut client);
    } else {
        assert!(client.is_closed_by_server());
    }
}

#[test]
fn each_request_gets_exactly_one_answer() {
    let server = unlimited();
    let created = format!("Content-Length: {}\r\n", EVENT.len());
    let requests = [
        post_event(&created, EVENT),
        post_event("Transfer-Encoding: chunked\r\n", &chunked(EVENT)),
        post_event("Content-Length: 1025\r\n", &"x".repeat(1_025)),
        post_event("Content-Length: 100000\r\n", &"x".repeat(100_000)),
        post_event("Content-Length: 5\r\nContent-Length: 5\r\n", "12345"),
        post_event(
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            &chunked(EVENT),
        ),
        post_event("Expect: tea\r\nContent-Length: 2\r\n", "{}"),
        "GET /events HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /events HTTP/1.1\r\nHost: a\r\nX-Role: us\0er\r\n\r\n".to_owned(),
        "GET /events HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n".to_owned(),
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE_OF_A_READ)).unwrap();
        let _ = stream.write_all(request.as_bytes());
        let mut answer = vec![0; 4_096];
        let first = stream.read(&mut answer).expect("an answer");
        answer.truncate(first);
        // The client has nothing more to say, so the connection ends, with all that the server has
        // to say. (What it did not read may end in a reset.)
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let count = answer.matches("HTTP/1.1 ").count();
        let start = &request[..request.len().min(120)];
        assert_eq!(count, 1, "{start:?}: {answer:?}");
    }
}

#[test]
fn what_is_not_ascii_gets_an_answer() {
    let server = unlimited();
    let with = |before: &[u8], odd: &[u8], after: &[u8]| [before, odd, after].concat();
    let start = b"GET /events HTTP/1.1\r\nHost: a\r\n";
    for odd in [&b"t\xc3\xbcr"[..], b"t\xfcr", b"\xf0\x9f\x8e\x9f"] {
        let requests = [
            with(&[start, &b"Cookie: seen="[..]].concat(), odd, b"\r\n\r\n"),
            with(&[start, &b"User-Agent: "[..]].concat(), odd, b"\r\n\r\n"),
            with(&[start, &b"X-Request-Id: "[..]].concat(), odd, b"\r\n\r\n"),
            with(b"GET /", odd, b" HTTP/1.1\r\nHost: a\r\n\r\n"),
            with(b"GET /events?name=", odd, b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ];
        for request in requests {
            let text = String::from_utf8_lossy(&request).into_owned();
            // An ordinary request comes first, because the first one is often special.
            for before in [0, 1] {
                let mut client = Client::connect(server.addr());
                for _ in 0..before {
                    client.get("/events").expect_status(200);
                }
                let began = Instant::now();
                client.send_raw(&request);
                let answer = client.try_read_response();
                let answer = answer.unwrap_or_else(|e| panic!("{text:?}: no answer: {e}"));
                assert!(began.elapsed() < AT_ONCE, "{text:?}");
                match answer.status {
                    400 => assert!(client.is_closed_by_server(), "{text:?}: open after 400"),
                    200 | 404 => assert_in_step(&mut client),
                    other => panic!("{text:?}: {other}"),
                }
            }
        }
    }
}

/// RFC 9110, 7.8: a server may ignore it, and answers in the version that was asked in. Whether the
/// connection stays open is its own affair.
#[test]
fn an_upgrade_on_offer_is_ignored() {
    let server = unlimited();
    let settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    for upgrade in ["h2c", "websocket", "TLS/1.3, HTTP/1.1"] {
        let connection = "Connection: Upgrade, HTTP2-Settings\r\n";
        let offer = format!("{connection}Upgrade: {upgrade}\r\n{settings}");
        let length = format!("Content-Length: {}\r\n", EVENT.len());
        let requests = [
            (
                200,
                format!("GET /events HTTP/1.1\r\nHost: a\r\n{offer}\r\n"),
            ),
            (201, post_event(&format!("{offer}{length}"), EVENT)),
            (
                413,
                post_event(&format!("{offer}Content-Length: 1025\r\n"), ""),
            ),
        ];
        for (status, request) in requests {
            let start = Instant::now();
            let mut client = Client::connect(server.addr());
            client.send_raw(request.as_bytes());
            let answer = client.read_response();
            assert_eq!(answer.status, status, "{request:?}: {answer:?}");
            assert!(start.elapsed() < AT_ONCE, "{request:?}");
            assert_eq!(answer.header("Upgrade"), None, "{answer:?}");
            assert!(
                !list(&answer, "Connection").contains("upgrade"),
                "{answer:?}"
            );
            if !list(&answer, "Connection").contains("close") {
                assert_in_step(&mut client);
            }
        }
    }
}

#[test]
fn two_content_types_are_refused() {
    let server = unlimited();
    for (first, second) in [
        ("application/json", "text/plain"),
        ("text/plain", "application/json"),
        ("application/json", "application/json"),
    ] {
        let headers = format!("Content-Type: {first}\r\ncontent-type: {second}\r\n");
        let length = format!("Content-Length: {}\r\n", EVENT.len());
        let mut client = Client::connect(server.addr());
        client.send_raw(post_event(&(headers + &length), EVENT).as_bytes());
        let answer = client.read_response();
        let code = answer.code();
        assert!(
            answer.status == 400 && (code == "bad_request" || code == "invalid_request"),
            "{first}, {second}: {answer:?}"
        );
    }
    assert_eq!(server.get("/events").body, "[]\n");
}

/// Otherwise an address could ask without end for what costs reading a head. (Those that are problems
/// are in `limiter`.)
#[test]
fn bare_refusals_count_against_the_limit_too() {
    let clock = FrozenClock::new();
    let server = Server::builder().args(clock.flags()).start();
    let refused = [
        (417, post_event("Expect: tea\r\n", "")),
        (400, "nonsense\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
    ];
    for (status, request) in &refused {
        let source = fresh_source();
        let ask = |request: &str| {
            let mut client = Client::connect_from(source, server.addr());
            client.send_raw(request.as_bytes());
            client.read_response()
        };
        for _ in 0..5 {
            assert_eq!(ask(request).status, *status, "{request:?}");
        }
        let sixth = ask("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_problem(&sixth, 429, "rate_limited");
    }
}

#[test]
fn a_body_too_large_is_told_before_anything_else() {
    let server = unlimited();
    let too_large = "Content-Length: 1025\r\n";
    for other in [
        "Host: b\r\n",
        "Expect: 100-continue\r\n",
        "Content-Type: a\r\ncontent-type: b\r\n",
    ] {
        let mut client = Client::connect(server.addr());
        client.send_raw(post_event(&format!("{other}{too_large}"), "").as_bytes());
        let answer = client.read_response();
        assert_problem(&answer, 413, "body_too_large");
        assert!(list(&answer, "Connection").contains("close"), "{answer:?}");
    }
}

/// Whoever asks, and however often: a probe must not cost what a sale costs.
#[test]
fn readyz_makes_at_most_one_commit_a_second() {
    let server = unlimited();
    let commits = || {
        let text = server.get("/metrics").expect_status(200).body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("lastseat_commits_total "));
        line.and_then(|n| n.parse::<f64>().ok())
            .expect("a counter of commits")
    };
    let before = commits();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..50 {
                    client.get("/readyz").expect_status(200);
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
    let made = commits() - before;
    // One more for the second that had begun, and one for the reaper's.
    let granted = start.elapsed().as_secs_f64().ceil() + 2.0;
    assert!(made <= granted, "{made} commits for 200 questions");
}

#[test]
fn an_event_is_created_by_whoever_says_it_in_any_of_these_ways() {
    let server = unlimited();
    let length = format!("Content-Length: {}\r\n", EVENT.len());
    let ways = [
        post_event(&length, EVENT),
        post_event(&format!("TE: trailers\r\n{length}"), EVENT),
        post_event(
            &format!("Connection: TE, keep-alive\r\nTE: trailers, deflate;q=0.5\r\n{length}"),
            EVENT,
        ),
        post_event(
            &format!("{length}Accept-Encoding: gzip, br\r\nAccept: */*\r\n"),
            EVENT,
        ),
    ];
    let mut client = Client::connect(server.addr());
    for way in &ways {
        client.send_raw(way.as_bytes());
        let answer = client.read_response();
        assert_eq!(answer.status, 201, "{way:?}: {answer:?}");
    }
    let (name, role) = ORGANIZER;
    let events = client
        .request("GET", "/events", &[(name, role)], None)
        .json();
    assert_eq!(events.as_array().unwrap().len(), ways.len());
}
