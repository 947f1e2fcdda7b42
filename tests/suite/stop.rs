//! SIGTERM at inconvenient moments. The server ends within five seconds, says 0 if it finished
//! what it had begun, and has in its file whatever it had told a buyer is sold.

use crate::support::stampede::Order;
use crate::support::{Client, PATIENCE, Server, pause_for_arrival, request_text, wait_until};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The promise is five seconds; the rest is for a busy machine to start the shell that sends the
/// signal, and to notice the end.
const STOP_MAX: Duration = Duration::from_millis(6_500);

#[track_caller]
fn stop(server: &Server, signal: &str) -> ExitStatus {
    let start = Instant::now();
    server.signal(signal);
    let status = server.wait(PATIENCE);
    let took = start.elapsed();
    assert!(took <= STOP_MAX, "took {took:?}: {}", server.log());
    status
}

#[test]
fn an_idle_server_stops_at_sigterm_and_at_sigint_however_many_workers_it_has() {
    std::thread::scope(|scope| {
        for workers in ["1", "2", "4", "16", "64"] {
            scope.spawn(move || {
                for signal in ["TERM", "INT"] {
                    let server = Server::start(&["--workers", workers]);
                    let status = stop(&server, signal);
                    assert_eq!(status.code(), Some(0), "{signal}: {}", server.log());
                }
            });
        }
    });
}

#[test]
fn idle_and_half_spoken_connections_do_not_hold_up_a_stop() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Idle", 1);
    let mut open: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for client in &mut open {
        client.get(&format!("/events/{event}")).expect_status(200);
    }
    let beginnings = [
        "",
        "GET /events",
        "POST /events/1/register HTTP/1.1\r\nHost: x\r\n",
        "POST /events/1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{\"email\"",
        "POST /events/1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{\"email\"",
    ];
    for beginning in beginnings {
        let mut client = server.client();
        client.send_raw(beginning.as_bytes());
        open.push(client);
    }
    assert_eq!(stop(&server, "TERM").code(), Some(0), "{}", server.log());
    server.assert_invariants();
}

#[test]
fn everything_two_workers_answered_before_a_stop_under_load_is_in_the_file() {
    stop_under_load("2");
}

#[test]
fn everything_sixteen_workers_answered_before_a_stop_under_load_is_in_the_file() {
    stop_under_load("16");
}

fn stop_under_load(workers: &str) {
    let server = Server::start(&["--rate-limit", "off", "--workers", workers]);
    let event = server.create_event("Closing time", 1_000_000);
    let mut idle: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for client in &mut idle {
        client.get("/healthz").expect_status(200);
    }
    let sales = Mutex::new(Vec::new());
    let status = std::thread::scope(|scope| {
        for buyer in 0..32 {
            let (server, sales) = (&server, &sales);
            scope.spawn(move || buy_until_closed(server, event, buyer, sales));
        }
        wait_until(PATIENCE, || sales.lock().unwrap().len() >= 200);
        stop(&server, "TERM")
    });
    assert_eq!(status.code(), Some(0), "{}", server.log());

    server.assert_invariants();
    let db = server.db();
    let sales = sales.into_inner().unwrap();
    assert!(sales.len() >= 200);
    let sql =
        "SELECT count(*) FROM tickets WHERE ticket_id = unhex(?1, '-') AND status = 'reserved'";
    for ticket in &sales {
        let found: i64 = db.query_row(sql, [ticket], |row| row.get(0)).unwrap();
        assert_eq!(found, 1, "answered 201 but not in the file: {ticket}");
    }
}

/// Buys on one connection, until it breaks or the server says that it is about to leave.
fn buy_until_closed(server: &Server, event: i64, buyer: usize, sales: &Mutex<Vec<String>>) {
    let mut client = server.client();
    let path = format!("/events/{event}/register");
    for n in 0.. {
        let order = Order::by(format!("buyer-{buyer}-{n}@example.com"));
        match client.try_post(&path, "user", &order.json()) {
            Ok(answer) if answer.status == 201 => {
                sales.lock().unwrap().push(answer.text("ticket_id"));
            }
            Ok(answer) => {
                assert!(answer.header("Retry-After").is_some(), "{answer:?}");
                answer.expect_problem(503, "shutting_down");
                return;
            }
            Err(_) => return,
        }
    }
}

/// Requests that wait for their turn on a connection are not answered by anybody once the
/// workers are gone; the stop must not wait for them either.
#[test]
fn pipelined_requests_that_wait_for_their_turn_do_not_hold_up_a_stop() {
    for workers in ["1", "2", "8"] {
        let server = Server::start(&["--rate-limit", "off", "--workers", workers]);
        let event = server.create_event("Pipeline", 1_000_000);
        let path = format!("/events/{event}/register");
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (buyer, client) in clients.iter_mut().enumerate() {
            let order = |n| Order::by(format!("buyer-{buyer}-{n}@example.com")).json();
            let text = |n| request_text("POST", &path, &[("X-Role", "user")], Some(&order(n)));
            client.send_raw((0..300).map(text).collect::<String>().as_bytes());
        }
        clients[0].read_response().expect_status(201);
        let status = stop(&server, "TERM");
        assert_eq!(status.code(), Some(0), "{}", server.log());

        let answers =
            |mut client: Client| std::iter::from_fn(move || client.try_read_response().ok());
        let answers = clients.into_iter().flat_map(answers);
        let sold = 1 + answers.filter(|answer| answer.status == 201).count();
        let sql = "SELECT count(*) FROM tickets";
        let rows: usize = server
            .db()
            .query_row(sql, [], |row| row.get::<_, u32>(0))
            .unwrap() as usize;
        assert!(
            sold <= rows,
            "{sold} sales were answered, {rows} are in the file"
        );
        server.assert_invariants();
    }
}

#[test]
fn a_stop_while_another_program_holds_the_database_sells_nothing_and_still_ends() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Locked", 1);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = std::thread::scope(|scope| {
        let server = &server;
        let order = Order::by("buyer@example.com").json();
        let path = format!("/events/{event}/register");
        let mut client = server.client();
        let buyer = scope.spawn(move || client.try_post(&path, "user", &order));
        pause_for_arrival();
        stop(server, "TERM");
        buyer.join().unwrap()
    });
    other_program.execute_batch("ROLLBACK").unwrap();

    if let Ok(answer) = answer {
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let sql = "SELECT count(*) FROM tickets";
    let sold: i64 = other_program.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(sold, 0);
    server.assert_invariants();
}
