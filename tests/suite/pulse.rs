//! The pulse tells a server that nobody can reach any more, which is replaced, from one that is slow,
//! which is not.

use crate::support::stampede::Order;
use crate::support::{FrozenClock, PATIENCE, Server, request_text, signal, wait_until};
use std::process::Command;
use std::time::Duration;

/// Longer than the pulse waits for an answer, shorter than SQLite for a lock.
const STILL_FOR: Duration = Duration::from_secs(3);
/// A server under suspicion is replaced well before this, or not soon.
const SENTENCED_WITHIN: Duration = Duration::from_secs(1);
const SILENT: &str = "the server does not answer its own pulse";

/// tiny_http's accepting thread panics when it gets the last descriptor but one. Which of its calls
/// gets that is a matter of luck, so it is tried until it does: in the other cases it says that it
/// is at its end. That it panicked is told to nobody here, as if it were stuck.
#[test]
fn a_server_that_silently_accepts_nobody_any_more_is_replaced() {
    let hooks = FrozenClock::new();
    std::fs::write(hooks.folder().join("no_last_words"), "").unwrap();
    let builder = Server::builder().rate_limit_off();
    let server = builder.args(hooks.flags()).start();
    let event = server.create_event("Deaf", 1);
    let is_silent = || server.log().contains("no connection is accepted any more");
    for _ in 0..80 {
        let pid = server.server_pid();
        leave_descriptors(pid, 2);
        let is_replaced = || server.try_server_pid().is_some_and(|other| other != pid);
        // Whoever connects takes descriptors too.
        let connect = || drop(std::net::TcpStream::connect(server.addr()));
        assert!(wait_until(PATIENCE, || {
            connect();
            is_replaced()
        }));
        server.get("/healthz").expect_status(200);
        if is_silent() {
            break;
        }
    }
    assert!(is_silent(), "{}", server.log());
    server.register(event, "a@example.com").expect_status(201);
    server.assert_invariants();
}

/// Lets a process open only so many more.
fn leave_descriptors(pid: u32, more: usize) {
    signal(pid, "STOP");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the server's descriptors");
    let open: Vec<usize> = open
        .flatten()
        .filter_map(|fd| fd.file_name().to_str()?.parse().ok())
        .collect();
    // The limit is on the number of a descriptor, and the lowest free one is taken.
    let free = (0..).filter(|fd| !open.contains(fd));
    let limit = free.take(more).last().map_or(0, |last| last + 1);
    let done = Command::new("prlimit")
        .arg(format!("--pid={pid}"))
        .arg(format!("--nofile={limit}:"))
        .status();
    signal(pid, "CONT");
    assert!(done.expect("prlimit of util-linux").success());
}

#[test]
fn a_server_that_stood_still_goes_on() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Asleep", 1);
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
    outlives_its_next_beats(&server, pid);
}

/// Its only worker waits for another program to let go of the database, and answers no beat.
#[test]
fn a_server_whose_only_worker_waits_goes_on() {
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
    assert!(wait_until(PATIENCE, || server.log().contains(SILENT)));
    let is_sentenced = || server.log().contains("should take over");
    assert!(!wait_until(SENTENCED_WITHIN, is_sentenced));
    other_program.execute_batch("ROLLBACK").unwrap();
    client.read_response().expect_status(201);
    let is_back = || server.log().contains("answers its own pulse again");
    assert!(wait_until(PATIENCE, is_back), "{}", server.log());
    outlives_its_next_beats(&server, pid);
}

/// A verdict would come at once, and be in the log.
#[track_caller]
fn outlives_its_next_beats(server: &Server, pid: u32) {
    for _ in 0..80 {
        server.get("/readyz").expect_status(200);
    }
    assert_eq!(server.server_pid(), pid, "{}", server.log());
    assert!(
        !server.log().contains("should take over"),
        "{}",
        server.log()
    );
}
