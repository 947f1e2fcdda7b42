//! Bodies that come in chunks, or only when they are asked for (`Expect: 100-continue`).

use super::contract_support::{assert_problem, list, unlimited};
use crate::support::{Client, request_text};

pub const EVENT: &str = r#"{"name":"Walk","total_spots":5}"#;

/// To create an event, with these headers besides.
pub fn post_event(headers: &str, body: &str) -> String {
    format!("POST /events HTTP/1.1\r\nHost: a\r\nX-Role: organizer\r\n{headers}\r\n{body}")
}

/// The next answer is the one to the next request: there was none too many, and nothing of the
/// request before it is left on the wire.
#[track_caller]
pub fn assert_in_step(client: &mut Client) {
    client.send_raw(request_text("GET", "/nowhere", &[("X-Request-Id", "next")], None).as_bytes());
    let next = client.read_response();
    assert_problem(&next, 404, "route_not_found");
    assert_eq!(
        next.header("X-Request-Id"),
        Some("next"),
        "an answer too many"
    );
}

/// In one chunk.
pub fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// The connection ends with the answer, which says so: nobody tells where the chunks ended on it.
#[track_caller]
fn assert_created_and_over(client: &mut Client, name: &str) {
    let answer = client.read_response();
    assert_eq!(answer.status, 201, "{name}: {answer:?}");
    assert!(list(&answer, "Connection").contains("close"), "{answer:?}");
    assert!(client.is_closed_by_server(), "{name}");
}

#[test]
fn who_asks_whether_to_continue_is_told_so_and_served() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    for expectation in ["100-continue", "100-Continue"] {
        let length = format!("Content-Length: {}\r\n", EVENT.len());
        client.send_raw(post_event(&format!("Expect: {expectation}\r\n{length}"), "").as_bytes());
        let interim = client.read_response();
        assert_eq!(interim.status, 100, "{interim:?}");
        client.send_raw(EVENT.as_bytes());
        client.read_response().expect_status(201);
        assert_in_step(&mut client);
    }
}

#[test]
fn who_expects_and_does_not_wait_is_served_all_the_same() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let headers = format!(
        "Expect: 100-continue\r\nContent-Length: {}\r\n",
        EVENT.len()
    );
    client.send_raw(post_event(&headers, EVENT).as_bytes());
    let mut answer = client.read_response();
    if answer.status == 100 {
        answer = client.read_response();
    }
    answer.expect_status(201);
    assert_in_step(&mut client);
}

#[test]
fn who_expects_and_sends_chunks_is_served() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let headers = "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n";
    client.send_raw(post_event(headers, "").as_bytes());
    assert_eq!(client.read_response().status, 100);
    client.send_raw(chunked(EVENT).as_bytes());
    assert_created_and_over(&mut client, "expected");
}

#[test]
fn who_asks_whether_to_send_too_much_is_told_not_to() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let headers = "Expect: 100-continue\r\nContent-Length: 1025\r\n";
    client.send_raw(post_event(headers, "").as_bytes());
    assert_problem(&client.read_response(), 413, "body_too_large");
}

#[test]
fn who_expects_something_else_is_refused() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    client.send_raw(post_event("Expect: tea\r\nContent-Length: 2\r\n", "{}").as_bytes());
    // The HTTP library may have said it, without a body.
    let answer = client.read_response().expect_status(417);
    assert!(answer.body.is_empty() || answer.code() == "expectation_failed");
    assert!(client.is_closed_by_server());
}

#[test]
fn a_small_body_in_chunks_is_a_body() {
    let server = unlimited();
    let (first, second) = EVENT.split_at(7);
    let (a, b) = (first.len(), second.len());
    let bodies = [
        ("one chunk", chunked(EVENT)),
        (
            "two chunks",
            format!("{a:x}\r\n{first}\r\n{b:X}\r\n{second}\r\n0\r\n\r\n"),
        ),
        (
            "extensions",
            format!("{a:x};a=b\r\n{first}\r\n{b:x};c\r\n{second}\r\n0;d=e\r\n\r\n"),
        ),
        ("exactly 1,024 bytes", chunked(&format!("{EVENT:<1024}"))),
    ];
    for (name, body) in bodies {
        let mut client = Client::connect(server.addr());
        client.send_raw(post_event("Transfer-Encoding: chunked\r\n", &body).as_bytes());
        assert_created_and_over(&mut client, name);
    }
}

#[test]
fn a_body_in_chunks_that_comes_byte_by_byte_is_a_body() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    for byte in post_event("Transfer-Encoding: chunked\r\n", &chunked(EVENT)).bytes() {
        client.send_raw(&[byte]);
    }
    assert_created_and_over(&mut client, "byte by byte");
}

#[test]
fn chunks_of_1025_bytes_are_too_large() {
    let server = unlimited();
    let one = format!("{EVENT:<1025}");
    let many = "1\r\n{\r\n".repeat(1_025) + "0\r\n\r\n";
    for body in [chunked(&one), many] {
        let mut client = Client::connect(server.addr());
        client.send_raw(post_event("Transfer-Encoding: chunked\r\n", &body).as_bytes());
        let answer = client.read_response();
        assert_problem(&answer, 413, "body_too_large");
        // What was not read of it is not taken for a request.
        if !list(&answer, "Connection").contains("close") {
            assert_in_step(&mut client);
        }
    }
    assert_eq!(server.get("/events").body, "[]\n");
}
