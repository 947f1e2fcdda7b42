//! Connections that stay open: a hundred at once, and pipelined ones whose answers must come in
//! the order of their requests even though several workers and a commit leader write them.

use crate::support::slow_clients::ANSWERED_WITHIN;
use crate::support::stampede::Order;
use crate::support::{Client, Server, pause_for_arrival, request_text, signal};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[test]
fn a_hundred_keep_alive_clients_are_all_served_while_none_hangs_up() {
    let server = Server::start(&[]);
    let concert = server.create_event("Concert", 100);
    let backstage = server.create_event("Backstage", 5);
    // Nobody closes before everybody is done: a client that waits for another to leave fails.
    let all_served = Barrier::new(100);
    let backstage_sales: usize = std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..100)
            .map(|n| {
                let (server, all_served) = (&server, &all_served);
                scope.spawn(move || {
                    let mut client = server.client();
                    let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        visit(&mut client, concert, backstage, n)
                    }));
                    all_served.wait();
                    served.expect("served")
                })
            })
            .collect();
        buyers
            .into_iter()
            .map(|buyer| usize::from(buyer.join().unwrap()))
            .sum()
    });
    assert_eq!(backstage_sales, 5);
    assert_eq!(server.event(concert)["available_spots"], 0);
    assert_eq!(server.event(backstage)["available_spots"], 0);
    server.assert_invariants();
}

/// Five requests on one connection, as many as the limiter grants; says whether the buyer got
/// one of the few backstage spots.
fn visit(client: &mut Client, concert: i64, backstage: i64, n: usize) -> bool {
    let order = format!(r#"{{"email":"guest-{n}@example.com"}}"#);
    let path = format!("/events/{concert}/register");
    let ticket = client.post(&path, "user", &order).expect_status(201);
    let ticket = format!("/tickets/{}", ticket.text("ticket_id"));
    let seen = client.get(&ticket).expect_status(200);
    assert_eq!(seen.text("status"), "reserved");
    let confirmed = client.post(&format!("{ticket}/confirm"), "user", "{}");
    assert_eq!(confirmed.expect_status(200).text("status"), "confirmed");
    let seen = client.get(&ticket).expect_status(200);
    assert_eq!(seen.text("status"), "confirmed");
    let path = format!("/events/{backstage}/register");
    let answer = client.post(&path, "user", &order);
    if answer.status != 201 {
        answer.clone().expect_problem(409, "sold_out");
    }
    answer.status == 201
}

#[test]
fn pipelined_requests_are_answered_in_order_by_one_worker() {
    pipeline_reads_and_writes("1");
}

#[test]
fn pipelined_requests_are_answered_in_order_by_two_workers() {
    pipeline_reads_and_writes("2");
}

#[test]
fn pipelined_requests_are_answered_in_order_by_sixteen_workers() {
    pipeline_reads_and_writes("16");
}

const CONNECTIONS: usize = 24;
const ROUNDS: usize = 20;

#[test]
fn pipelined_requests_are_answered_in_order_over_a_unix_socket() {
    for workers in ["1", "2", "16"] {
        let folder = tempfile::tempdir().unwrap();
        let socket = format!("unix:{}", folder.path().join("s").display());
        pipeline_reads_and_writes_on(&socket, workers);
    }
}

#[test]
fn peers_on_a_unix_socket_that_never_read_hold_up_nobody() {
    for workers in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let server = Server::builder()
            .listen(&format!("unix:{}", socket.display()))
            .rate_limit_off()
            .args(["--workers", workers])
            .start();
        let event = server.create_event("Deaf", 10);
        let path = format!("/events/{event}");
        let requests = request_text("GET", &path, &[], None).repeat(2_000);
        let mut deaf: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for client in &mut deaf {
            client.send_raw(requests.as_bytes());
        }
        for n in 0..10 {
            let order = Order::by(format!("hears-{n}@example.com")).with_key(format!("hears-{n}"));
            let path = format!("{path}/register");
            let start = Instant::now();
            let answer = server.client().post(&path, "user", &order.json());
            answer.expect_status(201);
            let took = start.elapsed();
            assert!(took < ANSWERED_WITHIN, "{took:?}: {}", server.log());
        }
        server.assert_invariants();
    }
}

/// Two thousand answers wait for twenty-four commits, and these for another program: that is no
/// reason to send everybody away.
#[test]
fn pipelined_requests_over_a_unix_socket_outlast_a_commit_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::builder()
        .listen(&format!("unix:{}", folder.path().join("s").display()))
        .rate_limit_off()
        .args(["--workers", "2"])
        .start();
    let event = server.create_event("Patience", CONNECTIONS as u32);
    let path = format!("/events/{event}");
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let pid = server.server_pid();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let order = Order::by(format!("p-{n}@example.com")).json();
        let register = format!("{path}/register");
        client.send_raw(
            request_text("POST", &register, &[("X-Role", "user")], Some(&order)).as_bytes(),
        );
        client.send_raw(request_text("GET", &path, &[], None).repeat(80).as_bytes());
    }
    pause_for_arrival();
    other_program.execute_batch("ROLLBACK").unwrap();
    for client in &mut clients {
        client.read_response().expect_status(201);
        for _ in 0..80 {
            client.read_response().expect_status(200);
        }
    }
    assert_eq!(server.server_pid(), pid, "{}", server.log());
    server.assert_invariants();
}

