//! Server-sent events: an event's ledger for its organizer, its numbers for anyone.

use super::contract_support::{ORGANIZER, assert_problem, frozen, sell, send, unlimited};
use super::keys::{add, bearer, create, key_command, keyed};
use crate::support::{PATIENCE, Server, Stream, wait_until};
use std::time::{Duration, Instant};

fn ledger(event: i64) -> String {
    format!("/events/{event}/changes")
}

fn follow(server: &Server, event: i64) -> Stream {
    Stream::open(server, &ledger(event), &[ORGANIZER])
}

fn watch(server: &Server, event: i64) -> Stream {
    Stream::open(server, &format!("/events/{event}"), &[])
}

#[test]
fn a_ledger_is_streamed_from_its_beginning_and_goes_on() {
    let server = unlimited();
    let event = server.create_event("Walk", 3);
    sell(&server, event, "ada@example.com");
    let mut stream = follow(&server, event);
    assert_eq!(stream.head.status, 200);
    let headers = [
        ("Content-Type", "text/event-stream"),
        ("X-Accel-Buffering", "no"),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept, X-Role"),
    ];
    for (name, value) in headers {
        assert_eq!(stream.head.header(name), Some(value), "{name}");
    }
    for (n, kind) in [(1, "created"), (2, "reserved")] {
        let sent = stream.next();
        let data = sent.data.unwrap();
        assert_eq!(
            (sent.id, data["n"].as_i64(), data["kind"].as_str()),
            (Some(n), Some(n), Some(kind))
        );
    }
    let ticket = sell(&server, event, "bob@example.com");
    let sent = stream.next();
    let as_listed = send(
        &server,
        "GET",
        &(ledger(event) + "?after=2"),
        &[ORGANIZER],
        None,
    )
    .json();
    assert_eq!((sent.id, sent.data), (Some(3), Some(as_listed[0].clone())));
    assert_eq!(as_listed[0]["ticket_id"], ticket.as_str());
}

#[test]
fn it_goes_on_behind_last_event_id_or_after() {
    let server = unlimited();
    let event = server.create_event("Walk", 3);
    sell(&server, event, "ada@example.com");
    sell(&server, event, "bob@example.com");
    let path = ledger(event) + "?after=1";
    assert_eq!(
        Stream::open(&server, &path, &[ORGANIZER]).next().id,
        Some(2)
    );
    let resumed = [ORGANIZER, ("Last-Event-ID", "2")];
    assert_eq!(Stream::open(&server, &path, &resumed).next().id, Some(3));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = unlimited();
    let event = server.create_event("Walk", 3);
    let stream = ("Accept", "text/event-stream");
    for (query, id, name) in [
        ("?limit=5", "1", "limit"),
        ("?wait=5s", "1", "wait"),
        ("", "one", "Last-Event-ID"),
        ("", "-1", "Last-Event-ID"),
    ] {
        let headers = [ORGANIZER, stream, ("Last-Event-ID", id)];
        let answer = send(&server, "GET", &(ledger(event) + query), &headers, None);
        assert_problem(&answer, 400, "invalid_request");
        assert!(answer.text("detail").starts_with(name), "{answer:?}");
    }
    for path in ["/events/99", "/events/99/changes"] {
        let answer = send(&server, "GET", path, &[ORGANIZER, stream], None);
        assert_problem(&answer, 404, "event_not_found");
    }
    let answer = send(&server, "GET", &ledger(event), &[stream], None);
    assert_problem(&answer, 403, "forbidden");
}

#[test]
fn anyone_sees_the_numbers_of_an_event_when_they_change_twice_a_second_at_most() {
    let server = unlimited();
    let event = server.create_event("Walk", 500);
    let mut stream = watch(&server, event);
    assert_eq!(
        stream.head.header("Content-Type"),
        Some("text/event-stream")
    );
    assert_eq!(stream.next().data, Some(server.event(event)));
    let start = Instant::now();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.client();
            for n in 0..300 {
                let body = format!(r#"{{"email":"buyer-{n}@example.com"}}"#);
                client
                    .post(&format!("/events/{event}/register"), "user", &body)
                    .expect_status(201);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        while seen.last() != Some(&200) {
            let data = stream.next().data.unwrap();
            seen.push(data["available_spots"].as_i64().unwrap());
        }
    });
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let most = 1 + start.elapsed().as_millis() / 500;
    assert!(
        (2..=most as usize).contains(&seen.len()),
        "{} in {:?}",
        seen.len(),
        start.elapsed()
    );
}

