//! What the headers alone show: 413 and 400 before anything is read, the connection closed after
//! them, and kept, in step, after any other answer. (417 and 505, and what is no refusal, are in
//! `ordinary_clients` and `held_up`.)

use super::contract_support::{
    JSON, ORGANIZER, assert_problem, list, past_interim, send, unlimited,
};
use crate::support::{Client, PATIENCE, Response, Server, pause_for_arrival};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

const EVENT: &str = r#"{"name":"Walk","total_spots":5}"#;

fn raw(server: &Server, request: &str) -> (Response, Client) {
    let mut client = Client::connect(server.addr());
    client.send_raw(request.as_bytes());
    let response = client.read_response();
    (past_interim(&mut client, response), client)
}

/// Refused, said to be closed, and over as soon as the client has nothing more to say either.
#[track_caller]
fn assert_refused(server: &Server, request: &str, status: u16, code: &str) {
    let (response, mut client) = raw(server, request);
    assert_problem(&response, status, code);
    assert!(
        list(&response, "Connection").contains("close"),
        "{response:?}"
    );
    client.finish_sending();
    let another = client.try_read_response();
    assert!(another.is_err(), "after {request:?}: {another:?}");
    server.get("/healthz").expect_status(200);
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /events HTTP/1.1\r\nHost: a\r\nX-Role: organizer\r\n{headers}\r\n{body}")
}

#[test]
fn a_coding_other_than_chunked_alone_is_refused() {
    let server = unlimited();
    let chunked = format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len());
    for coding in [
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "",
        "xchunked",
        "chunked;a=b",
    ] {
        let request = post(&format!("Transfer-Encoding: {coding}\r\n"), &chunked);
        assert_refused(&server, &request, 400, "bad_request");
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_refused(&server, &post(twice, &chunked), 400, "bad_request");
}