/// An answer may only be written when the ones before it on its connection are. A worker that
/// waits for its turn while the job before it waits for a worker would stand still for ever:
/// the client's read timeout is what finds that.
fn pipeline_reads_and_writes(workers: &str) {
    pipeline_reads_and_writes_on("127.0.0.1:0", workers);
}

fn pipeline_reads_and_writes_on(listen: &str, workers: &str) {
    let server = Server::builder().listen(listen).rate_limit_off();
    let server = server.args(["--workers", workers]).start();
    let event = server.create_event("Pipeline", (CONNECTIONS * ROUNDS) as u32);
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let server = &server;
            scope.spawn(move || pipeline(&mut server.client(), event, connection));
        }
    });
    assert_eq!(server.event(event)["available_spots"], 0);
    server.assert_invariants();
}

#[test]
fn clients_that_pipeline_and_hang_up_hold_up_nobody() {
    let server = Server::start(&["--rate-limit", "off", "--workers", "2"]);
    let event = server.create_event("Hang-up", 1_000);
    let path = format!("/events/{event}/register");
    for connection in 0..40 {
        let mut batch = String::new();
        for n in 0..20 {
            let order = format!(r#"{{"email":"h-{connection}-{n}@example.com"}}"#);
            batch += &request_text("POST", &path, &[("X-Role", "user")], Some(&order));
            batch += &request_text("GET", "/events", &[], None);
        }
        server.client().send_raw(batch.as_bytes());
    }
    // Whatever became of their orders: who stays is served.
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let order = format!(r#"{{"email":"stays-{n}@example.com"}}"#);
        client.post(&path, "user", &order).expect_status(201);
        client.get("/events").expect_status(200);
    }
    server.assert_invariants();
}

/// A sale must not wait for a pause in what others read.
#[test]
fn buyers_are_served_while_readers_never_pause() {
    let server = Server::start(&["--rate-limit", "off", "--workers", "1"]);
    let event = server.create_event("Crowded foyer", 20);
    let register = format!("/events/{event}/register");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| read_without_pause(&server, event, &is_over));
        }
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut buyer = server.client();
            for n in 0..20 {
                let order = format!(r#"{{"email":"buyer-{n}@example.com"}}"#);
                buyer.post(&register, "user", &order).expect_status(201);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        served.expect("served");
    });
    assert_eq!(server.event(event)["available_spots"], 0);
}

/// Keeps several requests on the way, so that the server always has the next one at hand.
fn read_without_pause(server: &Server, event: i64, is_over: &AtomicBool) {
    let mut client = server.client();
    let request = request_text("GET", &format!("/events/{event}"), &[], None);
    client.send_raw(request.repeat(8).as_bytes());
    while !is_over.load(Ordering::Relaxed) {
        let answer = client.read_response().expect_status(200);
        if answer.header("Connection") == Some("close") {
            // The server may end a connection on which requests come before they are asked for.
            client = server.client();
            client.send_raw(request.repeat(7).as_bytes());
        }
        let _ = client.try_send_raw(request.as_bytes());
    }
}

const AT_ONCE: usize = 128;

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

/// On one core, where a thread that is woken for a connection is slow to wake. While the server
/// stands still, all of them come.
fn all_are_served(listen: &str) {
    let one_core = ["chrt", "--batch", "0", "taskset", "--cpu-list", "0"];
    let builder = Server::builder().listen(listen).through(&one_core);
    let server = builder.rate_limit_off().start();
    let pid = server.server_pid();
    signal(pid, "STOP");
    let mut clients: Vec<Client> = (0..AT_ONCE).map(|_| server.client()).collect();
    let request = request_text("GET", "/events", &[], None);
    for client in &mut clients {
        client.send_raw(request.as_bytes());
    }
    signal(pid, "CONT");
    let start = Instant::now();
    for client in &mut clients {
        client.read_response().expect_status(200);
    }
    let took = start.elapsed();
    assert!(took < ANSWERED_WITHIN, "{took:?}");
}

/// Sends everything before it reads the first answer.
fn pipeline(client: &mut Client, event: i64, connection: usize) {
    let mut batch = String::new();
    let mut expected = Vec::new();
    let mut add = |method: &str, path: &str, body: Option<&str>, status: u16| {
        let id = format!("{connection}-{}", expected.len());
        let headers = [("X-Role", "user"), ("X-Request-Id", id.as_str())];
        batch.push_str(&request_text(method, path, &headers, body));
        expected.push((id.clone(), status));
    };
    let event_path = format!("/events/{event}");
    let register = format!("{event_path}/register");
    for round in 0..ROUNDS {
        let email = format!("p-{connection}-{round}@example.com");
        let order = format!(r#"{{"email":"{email}","idempotency_key":"{email}"}}"#);
        add("POST", &register, Some(&order), 201);
        add("GET", &event_path, None, 200);
        add("POST", &register, Some(&order), 201);
        add("POST", &register, Some("{}"), 400);
        add("GET", "/events", None, 200);
    }
    client.send_raw(batch.as_bytes());

    let mut tickets = Vec::new();
    for (id, status) in expected {
        let answer = client.read_response().expect_status(status);
        assert_eq!(answer.header("X-Request-Id"), Some(id.as_str()));
        if status == 201 {
            let is_replay = answer.header("Idempotent-Replayed").is_some();
            tickets.push((answer.text("ticket_id"), is_replay));
        }
    }
    for pair in tickets.chunks(2) {
        // Which of the two twins was first is the workers' affair.
        assert_eq!(pair[0].0, pair[1].0, "two tickets for one key");
        assert_ne!(pair[0].1, pair[1].1, "not exactly one of two is a replay");
    }
}
