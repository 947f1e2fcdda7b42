//! `GET /events/{id}/changes`: an event's ledger in pages, and as soon as there is something.

use super::contract_support::{ORGANIZER, assert_problem, sell_for_good, send, unlimited};
use crate::support::{PATIENCE, Response, Server, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn ask(server: &Server, event: i64, query: &str) -> Response {
    let path = format!("/events/{event}/changes{query}");
    send(server, "GET", &path, &[ORGANIZER], None)
}

#[track_caller]
fn changes(server: &Server, event: i64, query: &str) -> Vec<Value> {
    let answer = ask(server, event, query).expect_status(200);
    answer.json().as_array().expect("an array").clone()
}

fn numbers(changes: &[Value]) -> Vec<i64> {
    changes
        .iter()
        .map(|c| c["n"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn a_change_says_what_happened_to_whom_and_what_was_left() {
    let server = unlimited();
    let event = server.create_event("Walk", 3);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    let path = format!("/tickets/{ticket}/cancel");
    server.post(&path, "user", "{}").expect_status(200);
    let told = changes(&server, event, "");
    let shown = |c: &Value| {
        json!([
            c["n"],
            c["kind"],
            c["ticket_id"],
            c["spots"],
            c["available_spots"],
            c["waiting"]
        ])
    };
    let expected = [
        json!([1, "created", null, 3, 3, 0]),
        json!([2, "reserved", ticket, -1, 2, 0]),
        json!([3, "confirmed", ticket, 0, 2, 0]),
        json!([4, "cancelled", ticket, 1, 3, 0]),
    ];
    assert_eq!(told.iter().map(shown).collect::<Vec<_>>(), expected);
    let at = |c: &Value| c["at"].as_str().expect("a time").to_owned();
    assert!(told.is_sorted_by_key(at));
    assert_eq!(told[0].as_object().unwrap().len(), 7);
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let server = unlimited();
    let event = server.create_event("Walk", 20);
    for n in 0..10 {
        server
            .register(event, &format!("buyer-{n}@example.com"))
            .expect_status(201);
    }
    let mut seen = Vec::new();
    let mut next = Some(format!("/events/{event}/changes?limit=3"));
    while let Some(path) = next {
        let page = send(&server, "GET", &path, &[ORGANIZER], None).expect_status(200);
        seen.extend(numbers(page.json().as_array().unwrap()));
        let link = page
            .header("Link")
            .and_then(|l| l.strip_prefix('<')?.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    assert_eq!(seen, (1..=11).collect::<Vec<_>>());
    assert_eq!(numbers(&changes(&server, event, "?after=9")), [10, 11]);
    assert_eq!(changes(&server, event, "?after=11"), [] as [Value; 0]);
    assert_eq!(changes(&server, event, "?after=1000"), [] as [Value; 0]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    for query in [
        "?after=-1",
        "?after=x",
        "?after=e1",
        "?limit=0",
        "?limit=101",
        "?wait=31s",
        "?wait=-1",
        "?wait=1m",
        "?wait=500ms",
        "?wait=",
        "?wait=1s&wait=2s",
    ] {
        let name = &query[1..query.find('=').unwrap()];
        let answer = ask(&server, event, query).expect_problem(400, "invalid_request");
        assert!(
            answer.text("detail").starts_with(name),
            "{query}: {answer:?}"
        );
    }
    assert_problem(&ask(&server, 99, "?wait=1s"), 404, "event_not_found");
    let user = send(
        &server,
        "GET",
        &format!("/events/{event}/changes"),
        &[("X-Role", "user")],
        None,
    );
    assert_problem(&user, 403, "forbidden");
}

#[test]
fn who_waits_is_answered_within_200_ms_of_the_commit() {
    let server = unlimited();
    let event = server.create_event("Walk", 20);
    let took = (1..=8).map(|n| {
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let told = changes(&server, event, &format!("?after={n}&wait=30s"));
                (Instant::now(), told)
            });
            std::thread::sleep(Duration::from_millis(250));
            server
                .register(event, &format!("buyer-{n}@example.com"))
                .expect_status(201);
            let sold_at = Instant::now();
            let (told_at, told) = waits.join().expect("an answer");
            assert_eq!(numbers(&told), [n + 1]);
            told_at.saturating_duration_since(sold_at)
        })
    });
    // A busy machine may hold up some of them.
    let best = took.min().unwrap();
    assert!(best <= Duration::from_millis(200), "{best:?}");
}

#[test]
fn who_waits_in_vain_is_told_so_when_the_time_is_over() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    let mut client = server.client();
    for wait in ["2", "1s"] {
        let start = Instant::now();
        let path = format!("/events/{event}/changes?after=1&wait={wait}");
        let answer = client
            .request("GET", &path, &[ORGANIZER], None)
            .expect_status(200);
        assert_eq!(answer.body, "[]\n");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert!(start.elapsed() >= Duration::from_secs(1));
    }
    // The connection goes on.
    client.get(&format!("/events/{event}")).expect_status(200);
}

#[test]
fn a_crowd_that_waits_costs_no_worker() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--workers", "1"])
        .start();
    let event = server.create_event("Walk", 5);
    std::thread::scope(|scope| {
        let wait = |_| scope.spawn(|| changes(&server, event, "?after=1&wait=30s"));
        let waits: Vec<_> = (0..50).map(wait).collect();
        assert!(wait_until(PATIENCE, || open_streams(&server) == 50));
        let start = Instant::now();
        server.event(event);
        assert!(start.elapsed() < Duration::from_secs(1));
        server.register(event, "ada@example.com").expect_status(201);
        for told in waits {
            assert_eq!(numbers(&told.join().unwrap()), [2]);
        }
    });
    assert!(wait_until(PATIENCE, || open_streams(&server) == 0));
}

fn open_streams(server: &Server) -> i64 {
    let metrics = server.get("/metrics").body;
    let line = metrics
        .lines()
        .find_map(|l| l.strip_prefix("lastseat_open_streams "));
    line.expect("a gauge").parse().expect("a number")
}

#[test]
fn nothing_is_told_before_it_is_committed() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    let shell = server.db();
    let insert = "BEGIN IMMEDIATE;
        UPDATE events SET name = 'Ride', changes = changes + 1;
        INSERT INTO ledger (event_id, n, at, kind, spots, available_spots)
        SELECT event_id, n + 1, at, 'changed', 0, available_spots FROM ledger";
    shell.execute_batch(insert).unwrap();
    assert_eq!(
        changes(&server, event, "?after=1&wait=2s"),
        [] as [Value; 0]
    );
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| changes(&server, event, "?after=1&wait=20s"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waits.is_finished());
        shell.execute_batch("COMMIT").unwrap();
        // Also what this server has not committed itself.
        let told = waits.join().unwrap();
        assert_eq!(
            (numbers(&told), &told[0]["kind"]),
            (vec![2], &json!("changed"))
        );
    });
    server.assert_invariants();
}
