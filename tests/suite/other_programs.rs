//! Other programs at the same file: a shell that reads, a backup, a verification, a lock. None of
//! them holds up a start or a stop, nor a buyer for long.

use super::contract_support::{fill, fill_until, frozen, run, sell, unlimited};
use crate::support::stampede::{Order, place};
use crate::support::{
    Client, FrozenClock, PATIENCE, Server, assert_sound, fresh_source, pause_for_arrival,
};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A promise of one or two seconds, with what a busy machine needs to start and to notice.
const MARGIN: Duration = Duration::from_millis(1_500);
const START_MAX: Duration = Duration::from_secs(1);
const STOP_MAX: Duration = Duration::from_secs(2);

/// A shell in the middle of reading.
fn reader_of(db: &Path) -> Connection {
    let reader = Connection::open(db).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM tickets")
        .unwrap();
    reader
}

#[track_caller]
fn stop_quickly(server: &Server) {
    let start = Instant::now();
    server.sigterm();
    let status = server.wait(PATIENCE);
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(took < STOP_MAX + MARGIN, "{took:?}: {}", server.log());
}

#[test]
fn a_reader_holds_up_neither_a_stop_nor_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let builder = || Server::builder().rate_limit_off().db(&db);
    let server = builder().start();
    let event = server.create_event("Reader", 20);
    sell(&server, event, "a@example.com");
    let reader = reader_of(&db);
    sell(&server, event, "b@example.com");
    stop_quickly(&server);

    let start = Instant::now();
    let server = builder().start();
    sell(&server, event, "c@example.com");
    assert!(
        start.elapsed() < START_MAX + MARGIN,
        "{:?}",
        start.elapsed()
    );
    server.kill9();

    let start = Instant::now();
    let server = builder().start();
    sell(&server, event, "d@example.com");
    assert!(
        start.elapsed() < START_MAX + MARGIN,
        "{:?}",
        start.elapsed()
    );
    drop(reader);
    stop_quickly(&server);
    assert_sound(&db);
}

#[test]
fn a_second_server_that_starts_while_somebody_reads_does_not_hold_up_the_first() {
    let server = unlimited();
    let event = server.create_event("Two", 1_000_000);
    let _reader = reader_of(server.db_path());
    sell(&server, event, "a@example.com");
    let is_started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let builder = Server::builder().rate_limit_off().db(server.db_path());
            let start = Instant::now();
            let second = builder.start();
            let took = start.elapsed();
            is_started.store(true, Ordering::SeqCst);
            drop(second);
            took
        });
        let mut n = 0;
        while !is_started.load(Ordering::SeqCst) {
            let sale = place(server.addr(), event, Order::by(format!("b{n}@example.com")));
            assert!(sale.is_sale(), "{sale:?}");
            assert!(sale.took < START_MAX, "{sale:?}");
            n += 1;
        }
        let took = second.join().unwrap();
        assert!(took < START_MAX + MARGIN, "{took:?}");
    });
}

/// What the reaper does for itself, it does not do instead of what was received.
#[test]
fn a_stop_in_the_middle_of_a_sweep_answers_everything_that_was_received() {
    for round in 0..4 {
        let clock = FrozenClock::new();
        let server = Server::builder()
            .rate_limit_off()
            .args(clock.flags())
            .args(["--sweep", "100ms", "--workers", "2"])
            .start();
        let event = server.create_event("Sweep", 100_000);
        fill_until(&server, event, 30_000, 2);
        let mut client = server.client();
        client.get("/healthz").expect_status(200);
        let path = format!("/events/{event}/register");
        let is_stopping = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let buyer = scope.spawn(|| {
                for n in 0.. {
                    let is_before = !is_stopping.load(Ordering::SeqCst);
                    let order = Order::by(format!("b{n}@example.com")).json();
                    match client.try_post(&path, "user", &order) {
                        Ok(answer) if answer.status == 201 => {}
                        Ok(answer) => return assert_eq!(answer.status, 503, "{answer:?}"),
                        Err(e) => return assert!(!is_before, "unanswered: {e}"),
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(50 + round * 20));
            is_stopping.store(true, Ordering::SeqCst);
            stop_quickly(&server);
            buyer.join().unwrap();
        });
        assert_sound(server.db_path());
    }
}

#[test]
fn a_lock_of_12_s_keeps_nobody_waiting_for_more_than_6_and_sells_nothing_afterwards() {
    const BUYERS: usize = 200;
    let server = Server::start(&["--rate-limit", "off", "--commit-batch", "16"]);
    let event = server.create_event("Locked", BUYERS as u32);
    let lock = server.db();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let buy = |n: usize| {
            let server = &server;
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(n as u64 * 40));
                place(server.addr(), event, Order::by(format!("b{n}@example.com")))
            })
        };
        let buyers: Vec<_> = (0..BUYERS).map(buy).collect();
        std::thread::sleep(Duration::from_secs(12));
        lock.execute_batch("ROLLBACK").unwrap();
        buyers.into_iter().map(|b| b.join().unwrap()).collect()
    });
    let mut sold = 0;
    for outcome in &outcomes {
        assert!(outcome.took < Duration::from_secs(6), "{outcome:?}");
        match outcome.status {
            201 => sold += 1,
            _ => assert_eq!(outcome.status, 503, "{outcome:?}"),
        }
    }
    assert!(sold < BUYERS, "nobody was refused");
    let sql = "SELECT count(*) FROM tickets";
    let tickets: usize = lock.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    assert_eq!(tickets, sold);
    assert_sound(server.db_path());
}