/// Whoever stands between may believe the one, and the server the other.
#[test]
fn chunks_with_a_length_are_refused() {
    let server = unlimited();
    for length in ["0", "5", "31"] {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let length = format!("Content-Length: {length}\r\n");
        for headers in [format!("{chunked}{length}"), format!("{length}{chunked}")] {
            let request = post(&headers, "0\r\n\r\n");
            assert_refused(&server, &request, 400, "bad_request");
        }
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_the_body_comes() {
    let server = unlimited();
    for length in ["1025", "65536"] {
        let request = post(&format!("Content-Length: {length}\r\n"), "");
        assert_refused(&server, &request, 413, "body_too_large");
    }
}

#[test]
fn a_length_beyond_all_reason_does_the_server_no_harm() {
    let server = unlimited();
    let lengths = [
        "4294967296",
        "1000000000000000",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ];
    for length in lengths {
        let (response, client) = raw(&server, &post(&format!("Content-Length: {length}\r\n"), ""));
        assert_problem(&response, 413, "body_too_large");
        assert!(
            list(&response, "Connection").contains("close"),
            "{response:?}"
        );
        drop(client);
        server.get("/events").expect_status(200);
    }
}

#[test]
fn what_follows_a_refused_request_is_no_request() {
    let server = unlimited();
    let smuggled = post(&format!("Content-Length: {}\r\n", EVENT.len()), EVENT);
    let before = [
        ("Transfer-Encoding: xchunked\r\n", 400, "bad_request"),
        ("Content-Length: 1025\r\n", 413, "body_too_large"),
        ("Content-Length: x\r\n", 400, "bad_request"),
        (
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            400,
            "bad_request",
        ),
        ("Host: b\r\n", 400, "bad_request"),
    ];
    for (flaw, status, code) in before {
        assert_refused(&server, &post(flaw, &smuggled), status, code);
        let events = server.get("/events").expect_status(200);
        assert_eq!(events.body, "[]\n", "smuggled in after {flaw:?}");
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_answer() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    client.send_raw(b"POST /events HTTP/1.0\r\nContent-Length: 1025\r\n\r\n");
    assert_problem(&client.read_response(), 413, "body_too_large");
}

#[test]
fn an_odd_or_repeated_length_is_refused() {
    let server = unlimited();
    for length in [
        "", "x", "-1", "+5", "5,5", "5, 5", "5 5", "0x5", "5.0", "5;", "1e1",
    ] {
        // Five bytes follow, because tiny_http reads some of these as 5 and waits for them.
        let request = post(&format!("Content-Length: {length}\r\n"), "12345");
        assert_refused(&server, &request, 400, "bad_request");
    }
    for (first, second) in [("31", "31"), ("31", "5"), ("0", "31")] {
        let lengths = format!("Content-Length: {first}\r\ncontent-length: {second}\r\n");
        let request = post(&lengths, EVENT);
        assert_refused(&server, &request, 400, "bad_request");
    }
}

/// RFC 9112, 5.2: whoever stands between may join the lines, and the server not.
#[test]
fn a_folded_header_is_refused() {
    let server = unlimited();
    let length = EVENT.len();
    for folded in [
        format!("Content-Length:\r\n {length}\r\n"),
        format!("Content-Length: {length}\r\n\t0\r\n"),
        format!("X: a\r\n Content-Length: {length}\r\n"),
    ] {
        assert_refused(&server, &post(&folded, EVENT), 400, "bad_request");
    }
}

/// The HTTP library refuses it, and says so in a bare 400.
#[test]
fn a_tab_in_a_head_is_a_problem_like_any_other() {
    let server = unlimited();
    for head in [
        "GET /\tevents HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nX: a\tb\r\n",
    ] {
        let request = format!("{head}Host: a\r\n\r\n");
        assert_refused(&server, &request, 400, "bad_request");
    }
}

/// RFC 9112, 2.2: some clients send one behind a body.
#[test]
fn an_empty_line_before_a_request_is_passed_over() {
    let server = unlimited();
    let read = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
    let created = post(&format!("Content-Length: {}\r\n", EVENT.len()), EVENT);
    let mut client = Client::connect(server.addr());
    for (request, status) in [(read, 200), (&created, 201), (read, 200)] {
        client.send_raw(b"\r\n");
        client.send_raw(request.as_bytes());
        client.read_response().expect_status(status);
    }
    client.send_raw(b"\r");
    pause_for_arrival();
    client.send_raw(format!("\n{read}").as_bytes());
    client.read_response().expect_status(200);
    // Behind a body in one piece, the HTTP library may have it already.
    client.send_raw(format!("{created}\r\n").as_bytes());
    let response = client.read_response().expect_status(201);
    if list(&response, "Connection").contains("close") {
        assert!(client.is_closed_by_server());
    } else {
        client.get("/events").expect_status(200);
    }
}

/// A connection that is closed over bytes that nobody has read is reset, and a reset may overtake the
/// response.
#[test]
fn what_follows_a_last_request_does_not_cost_its_response() {
    let server = unlimited();
    let close = "GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut client = TcpStream::connect(server.addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let more = close.to_owned() + &"x".repeat(5_000);
    client.write_all(more.as_bytes()).unwrap();
    pause_for_arrival();
    let goes_on = client.write_all(b"x");
    assert!(goes_on.is_ok(), "the connection was reset: {goes_on:?}");
    client.shutdown(Shutdown::Write).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response:?}");
}

#[test]
fn a_request_names_exactly_one_host() {
    let server = unlimited();
    let none = "GET /events HTTP/1.1\r\n\r\n";
    let two = "GET /events HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n";
    let mixed = "GET /events HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n";
    for request in [none, two, mixed] {
        assert_refused(&server, request, 400, "bad_request");
    }
}

#[test]
fn other_refusals_keep_the_connection_and_stay_in_step() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let text = ("Content-Type", "text/plain");
    let refused = [
        (404, "POST", "/nowhere", vec![JSON]),
        (405, "PUT", "/events", vec![JSON]),
        (403, "POST", "/events", vec![JSON]),
        (415, "POST", "/events", vec![ORGANIZER, text]),
        (
            404,
            "POST",
            "/events/99/register",
            vec![("X-Role", "user"), JSON],
        ),
    ];
    for (status, method, path, headers) in refused {
        let body = r#"{"email":"ada@example.com"}"#;
        let response = client.request(method, path, &headers, Some(body));
        assert_eq!(response.status, status, "{response:?}");
        assert!(
            !list(&response, "Connection").contains("close"),
            "{response:?}"
        );
        client
            .post("/events", "organizer", EVENT)
            .expect_status(201);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let refused = "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /";
    let created = post(&format!("Content-Length: {}\r\n", EVENT.len()), EVENT);
    let read = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send_raw(format!("{refused}{created}{read}").as_bytes());
    assert_problem(&client.read_response(), 404, "route_not_found");
    client.read_response().expect_status(201);
    client.read_response().expect_status(200);
}

#[test]
fn a_client_that_pipelines_gets_every_answer_in_order_from_many_workers() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--workers", "16"])
        .start();
    let mut client = Client::connect(server.addr());
    for round in 0..20 {
        let id = |n: usize| format!("{round}.{n}");
        let request = |n: usize| {
            let id = id(n);
            format!("GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n")
        };
        client.send_raw((0..50).map(request).collect::<String>().as_bytes());
        for n in 0..50 {
            let response = client.read_response();
            assert_problem(&response, 404, "route_not_found");
            assert_eq!(response.text("request_id"), id(n));
        }
    }
}

#[test]
fn a_client_of_http_1_0_is_answered_and_let_go() {
    let server = unlimited();
    let (response, mut client) = raw(&server, "GET /events HTTP/1.0\r\n\r\n");
    assert_eq!(response.expect_status(200).body, "[]\n");
    assert!(client.is_closed_by_server());
}

#[test]
fn a_client_that_says_close_is_let_go() {
    let server = unlimited();
    let request = "GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (response, mut client) = raw(&server, request);
    response.expect_status(200);
    assert!(client.is_closed_by_server());
}

#[test]
fn headers_that_upset_the_http_library_upset_nobody() {
    let server = unlimited();
    let codings = vec!["a;q=NaN"; 60].join(", ");
    let odd = [
        format!("GET /events HTTP/1.1\r\nHost: a\r\nTE: {codings}\r\n\r\n"),
        "GET /events HTTP/1.1\r\nHost: a\r\nTE: chunked;q=2, x;q=-1\r\n\r\n".to_owned(),
        "GET /events HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: never\r\n\r\n".to_owned(),
        "GET /events HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n".to_owned(),
        "GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n".to_owned(),
        format!(
            "GET /events HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n",
            "x".repeat(4_000)
        ),
    ];
    for request in odd {
        let (response, mut client) = raw(&server, &request);
        assert_eq!(response.expect_status(200).body, "[]\n");
        client.get("/events").expect_status(200);
    }
}

#[test]
fn a_response_is_one_well_formed_message() {
    let server = unlimited();
    server.create_event("Harbour walk", 5);
    for path in ["/events", "/nowhere"] {
        let response = send(&server, "GET", path, &[], None);
        for name in ["Content-Length", "Content-Type", "Date", "X-Request-Id"] {
            assert_eq!(response.header_all(name).len(), 1, "{name}: {response:?}");
        }
        assert_eq!(response.header("Transfer-Encoding"), None);
    }
}
