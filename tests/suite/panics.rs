//! A bug in a handler or in a job, forced through the test hooks: the client gets a 500 with
//! its request id, the log names the same id, nothing of the job is kept, and everyone else is
//! served, by as many workers as before.

use crate::support::stampede::Order;
use crate::support::{FrozenClock, PATIENCE, Response, Server, pause_for_arrival, wait_until};

fn start(clock: &FrozenClock) -> Server {
    let flags = clock.flags();
    let builder = Server::builder().args(flags).args(["--workers", "2"]);
    builder.rate_limit_off().start()
}

/// Registers with a request id of its own and, if `panic` says so, a bug.
fn register(server: &Server, event: i64, name: &str, panic: Option<&str>) -> Response {
    let mut headers = vec![("X-Role", "user"), ("X-Request-Id", name)];
    headers.extend(panic.map(|place| ("X-Test-Panic", place)));
    let order = Order::by(format!("{name}@example.com")).with_key(name);
    let path = format!("/events/{event}/register");
    let body = order.json();
    server
        .client()
        .request("POST", &path, &headers, Some(&body))
}

/// The answer carries the request's id, and so does an error line in the log.
fn assert_reported(server: &Server, answer: Response, id: &str) {
    assert_eq!(answer.header("X-Request-Id"), Some(id));
    assert_eq!(answer.text("request_id"), id);
    answer.expect_problem(500, "internal_error");
    let is_report = |line: &serde_json::Value| {
        let is_error = line["level"]
            .as_str()
            .is_some_and(|l| l.eq_ignore_ascii_case("error"));
        let message = line["message"].as_str().unwrap_or_default();
        is_error && line["request_id"] == id && message.contains("panic")
    };
    let is_logged = wait_until(PATIENCE, || server.log_lines().iter().any(is_report));
    assert!(is_logged, "no panic with request id {id} in the log");
}

#[test]
fn a_panicking_request_is_a_500_and_leaves_nothing_behind() {
    let clock = FrozenClock::new();
    let server = start(&clock);
    let event = server.create_event("Bug", 5);
    let answer = register(&server, event, "unlucky", Some("request"));
    assert_reported(&server, answer, "unlucky");
    assert_eq!(server.event(event)["available_spots"], 5);
    register(&server, event, "unlucky", None).expect_status(201);
    server.assert_invariants();
}

#[test]
fn a_panicking_job_is_undone_alone() {
    let clock = FrozenClock::new();
    let server = start(&clock);
    let event = server.create_event("Bug", 100);
    // While another program holds the database, the jobs gather into one batch.
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("buyer-{n}")).collect();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let buy = |(n, name): (usize, &String)| {
            let (server, name) = (&server, name.clone());
            let panic = (n % 5 == 2).then_some("job");
            scope.spawn(move || register(server, event, &name, panic))
        };
        let buyers: Vec<_> = names.iter().enumerate().map(buy).collect();
        pause_for_arrival();
        other_program.execute_batch("ROLLBACK").unwrap();
        buyers.into_iter().map(|b| b.join().unwrap()).collect()
    });
    for (n, answer) in answers.into_iter().enumerate() {
        if n % 5 == 2 {
            assert_reported(&server, answer, &names[n]);
        } else {
            answer.expect_status(201);
        }
    }
    assert_eq!(server.event(event)["available_spots"], 84);
    server.assert_invariants();
    // Its key was not remembered either: the order is new.
    let again = register(&server, event, "buyer-2", None).expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), None);
    server.assert_invariants();
}

/// What was sold is sold: only who asked for the bug has to come back for the answer.
#[test]
fn a_panic_after_the_commit_costs_nobody_else_the_answer() {
    let clock = FrozenClock::new();
    let server = start(&clock);
    let event = server.create_event("Bug", 100);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let buy = |n: usize| {
            let (server, panic) = (&server, (n % 5 == 2).then_some("finish"));
            scope.spawn(move || register(server, event, &format!("buyer-{n}"), panic))
        };
        let buyers: Vec<_> = (0..20).map(buy).collect();
        pause_for_arrival();
        other_program.execute_batch("ROLLBACK").unwrap();
        buyers.into_iter().map(|b| b.join().unwrap()).collect()
    });
    for (n, answer) in answers.into_iter().enumerate() {
        match n % 5 == 2 {
            true => assert_reported(&server, answer, &format!("buyer-{n}")),
            false => drop(answer.expect_status(201)),
        }
    }
    assert_eq!(server.event(event)["available_spots"], 80);
    let again = register(&server, event, "buyer-2", None).expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    server.assert_invariants();
}

#[test]
fn the_server_keeps_all_of_its_workers_through_many_panics() {
    let clock = FrozenClock::new();
    let server = start(&clock);
    let event = server.create_event("Bug", 5);
    for n in 0..20 {
        let place = if n % 2 == 0 { "request" } else { "job" };
        let answer = register(&server, event, &format!("bug-{n}"), Some(place));
        answer.expect_problem(500, "internal_error");
    }
    // One of the two workers now waits for the database: reads need the other one.
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| register(&server, event, "patient", None));
        pause_for_arrival();
        for _ in 0..10 {
            assert_eq!(server.event(event)["available_spots"], 5);
        }
        assert!(!waiting.is_finished(), "nothing was waiting");
        other_program.execute_batch("ROLLBACK").unwrap();
        waiting.join().unwrap().expect_status(201);
    });
    server.assert_invariants();
}

#[test]
fn the_panic_headers_mean_nothing_without_the_test_hooks() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("No bug", 5);
    register(&server, event, "a", Some("request")).expect_status(201);
    register(&server, event, "b", Some("job")).expect_status(201);
}
