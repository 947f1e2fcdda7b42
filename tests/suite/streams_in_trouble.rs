//! Streams of a server that is crowded, stopped, killed, one of several; and clients that do not read.

use super::contract_support::{ORGANIZER, fill, unlimited};
use crate::support::{
    Client, PATIENCE, Server, Stream, Usage, fresh_source, request_text, signal, wait_until,
};
use socket2::{Domain, Socket, Type};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn ledger(event: i64) -> String {
    format!("/events/{event}/changes")
}

/// Sells until told to stop, or all is sold. Who gets no answer asks no more for that address.
fn sell_until(server: &SocketAddr, event: i64, from: usize, is_over: &AtomicBool) {
    let mut n = from;
    while !is_over.load(Ordering::Relaxed) {
        let body = format!(r#"{{"email":"buyer-{n}@example.com"}}"#);
        let path = format!("/events/{event}/register");
        if let Ok(mut client) = Client::try_connect(*server, Some(fresh_source())) {
            let _ = client.try_post(&path, "user", &body);
        }
        n += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads so many changes, one connection after the other, each cut after a few.
fn read_in_pieces(server: &Server, event: i64, changes: i64, cut_after: usize) {
    let mut last = 0;
    let deadline = Instant::now() + 3 * PATIENCE;
    while last < changes {
        assert!(
            Instant::now() < deadline,
            "only {last} changes: {}",
            server.log()
        );
        let id = last.to_string();
        let client = Client::try_connect(server.addr(), Some(fresh_source()));
        let opened = client.and_then(|client| {
            Stream::try_open(client, &ledger(event), &[ORGANIZER, ("Last-Event-ID", &id)])
        });
        let Ok(mut stream) = opened else { continue };
        for _ in 0..cut_after {
            // It breaks off when the server is killed.
            let Ok(Some(sent)) = stream.try_next() else {
                break;
            };
            if let Some(id) = sent.id {
                assert_eq!(id, last + 1);
                last = id;
            }
            if last >= changes {
                return;
            }
        }
    }
}

#[test]
fn resumed_under_load_a_ledger_has_no_gap_and_no_repeat() {
    let server = unlimited();
    let event = server.create_event("Walk", 100_000);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seller in 0..3 {
            let (address, is_over) = (server.addr(), &is_over);
            scope.spawn(move || sell_until(&address, event, seller * 100_000, is_over));
        }
        read_in_pieces(&server, event, 400, 13);
        is_over.store(true, Ordering::Relaxed);
    });
    server.assert_invariants();
}

#[test]
fn a_server_that_is_killed_has_streamed_nothing_that_is_lost() {
    let server = Server::builder().rate_limit_off().listen_apart().start();
    let event = server.create_event("Walk", 100_000);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| sell_until(&server.addr(), event, 0, &is_over));
        scope.spawn(|| {
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(400));
                if let Some(pid) = server.try_server_pid() {
                    signal(pid, "KILL");
                }
            }
        });
        // What comes after the kill goes on behind what came before it, so none of that was lost.
        read_in_pieces(&server, event, 500, usize::MAX);
        is_over.store(true, Ordering::Relaxed);
    });
    server.assert_invariants();
}

#[test]
fn what_another_server_on_the_file_sells_is_streamed_here() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let start = || Server::builder().rate_limit_off().db(&db).start();
    let (here, there) = (start(), start());
    let event = here.create_event("Walk", 50);
    let mut changes = Stream::open(&here, &ledger(event), &[ORGANIZER]);
    let mut numbers = Stream::open(&here, &format!("/events/{event}"), &[]);
    numbers.next();
    for n in 1..=10 {
        assert_eq!(changes.next().id, Some(n));
        let buyer = format!("buyer-{n}@example.com");
        there.register(event, &buyer).expect_status(201);
    }
    let is_last = |spots: i64| spots == 40;
    while !is_last(
        numbers.next().data.unwrap()["available_spots"]
            .as_i64()
            .unwrap(),
    ) {}
}

#[test]
fn a_server_with_50_streams_stops_in_time_and_ends_each() {
    let server = unlimited();
    let event = server.create_event("Walk", 1);
    let open = |n: usize| match n % 2 {
        0 => Stream::open(&server, &ledger(event), &[ORGANIZER]),
        _ => Stream::open(&server, &format!("/events/{event}"), &[]),
    };
    let mut streams: Vec<Stream> = (0..50).map(open).collect();
    let mut waiting = server.client();
    let wait = format!("/events/{event}/changes?after=1&wait=30s");
    waiting.send_raw(request_text("GET", &wait, &[ORGANIZER], None).as_bytes());
    for stream in &mut streams {
        stream.next();
    }
    let all_wait = || {
        server
            .get("/metrics")
            .body
            .contains("lastseat_open_streams 51\n")
    };
    assert!(wait_until(PATIENCE, all_wait));
    let start = Instant::now();
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
    let took = start.elapsed();
    assert!(took < Duration::from_millis(6_500), "{took:?}");
    for mut stream in streams {
        let end = stream.try_next().expect("a last chunk");
        assert_eq!(end, None);
    }
    assert_eq!(waiting.read_response().expect_status(200).body, "[]\n");
}

#[test]
fn as_many_streams_as_there_may_be_cost_neither_a_worker_nor_much_memory() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--workers", "1"])
        .start();
    let event = server.create_event("Walk", 1_000);
    server.event(event);
    let before = Usage::of(server.server_pid()).unwrap();
    let open = |n: usize| match n % 2 {
        0 => Stream::open(&server, &ledger(event), &[ORGANIZER]),
        _ => Stream::open(&server, &format!("/events/{event}"), &[]),
    };
    let mut streams: Vec<Stream> = (0..256).map(open).collect();
    assert_eq!(open(0).head.status, 503);
    for n in 0..200 {
        let start = Instant::now();
        server
            .register(event, &format!("buyer-{n}@example.com"))
            .expect_status(201);
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    for stream in streams.iter_mut().step_by(2) {
        for n in 1..=201 {
            assert_eq!(stream.next().id, Some(n));
        }
    }
    for stream in streams.iter_mut().skip(1).step_by(2) {
        while stream.next().data.unwrap()["available_spots"] != 800 {}
    }
    let after = Usage::of(server.server_pid()).unwrap();
    let cost = after.memory_mib.saturating_sub(before.memory_mib);
    assert!(cost <= 64, "{cost} MiB");
}

/// Takes 30 s, because that is how long a client may take for a piece.
#[test]
fn a_stream_that_is_not_read_is_ended() {
    let server = unlimited();
    let event = server.create_event("Walk", 10_000);
    fill(&server, event, 5_000);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.set_tcp_mss(1_400).unwrap();
    socket
        .bind(&SocketAddr::new(fresh_source(), 0).into())
        .unwrap();
    socket.connect(&server.addr().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let request = request_text(
        "GET",
        &ledger(event),
        &[ORGANIZER, ("Accept", "text/event-stream")],
        None,
    );
    stream.write_all(request.as_bytes()).unwrap();
    let is_open = || {
        server
            .get("/metrics")
            .body
            .contains("lastseat_open_streams 1\n")
    };
    assert!(wait_until(PATIENCE, is_open));
    std::thread::sleep(Duration::from_secs(15));
    assert!(is_open(), "it has 30 s");
    assert!(wait_until(3 * PATIENCE, || !is_open()), "{}", server.log());
}
