//! Group commit: many clients' jobs share a transaction, and yet each is answered, and answered for
//! itself alone.

use super::contract_support::{USER, register_with_key, send};
use crate::support::{
    Client, FrozenClock, PATIENCE, Response, Server, assert_sound, pause_for_arrival, wait_until,
};
use std::process::Command;

/// Orders that share a batch, in the tests of what becomes of one.
const ORDERS: usize = 20;

fn start(clock: &FrozenClock, flags: &[&str]) -> Server {
    let builder = Server::builder().rate_limit_off();
    builder.args(clock.flags()).args(flags).start()
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").expect_status(200).body;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name}: {text}"));
    value.trim().parse().expect("a number")
}

fn queued(server: &Server) -> f64 {
    metric(server, "lastseat_commit_queue_jobs ")
}

fn buy(server: &Server, event: i64, n: usize) -> Response {
    let (email, key) = (format!("buyer-{n}@example.com"), format!("order-{n}"));
    register_with_key(server, event, &email, &key)
}

/// Sends orders 0 to `ORDERS`. While the test holds the write lock, the first keeps a leader waiting
/// and all others gather in the queue; then comes `meanwhile`, and the lock is free.
fn in_one_batch(
    server: &Server,
    order: impl Fn(usize) -> Response + Sync,
    meanwhile: impl FnOnce(),
) -> Vec<Response> {
    let lock = server.db();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let order = &order;
        let mut orders = vec![scope.spawn(move || order(0))];
        pause_for_arrival();
        orders.extend((1..=ORDERS).map(|n| scope.spawn(move || order(n))));
        let gathered = wait_until(PATIENCE / 8, || queued(server) == ORDERS as f64);
        meanwhile();
        lock.execute_batch("ROLLBACK").unwrap();
        assert!(gathered, "the orders did not gather in the queue");
        orders.into_iter().map(|o| o.join().unwrap()).collect()
    })
}

fn tickets(server: &Server) -> i64 {
    let sql = "SELECT count(*) FROM tickets";
    server.db().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// In each round every client waits for its answer, and nobody asks anything meanwhile: a job that
/// was left behind when the baton changed hands stays there.
#[test]
fn no_job_is_stranded_when_the_baton_changes_hands() {
    const CLIENTS: usize = 12;
    const ROUNDS: usize = 150;
    let clock = FrozenClock::new();
    let server = start(&clock, &["--workers", "4", "--commit-batch", "2"]);
    let event = server.create_event("Hand-over", (CLIENTS * ROUNDS) as u32);
    let path = format!("/events/{event}/register");
    // One after the other, so that each has its thread before the test begins.
    let connect = |_| {
        let mut client = server.client();
        client.get("/healthz").expect_status(200);
        client
    };
    let mut clients: Vec<Client> = (0..CLIENTS).map(connect).collect();
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for (n, client) in clients.iter_mut().enumerate() {
                let path = &path;
                scope.spawn(move || {
                    let body = format!(r#"{{"email":"{round}-{n}@example.com"}}"#);
                    let answer = client.try_post(path, "user", &body);
                    let answer = answer.unwrap_or_else(|e| panic!("round {round}: {e}"));
                    answer.expect_status(201);
                });
            }
        });
    }
    assert_eq!(server.event(event)["available_spots"], 0);
    server.assert_invariants();
}

/// The reaper takes the baton, but no jobs from the queue.
#[test]
fn the_reaper_strands_no_buyer_who_comes_while_it_has_the_baton() {
    let clock = FrozenClock::new();
    let flags = ["--workers", "2", "--sweep", "100ms", "--hold", "10s"];
    let server = start(&clock, &flags);
    let event = server.create_event("Sweep", 2);
    buy(&server, event, 1).expect_status(201);
    let lock = server.db();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    clock.advance(10_000);
    let now = clock.now_ms() as f64 / 1_000.0;
    let name = "lastseat_reaper_last_run_timestamp_seconds ";
    assert!(wait_until(PATIENCE, || metric(&server, name) >= now));
    // It now has an expired hold to release, and waits for the lock with the baton in its hand.
    pause_for_arrival();
    std::thread::scope(|scope| {
        let buyer = scope.spawn(|| buy(&server, event, 2));
        assert!(wait_until(PATIENCE / 8, || queued(&server) == 1.0));
        lock.execute_batch("ROLLBACK").unwrap();
        buyer.join().unwrap().expect_status(201);
    });
    assert_sound(server.db_path());
}

