//! What one connection may do: speak another version, take its time, send a head without measure. It
//! is told so and ended, and nothing of it is left behind.

use super::held_up::{PREFACE, get, start};
use crate::support::slow_clients::{ANSWERED_WITHIN, recovers, upload_head};
use crate::support::{Client, PATIENCE, Usage, fresh_source};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Each of them costs a server that lets tiny_http answer it a thread and two descriptors.
#[test]
fn other_versions_of_http_are_answered_505_and_closed_and_leave_nothing_behind() {
    const REQUESTS: [&str; 5] = [
        PREFACE,
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        // The HTTP library takes the third word for the version, whatever follows.
        "GET / HTTP/2.0 x\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let server = start();
    server.get("/healthz").expect_status(200);
    let pid = server.server_pid();
    let before = Usage::of(pid).unwrap();
    let connect = || Client::connect(server.addr());
    let is_told = |mut client: Client, how: &str| {
        let answer = client.read_response();
        assert_eq!(answer.status, 505, "{how}: {answer:?}");
        assert!(client.is_closed_by_server(), "{how}: still open");
    };
    let healthz = get("/healthz");
    for round in 0..20 {
        for request in REQUESTS {
            let mut client = connect();
            client.send_raw(request.as_bytes());
            is_told(client, "as the first request");

            let mut client = connect();
            client.get("/healthz").expect_status(200);
            client.send_raw(request.as_bytes());
            is_told(client, "as the second request");

            let mut client = connect();
            client.send_raw(format!("{healthz}{request}").as_bytes());
            client.read_response().expect_status(200);
            is_told(client, "pipelined behind another");

            if round == 0 {
                let (start, rest) = request.split_at(request.find("/2.0").unwrap_or(9));
                let mut client = connect();
                client.send_raw(start.as_bytes());
                crate::support::pause_for_arrival();
                client.send_raw(rest.as_bytes());
                is_told(client, "in two pieces");
            }
        }
    }
    assert_eq!(recovers(pid, &before), Ok(()));
}

/// A server that keeps books by the client's address and port must not take it for the one refused.
#[test]
fn a_client_that_comes_back_from_the_port_of_a_refused_one_is_an_ordinary_client() {
    let server = start();
    let refused = [
        ("a body too large", upload_head(2_000_000) + "x"),
        ("no Host", "GET /events HTTP/1.1\r\n\r\n".to_owned()),
        ("another version", "GET / HTTP/2.0\r\n\r\n".to_owned()),
        ("nonsense", "nonsense\r\n\r\n".to_owned()),
    ];
    for (name, request) in refused {
        for waits_for_the_end in [false, true] {
            let source = SocketAddr::new(fresh_source(), 0);
            let mut first = connect_from(source, server.addr());
            let source = first.local_addr().unwrap();
            first.write_all(request.as_bytes()).unwrap();
            let mut answer = [0; 4_096];
            assert!(first.read(&mut answer).unwrap() > 0, "{name}");
            if waits_for_the_end {
                let _ = first.shutdown(std::net::Shutdown::Write);
                while first.read(&mut answer).is_ok_and(|read| read > 0) {}
            }
            drop(first);
            let start = Instant::now();
            let mut again = connect_from(source, server.addr());
            for _ in 0..3 {
                again.write_all(get("/healthz").as_bytes()).unwrap();
                let read = again.read(&mut answer).expect("an answer");
                let answer = String::from_utf8_lossy(&answer[..read]);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer:?}");
            }
            let took = start.elapsed();
            assert!(took < ANSWERED_WITHIN, "{name}: {took:?}");
        }
    }
}

/// From this very port, if it is not 0. Leaves no trace of itself when it is dropped.
fn connect_from(source: SocketAddr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&source.into()).expect("binds the port again");
    socket.connect(&server.into()).expect("connects");
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// No honest head is longer than a few kilobytes, and what is read of one is kept.
#[test]
fn a_head_of_a_megabyte_is_not_waited_for() {
    let server = start();
    for (name, start) in [
        ("a path", "GET /"),
        ("a header", "GET /events HTTP/1.1\r\nHost: a\r\nX: "),
        ("headers", "GET /events HTTP/1.1\r\nHost: a\r\n"),
    ] {
        let mut client = Client::connect(server.addr());
        let more = if name == "headers" { "X: y\r\n" } else { "x" };
        let head = start.to_owned() + &more.repeat((1 << 20) / more.len());
        // It may be cut off in the middle.
        let _ = client.try_send_raw(head.as_bytes());
        client.wait_at_most(Duration::from_secs(5));
        match client.try_read_response() {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{name}: {answer:?}"),
            Err(_) => assert!(client.is_closed_by_server(), "{name}: more is waited for"),
        }
        server.get("/healthz").expect_status(200);
    }
}

/// A byte now and then does not buy time: 15 s for the whole head, and for the whole body.
#[test]
fn a_request_that_trickles_in_is_ended_by_its_deadline() {
    const DEADLINE: Duration = Duration::from_secs(15);
    const SLACK: Duration = Duration::from_secs(2);
    let server = start();
    server.get("/healthz").expect_status(200);
    let pid = server.server_pid();
    let before = Usage::of(pid).unwrap();
    let chunked = "POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let starts = [
        ("a head", "GET /events HTTP/1.1\r\nX: ".to_owned()),
        ("a body", upload_head(900)),
        ("chunks", format!("{chunked}3ff\r\n")),
        ("the size of a chunk", chunked.to_owned()),
        ("a body too large", upload_head(100_000)),
    ];
    std::thread::scope(|scope| {
        for (name, start) in &starts {
            let server = &server;
            scope.spawn(move || {
                let began = Instant::now();
                let mut stream = TcpStream::connect(server.addr()).unwrap();
                stream.write_all(start.as_bytes()).unwrap();
                let two_seconds = Some(Duration::from_secs(2));
                stream.set_read_timeout(two_seconds).unwrap();
                let mut is_open = true;
                while is_open && began.elapsed() < DEADLINE + SLACK {
                    is_open = is_still_open(&mut stream);
                    let _ = stream.write_all(b"1");
                }
                assert!(!is_open, "{name} that trickles is still waited for");
            });
        }
        // As long as it is in time, nobody is cut off for being slow.
        scope.spawn(|| {
            let mut stream = TcpStream::connect(server.addr()).unwrap();
            for part in ["GET /heal", "thz HTTP/1", ".1\r\nHost: ", "a\r\n\r\n"] {
                stream.write_all(part.as_bytes()).unwrap();
                // That time goes by is the point.
                std::thread::sleep(Duration::from_millis(2_500));
            }
            let mut answer = [0; 512];
            let read = stream.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        });
    });
    assert_eq!(recovers(pid, &before), Ok(()));
}

/// Waits up to 2 s for the end; answers and silence are none.
fn is_still_open(stream: &mut TcpStream) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) => {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                return matches!(e.kind(), TimedOut | WouldBlock);
            }
        }
    }
    true
}

#[test]
fn a_client_that_has_finished_sending_gets_every_answer() {
    let server = start();
    for count in [1, 2, 3, 40] {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(get("/healthz").repeat(count).as_bytes())
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), count, "{answers}");
    }
}

/// A look ahead ends before urgent data, however long one waits.
#[test]
fn urgent_data_in_a_head_ends_the_connection_at_once() {
    let server = start();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.connect(&server.addr().into()).unwrap();
    socket.send(b"GET / HTTP/1.1\r\nHo").unwrap();
    socket.send_out_of_band(b"X").unwrap();
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert!(matches!(stream.read(&mut [0; 100]), Ok(0)), "still open");
}
