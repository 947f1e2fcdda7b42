//! `lastseat verify`: what it prints, its exit codes, and that it may look at a file in use.

use super::contract_support::{Run, run, sell, unlimited};
use crate::support::stampede::{Order, rush};
use crate::support::{PATIENCE, Server, assert_sound, postgres, verify, wait_until};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// A file with an event of 3 spots and two tickets, one confirmed, and nobody at it.
fn sold() -> Server {
    let server = unlimited();
    let event = server.create_event("Proof", 3);
    sell(&server, event, "a@example.com");
    let ticket = sell(&server, event, "b@example.com");
    server.confirm(&ticket).expect_status(200);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    server
}

fn spoil(db: &Path) {
    postgres::change(db, "UPDATE events SET available_spots = 0");
}

fn verify_in_words(db: &Path) -> Run {
    run(&["verify", db.to_str().unwrap()], &[])
}

#[test]
fn a_sound_file_is_said_to_be_sound() {
    let server = sold();
    let run = verify_in_words(server.db_path());
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert_eq!(run.stderr, "");
    let count = |what: &str| {
        let line = run.stdout.lines().find(|l| l.trim().starts_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what}: {run:?}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let counts = ["events", "tickets", "ledger rows", "violations"].map(count);
    assert_eq!(counts, ["1", "2", "4", "0"]);
    let report = verify(server.db_path());
    assert_eq!(report["ledger_rows"], 4);
    assert!(report["rows_per_second"].as_u64().unwrap() > 0);
}

#[test]
fn the_first_violation_is_named() {
    let server = sold();
    spoil(server.db_path());
    let run = verify_in_words(server.db_path());
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let sentence = "event_balance: event 1 has 0 spots free, its ledger says 1";
    assert!(run.stderr.contains(sentence), "{run:?}");
    assert!(run.stdout.contains("NOT SOUND"), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    let report = verify(server.db_path());
    assert_eq!(report["violations"][0]["check"], "event_balance");
}

#[test]
fn a_file_that_is_none_of_ours_is_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "x".repeat(9_000)).unwrap();
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let missing = folder.path().join("missing.db");
    for file in [&text, &empty, &foreign, &missing] {
        let run = verify_in_words(file);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert!(run.stderr.starts_with("lastseat: cannot verify"), "{run:?}");
        assert_eq!(run.stdout, "");
    }
    assert!(!missing.exists(), "looking at a file made it");
}

/// Every file of the folder, with what is in it (but for the index of the WAL, which any reader
/// renews).
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("events.db-shm"));
    paths.sort();
    let read = |path: PathBuf| (path.clone(), std::fs::read(&path).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn it_changes_nothing() {
    let server = sold();
    let folder = server.db_path().parent().unwrap();
    let before = contents(folder);
    assert_sound(server.db_path());
    assert!(contents(folder) == before);
}

#[test]
fn it_changes_nothing_that_a_crash_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().rate_limit_off().db(&db).start();
    let event = server.create_event("Crash", 3);
    sell(&server, event, "a@example.com");
    server.kill9();
    let before = contents(folder.path());
    assert!(
        before
            .iter()
            .any(|(path, wal)| path.ends_with("events.db-wal") && !wal.is_empty())
    );
    assert_eq!(verify(&db)["tickets"], 1);
    assert!(contents(folder.path()) == before);
}

#[test]
fn a_live_file_is_verified_while_it_sells() {
    let server = unlimited();
    let event = server.create_event("In use", 400);
    let orders = (0..400).map(|n| Order::by(format!("b{n}@example.com")));
    std::thread::scope(|scope| {
        let sale = scope.spawn(|| {
            let orders: Vec<Order> = orders.collect();
            orders
                .chunks(40)
                .flat_map(|some| rush(&[server.addr()], event, some.to_vec()))
                .collect::<Vec<_>>()
        });
        while !sale.is_finished() {
            assert_sound(server.db_path());
        }
        assert!(sale.join().unwrap().iter().all(|o| o.is_sale()));
    });
    assert_eq!(verify(server.db_path())["tickets"], 400);
}

/// Starts on the file, and says whether `/readyz` is ready.
fn is_ready(db: &Path, flags: &[&str]) -> bool {
    let server = Server::builder()
        .db(db)
        .rate_limit_off()
        .args(flags.iter().copied())
        .start();
    let mut ready = server.get("/readyz");
    // Sales go on meanwhile.
    let is_verified = wait_until(PATIENCE, || {
        ready = server.get("/readyz");
        ready.status == 200 || ready.text("detail").contains("failed its verification")
    });
    assert!(is_verified, "{ready:?}");
    server.get("/healthz").expect_status(200);
    if ready.status != 200 {
        let ready = ready.expect_problem(503, "storage_unavailable");
        assert!(
            ready.text("detail").contains("lastseat verify"),
            "{ready:?}"
        );
        let said =
            |line: &serde_json::Value| line["message"].as_str().unwrap().contains("event_balance");
        assert!(server.log_lines().iter().any(said), "{}", server.log());
        return false;
    }
    true
}

#[test]
fn a_server_told_to_verify_is_not_ready_on_an_unsound_file() {
    let server = sold();
    assert!(is_ready(server.db_path(), &["--verify-on-start"]));
    spoil(server.db_path());
    assert!(is_ready(server.db_path(), &[]));
    assert!(!is_ready(server.db_path(), &["--verify-on-start"]));
    assert!(!is_ready(server.db_path(), &["--on-start"]));
}