/// Buys of `other` while `request` is under way; returns the longest that a buyer waited.
fn longest_wait(server: &Server, other: i64, request: impl FnOnce() + Send) -> Duration {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            request();
            is_done.store(true, Ordering::SeqCst);
        });
        let mut longest = Duration::ZERO;
        let mut n = 0;
        while !is_done.load(Ordering::SeqCst) || n == 0 {
            let name = format!("{}-{n}@example.com", fresh_source());
            let sale = place(server.addr(), other, Order::by(name.replace(':', "-")));
            assert!(sale.is_sale(), "{sale:?}");
            longest = longest.max(sale.took);
            n += 1;
        }
        longest
    })
}

#[test]
fn to_change_or_cancel_an_event_with_200_000_expired_holds_holds_up_no_other_sale() {
    let (_clock, server) = frozen(&[]);
    let other = server.create_event("Other", 1_000_000);
    let patient = |method: &str, path: &str, body: &str| {
        let mut client = Client::try_connect(server.addr(), Some(fresh_source())).unwrap();
        let headers = [("X-Role", "organizer")];
        let answer = client.request(method, path, &headers, Some(body));
        answer.expect_status(200).json()
    };
    // All holds of this one must end before the capacity can be so small.
    for (verb, spots) in [("PATCH", 200_000), ("POST", 1_000_000)] {
        let large = server.create_event("Large", spots);
        fill_until(&server, large, 200_000, 2);
        let longest = longest_wait(&server, other, || {
            let event = match verb {
                "PATCH" => patient(verb, &format!("/events/{large}"), r#"{"total_spots":1}"#),
                _ => patient(verb, &format!("/events/{large}/cancel"), ""),
            };
            assert_eq!(event["available_spots"], event["total_spots"]);
        });
        assert!(longest < Duration::from_millis(500), "{verb}: {longest:?}");
    }
    assert_sound(server.db_path());
}

#[test]
fn a_database_behind_a_symbolic_link_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let link = folder.path().join("events.db");
    std::os::unix::fs::symlink(data.join("real.db"), &link).unwrap();
    let server = Server::builder().rate_limit_off().db(&link).start();
    let event = server.create_event("Link", 1);
    sell(&server, event, "a@example.com");
    stop_quickly(&server);
    assert_sound(&data.join("real.db"));
}

#[test]
fn verify_through_a_symbolic_link_only_reads() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().rate_limit_off().db(&db).start();
    let event = server.create_event("Crash", 50);
    sell(&server, event, "a@example.com");
    server.kill9();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&db, &link).unwrap();
    let files = [&db, &folder.path().join("events.db-wal")];
    let before = files.map(|file| std::fs::read(file).unwrap());
    assert!(!before[1].is_empty());
    assert_sound(&link);
    assert!(files.map(|file| std::fs::read(file).unwrap()) == before);
}

#[test]
fn a_stop_waits_for_no_lock_of_another_program_that_only_reads_in_a_backup() {
    let server = unlimited();
    let event = server.create_event("Backup", 100_000);
    fill(&server, event, 50_000);
    let copy = server.db_path().with_extension("copy");
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| {
            let (db, copy) = (server.db_path().to_str().unwrap(), copy.to_str().unwrap());
            run(&["backup", copy, "--db", db], &[])
        });
        pause_for_arrival();
        stop_quickly(&server);
        let run = backup.join().unwrap();
        assert_eq!(run.status.code(), Some(0), "{run:?}");
    });
    assert_sound(&copy);
}
