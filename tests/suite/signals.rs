//! Signals that are no call to stop: one that was to be ignored, those of other programs' habits, and
//! a stop by mistake. The sale goes on, or is soon taken up again.

use crate::support::stampede::Order;
use crate::support::{Client, PATIENCE, Server, fresh_source, is_alive, request_text, signal};
use crate::support::{pause_for_arrival, wait_until};
use std::time::{Duration, Instant};

/// Whoever stops a server for longer has another one serve.
const STILL_FOR: Duration = Duration::from_secs(2);
const REPLACED_WITHIN: Duration = Duration::from_secs(20);

fn pids(server: &Server) -> [u32; 2] {
    [server.pid(), server.server_pid()]
}

/// Both processes are the same ones, and sell.
#[track_caller]
fn assert_goes_on(server: &Server, pids_before: [u32; 2], event: i64, email: &str) {
    // A process that ends of a signal does so at once.
    pause_for_arrival();
    assert!(server.is_running(), "{email}: the keeper ended");
    assert_eq!(pids(server), pids_before, "{email}: {}", server.log());
    server.register(event, email).expect_status(201);
}

#[test]
fn who_is_started_with_nohup_outlives_a_hangup() {
    // What nohup(1) does, but for its redirections.
    let ignoring = ["sh", "-c", r#"trap '' HUP; exec "$0" "$@""#];
    let server = Server::builder()
        .rate_limit_off()
        .through(&ignoring)
        .start();
    let event = server.create_event("All night", 10);
    let before = pids(&server);
    for (n, pid) in before.into_iter().enumerate() {
        signal(pid, "HUP");
        assert_goes_on(&server, before, event, &format!("hangup-{n}@example.com"));
    }
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
}

/// Some programs rotate their logs, or dump their state, at one of these.
#[test]
fn a_signal_that_means_nothing_here_does_not_end_the_sale() {
    let server = Server::builder().rate_limit_off().start();
    let event = server.create_event("Unmoved", 100);
    let before = pids(&server);
    for name in ["USR1", "USR2", "QUIT", "PIPE", "WINCH"] {
        signal(server.pid(), name);
        assert_goes_on(&server, before, event, &format!("{name}@example.com"));
    }
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
}

/// A server that ends of one of these is missed as after any other end.
#[test]
fn a_signal_that_ends_the_server_does_not_end_the_sale() {
    let server = Server::builder().rate_limit_off().start();
    let event = server.create_event("Unmoved", 100);
    let keeper = server.pid();
    for name in ["USR1", "USR2", "QUIT"] {
        signal(server.server_pid(), name);
        pause_for_arrival();
        let order = Order::by(format!("{name}@example.com")).with_key(name);
        assert!(wait_until(PATIENCE, || is_sold(&server, event, &order)));
        assert!(server.is_running() && is_alive(keeper), "{}", server.log());
    }
}

fn is_sold(server: &Server, event: i64, order: &Order) -> bool {
    let path = format!("/events/{event}/register");
    let client = Client::try_connect(server.addr(), Some(fresh_source()));
    let answer = client.and_then(|mut client| client.try_post(&path, "user", &order.json()));
    answer.is_ok_and(|answer| answer.status == 201)
}

#[test]
fn a_server_that_stood_still_for_a_moment_goes_on() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Asleep", 2);
    let pid = server.server_pid();
    let mut client = server.client();
    client.get("/events").expect_status(200);
    signal(pid, "STOP");
    let order = Order::by("early@example.com").json();
    let path = format!("/events/{event}/register");
    let order = request_text("POST", &path, &[("X-Role", "user")], Some(&order));
    client.send_raw(order.as_bytes());
    // That time goes by is the point.
    std::thread::sleep(STILL_FOR);
    signal(pid, "CONT");
    client.read_response().expect_status(201);
    let before = [server.pid(), pid];
    assert_goes_on(&server, before, event, "late@example.com");
}

#[test]
fn a_server_that_is_stopped_is_replaced() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Frozen", 1);
    let pid = server.server_pid();
    signal(pid, "STOP");
    let start = Instant::now();
    let order = Order::by("patient@example.com").with_key("patient");
    let sold = wait_until(REPLACED_WITHIN, || is_sold(&server, event, &order));
    let took = start.elapsed();
    // Otherwise it outlives the test.
    if is_alive(pid) {
        signal(pid, "KILL");
    }
    assert!(sold && took < REPLACED_WITHIN, "{took:?}: {}", server.log());
    assert_ne!(server.server_pid(), pid);
    server.assert_invariants();
}

/// To wait for another program is no illness: nothing is gained by another server that waits too.
#[test]
fn a_server_that_waits_for_another_program_is_not_replaced() {
    let server = Server::start(&["--rate-limit", "off", "--workers", "1"]);
    let event = server.create_event("Locked", 1);
    let pid = server.server_pid();
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut client = server.client();
    let order = Order::by("patient@example.com").json();
    let path = format!("/events/{event}/register");
    let order = request_text("POST", &path, &[("X-Role", "user")], Some(&order));
    client.send_raw(order.as_bytes());
    let is_replaced = || server.try_server_pid() != Some(pid);
    assert!(!wait_until(Duration::from_secs(3), is_replaced));
    other_program.execute_batch("ROLLBACK").unwrap();
    client.read_response().expect_status(201);
    assert_eq!(server.try_server_pid(), Some(pid), "{}", server.log());
}