#[test]
fn a_hold_that_ends_by_itself_changes_the_numbers_too() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 1);
    sell(&server, event, "ada@example.com");
    let mut stream = watch(&server, event);
    assert_eq!(stream.next().data.unwrap()["available_spots"], 0);
    clock.advance(300_000);
    assert_eq!(stream.next().data.unwrap()["available_spots"], 1);
}

#[test]
fn a_silent_stream_says_every_15_s_that_it_is_there() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    std::thread::scope(|scope| {
        for mut stream in [follow(&server, event), watch(&server, event)] {
            scope.spawn(move || {
                stream.next();
                let start = Instant::now();
                let comment = stream.try_next().unwrap().expect("a comment");
                assert_eq!((comment.id, comment.data), (None, None));
                let took = start.elapsed();
                assert!((14..=18).contains(&took.as_secs()), "{took:?}");
            });
        }
    });
}

#[test]
fn beyond_streams_max_who_comes_is_told_to_come_back() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--streams-max", "2"])
        .start();
    let event = server.create_event("Walk", 1);
    let first = follow(&server, event);
    let mut second = watch(&server, event);
    let stream = ("Accept", "text/event-stream");
    let waiting = ledger(event) + "?after=1&wait=5s";
    let event_path = format!("/events/{event}");
    let refused = [
        (&ledger(event), stream),
        (&event_path, stream),
        (&waiting, ("Accept", "*/*")),
    ];
    for (path, accept) in refused {
        let answer = send(&server, "GET", path, &[ORGANIZER, accept], None);
        assert_problem(&answer, 503, "streams_full");
        assert_eq!(answer.header("Retry-After"), Some("5"));
    }
    // Whoever does not wait needs no place.
    send(&server, "GET", &ledger(event), &[ORGANIZER], None).expect_status(200);
    drop(first);
    let has_room = || {
        let head = send(&server, "HEAD", &ledger(event), &[ORGANIZER, stream], None);
        head.status == 200
    };
    assert!(
        wait_until(PATIENCE, has_room),
        "its place is free when it has gone"
    );
    let mut third = follow(&server, event);
    assert_eq!(third.next().id, Some(1));
    second.next();
    assert_eq!(server.event(event)["id"], event);
}

#[test]
fn a_stream_counts_once_against_the_rate_limit() {
    let server = Server::start(&[]);
    let event = server.create_event("Walk", 9);
    let mut stream = watch(&server, event);
    assert!(stream.head.header("RateLimit").unwrap().contains("r=4"));
    for n in 0..6 {
        stream.next();
        server
            .register(event, &format!("buyer-{n}@example.com"))
            .expect_status(201);
    }
}

#[test]
fn a_stream_ends_with_its_key() {
    let server = keyed();
    let (organizer, other) = (add(&server, "organizer"), add(&server, "organizer"));
    let event = create(&server, &organizer);
    let credentials = bearer(&organizer);
    let mut stream = Stream::open(&server, &ledger(event), &[("Authorization", &credentials)]);
    assert_eq!(stream.next().id, Some(1));
    let others = [("Authorization", bearer(&other))];
    let others: Vec<_> = others
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        Stream::open(&server, &ledger(event), &others).head.status,
        404
    );
    let id = organizer.split('_').nth(1).unwrap();
    assert!(key_command(&server, &["revoke", id]).status.success());
    let admin = add(&server, "admin");
    let path = format!("/events/{event}/cancel");
    super::keys::call(&server, &admin, "POST", &path, None).expect_status(200);
    assert!(stream.try_next().is_err(), "it is shown no more");
}
