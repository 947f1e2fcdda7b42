//! Connections that come in one moment, and stay: each of them gets a thread. No pulse beats here:
//! its threads would help out, one every time.

use crate::support::{Client, FrozenClock, Server, request_text, signal};

const CLIENTS: usize = 128;

#[test]
fn connections_that_come_in_one_moment_and_stay_are_all_served() {
    all_are_served("127.0.0.1:0");
}

#[test]
fn so_are_those_of_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    all_are_served(&format!("unix:{}", socket.display()));
}

/// tiny_http leaves connections lying if the threads that it wakes for them are slow to wake. On one
/// core, where they do not drive out the thread that accepts, they are.
fn all_are_served(listen: &str) {
    let hooks = FrozenClock::new();
    std::fs::write(hooks.folder().join("no_pulse"), "").unwrap();
    let builder = Server::builder().listen(listen).args(hooks.flags());
    let one_core = ["chrt", "--batch", "0", "taskset", "--cpu-list", "0"];
    let server = builder.rate_limit_off().through(&one_core).start();
    let pid = server.server_pid();
    signal(pid, "STOP");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    let request = request_text("GET", "/events", &[], None);
    for client in &mut clients {
        client.send_raw(request.as_bytes());
    }
    signal(pid, "CONT");
    for client in &mut clients {
        client.read_response().expect_status(200);
    }
}