#[test]
fn a_job_that_panics_costs_the_others_of_its_batch_nothing() {
    let clock = FrozenClock::new();
    let server = start(&clock, &["--workers", "2"]);
    let event = server.create_event("Bug", 100);
    let path = format!("/events/{event}/register");
    let panics = |n: usize| n % 5 == 2;
    let order = |n| {
        let headers = [USER, ("X-Test-Panic", if panics(n) { "job" } else { "" })];
        let body = format!(r#"{{"email":"buyer-{n}@example.com"}}"#);
        send(&server, "POST", &path, &headers, Some(&body))
    };
    for (n, answer) in in_one_batch(&server, order, || {}).into_iter().enumerate() {
        answer.expect_status(if panics(n) { 500 } else { 201 });
    }
    // A batch of which nothing was kept would count as one that failed.
    assert_eq!(metric(&server, "lastseat_commits_failed_total "), 0.0);
    assert_eq!(tickets(&server), 17);
    assert_sound(server.db_path());
}

/// The database refuses two buyers' rows, after other statements of their jobs have been done.
#[test]
fn a_job_that_fails_is_undone_alone() {
    let clock = FrozenClock::new();
    let server = start(&clock, &["--workers", "2"]);
    let event = server.create_event("Refused", 100);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON tickets
                  WHEN NEW.email IN ('buyer-7@example.com', 'buyer-20@example.com')
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    server.db().execute_batch(refuse).unwrap();
    let answers = in_one_batch(&server, |n| buy(&server, event, n), || {});
    for (n, answer) in answers.into_iter().enumerate() {
        match n {
            7 | 20 => answer.expect_problem(500, "internal_error"),
            _ => answer.expect_status(201),
        };
    }
    assert_eq!(metric(&server, "lastseat_commits_failed_total "), 0.0);
    assert_eq!(server.event(event)["available_spots"], 81);
    server.db().execute_batch("DROP TRIGGER refuse").unwrap();
    let again = buy(&server, event, 7).expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), None);
    assert_sound(server.db_path());
}

/// The kernel lets the server's files grow no more, so that `COMMIT` cannot write what all the jobs
/// have done.
#[test]
fn a_commit_that_fails_sells_nothing_to_anybody() {
    let clock = FrozenClock::new();
    let ignoring = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let server = Server::builder()
        .through(&ignoring)
        .no_keeper()
        .rate_limit_off()
        .args(clock.flags())
        .args(["--workers", "2", "--log-level", "error"])
        .start();
    let event = server.create_event("No room", 100);
    let room = |bytes: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={}", server.server_pid()));
        let done = prlimit.arg(format!("--fsize={bytes}:")).status();
        assert!(done.expect("prlimit, of util-linux").success());
    };
    let order = |n| buy(&server, event, n);
    for answer in in_one_batch(&server, order, || room("4096")) {
        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        answer.expect_problem(503, "storage_unavailable");
    }
    assert_eq!(tickets(&server), 0);
    assert_eq!(server.event(event)["available_spots"], 100);
    server.get("/readyz").expect_status(503);

    room("unlimited");
    for n in 0..=ORDERS {
        let sold = order(n).expect_status(201);
        assert_eq!(sold.header("Idempotent-Replayed"), None);
    }
    assert_eq!(tickets(&server), ORDERS as i64 + 1);
    assert_sound(server.db_path());
}
