//! `--listen unix:/path`: the same service over a Unix socket, whose peer is a trusted proxy.

use super::contract_support::{assert_problem, run};
use crate::support::{Client, FrozenClock, PATIENCE, Server, pause_for_arrival};
use std::os::unix::net::UnixListener;
use std::path::Path;

fn start(socket: &Path) -> Server {
    Server::builder().listen(&listen(socket)).start()
}

fn listen(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

#[test]
fn a_whole_life_of_a_ticket_goes_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let server = Server::builder()
        .listen(&listen(&socket))
        .rate_limit_off()
        .start();
    let expected = format!("listening on unix:{} (database ", socket.display());
    assert!(
        server.ready_line().starts_with(&expected),
        "{}",
        server.ready_line()
    );
    let event = server.create_event("Harbour walk", 1);
    let ticket = server
        .register(event, "ada@example.com")
        .expect_status(201)
        .text("ticket_id");
    assert_problem(&server.register(event, "bob@example.com"), 409, "sold_out");
    server.confirm(&ticket).expect_status(200);
    let mut client = Client::connect_unix(&socket);
    for _ in 0..10 {
        client.get("/events").expect_status(200);
    }
    server.assert_invariants();
}

#[test]
fn the_peer_of_a_unix_socket_is_a_trusted_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let clock = FrozenClock::new();
    let server = Server::builder()
        .listen(&listen(&socket))
        .args(clock.flags())
        .start();
    let ask = |address: &str| {
        let headers = [("X-Forwarded-For", address)];
        server
            .client()
            .request("GET", "/events", &headers, None)
            .status
    };
    for address in ["203.0.113.7", "203.0.113.8"] {
        let statuses = [(); 6].map(|()| ask(address));
        assert_eq!(statuses, [200, 200, 200, 200, 200, 429], "{address}");
    }
    assert_eq!(ask("203.0.113.8, 203.0.113.7"), 429);
    assert_eq!(ask("203.0.113.7, 203.0.113.9"), 200);
}

#[test]
fn whoever_forwards_nothing_over_the_socket_is_limited_as_one_client() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FrozenClock::new();
    let listen = listen(&folder.path().join("lastseat.sock"));
    let server = Server::builder()
        .listen(&listen)
        .args(clock.flags())
        .start();
    let statuses = [(); 6].map(|()| server.client().get("/events").status);
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
}

#[test]
fn a_socket_that_nobody_listens_on_any_more_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "the stale file is there");
    let first = start(&socket);
    first.get("/events").expect_status(200);
    first.kill9();
    start(&socket).get("/events").expect_status(200);
}

#[test]
fn a_socket_in_use_is_left_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let first = start(&socket);
    let second = run(&["--listen", &listen(&socket)], &[]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(second.stderr.trim_end().lines().count(), 1, "{second:?}");
    assert!(
        second.stderr.contains(socket.to_str().unwrap()),
        "{second:?}"
    );
    first.get("/events").expect_status(200);
}

#[test]
fn a_file_that_is_no_socket_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("precious.txt");
    std::fs::write(&file, "precious").unwrap();
    let refused = run(&["--listen", &listen(&file)], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.starts_with("lastseat: "), "{refused:?}");
    assert!(
        refused.stderr.contains(file.to_str().unwrap()),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_stopped_server_stops_over_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let server = start(&socket);
    let mut idle = Client::connect_unix(&socket);
    idle.get("/events").expect_status(200);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    start(&socket).get("/events").expect_status(200);
}

/// A proxy may pass on whatever a client sends: the rules are those of TCP.
#[test]
fn a_head_that_comes_in_pieces_is_looked_at_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let server = Server::builder().listen(&listen(&socket));
    let _server = server.rate_limit_off().start();
    let refused = [
        (505, "GET / HTTP", "/2.0\r\nHost: a\r\n\r\n"),
        (
            400,
            "GET / HTTP/1.1\r\nHost: a\r\nX: a",
            "\r\n folded\r\n\r\n",
        ),
        (
            400,
            "POST /events HTTP/1.1\r\nHost: a\r\nContent-",
            "Length: x\r\n\r\n",
        ),
    ];
    for (status, start, rest) in refused {
        for before in 0..3 {
            let mut client = Client::connect_unix(&socket);
            for _ in 0..before {
                client.get("/events").expect_status(200);
            }
            client.send_raw(start.as_bytes());
            pause_for_arrival();
            client.send_raw(rest.as_bytes());
            let answer = client.read_response();
            assert_eq!(answer.status, status, "{start}{rest}: {answer:?}");
            assert!(answer.json()["code"].is_string(), "{answer:?}");
            assert!(client.is_closed_by_server());
        }
    }
    let mut slow = Client::connect_unix(&socket);
    for part in ["GET /ev", "ents HTTP/1.1\r\nHos", "t: a\r\n\r", "\n"] {
        slow.send_raw(part.as_bytes());
        pause_for_arrival();
    }
    slow.read_response().expect_status(200);
    slow.get("/events").expect_status(200);
}

#[test]
fn a_peer_that_asks_nothing_more_is_told_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let _server = start(&socket);
    for before in 0..3 {
        let mut client = Client::connect_unix(&socket);
        for _ in 0..before {
            client.get("/healthz").expect_status(200);
        }
        client.finish_sending();
        assert!(client.is_closed_by_server(), "after {before} requests");
    }
}
