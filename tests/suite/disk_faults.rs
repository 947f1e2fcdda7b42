//! The disk fails with an I/O error, once: the server gives way to another, nothing that was
//! acknowledged is lost, and what was answered with a 503 never happened.

use super::contract_support::{register_with_key, sell};
use crate::support::stampede::{Order, Outcome, place};
use crate::support::{PATIENCE, Server, assert_sound, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server whose calls can be made to fail, see `io_fault_shim.c`.
struct Faulty {
    server: Server,
    flag: PathBuf,
    _folder: TempDir,
}

impl Faulty {
    fn start() -> Faulty {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/io_fault_shim.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .arg("-ldl")
            .status();
        assert!(built.expect("a C compiler").success());
        let flag = folder.path().join("flag");
        let server = Server::builder()
            .rate_limit_off()
            .env("LD_PRELOAD", shim.to_str().unwrap())
            .env("IO_FAULT_FLAG", flag.to_str().unwrap())
            .start();
        Faulty {
            server,
            flag,
            _folder: folder,
        }
    }

    /// Has the next such call fail.
    fn break_disk(&self, what: &str) {
        let making = self.flag.with_extension("making");
        std::fs::write(&making, what).unwrap();
        std::fs::rename(making, &self.flag).unwrap();
    }

    fn has_failed(&self) -> bool {
        !self.flag.exists()
    }

    fn wait_for_successor(&self, first: u32) {
        let server = &self.server;
        let is_other = || server.try_server_pid().is_some_and(|pid| pid != first);
        assert!(wait_until(PATIENCE, is_other), "{}", server.log());
    }

    /// Buys until the answer is no 503: a server that gives way may also break off.
    fn buy(&self, event: i64, order: &Order) -> Outcome {
        let mut outcome = None;
        wait_until(PATIENCE, || {
            let answer = place(self.server.addr(), event, order.clone());
            let decided = !matches!(answer.status, 0 | 503);
            outcome = Some(answer);
            decided
        });
        outcome.expect("an answer")
    }
}

/// The last spot, whose sale was answered with a 503, is there for whoever comes next.
#[track_caller]
fn a_failed_commit_sells_nothing(fault: &str) {
    let faulty = Faulty::start();
    let event = faulty.server.create_event("One spot", 2);
    let kept = sell(&faulty.server, event, "kept@example.com");
    let first = faulty.server.server_pid();
    faulty.break_disk(fault);
    let refused = register_with_key(&faulty.server, event, "a@example.com", "first");
    refused.expect_problem(503, "storage_unavailable");
    assert!(faulty.has_failed());
    faulty.wait_for_successor(first);

    let again = Order::by("a@example.com").with_key("second");
    let sold = faulty.buy(event, &again);
    assert!(sold.is_sale() && !sold.is_replay, "{fault}: {sold:?}");
    let rival = faulty.buy(event, &Order::by("rival@example.com"));
    assert!(rival.is_sold_out(), "{fault}: {rival:?}");
    let kept = faulty.server.get(&format!("/tickets/{kept}"));
    assert_eq!(kept.expect_status(200).text("status"), "reserved");
    faulty.server.kill9();
    assert_sound(faulty.server.db_path());
}

#[test]
fn a_commit_whose_flush_fails_sells_nothing_also_for_the_next_server() {
    a_failed_commit_sells_nothing("sync -wal");
}

#[test]
fn a_commit_whose_write_fails_sells_nothing_also_for_the_next_server() {
    a_failed_commit_sells_nothing("write -wal");
}

/// The rival is not told that it is sold out, when the spot was not sold to anybody.
#[test]
fn a_rival_gets_the_spot_whose_sale_failed() {
    let faulty = Faulty::start();
    let event = faulty.server.create_event("One spot", 1);
    let first = faulty.server.server_pid();
    faulty.break_disk("sync -wal");
    let refused = faulty.server.register(event, "a@example.com");
    refused.expect_problem(503, "storage_unavailable");
    faulty.wait_for_successor(first);
    let rival = faulty.buy(event, &Order::by("rival@example.com"));
    assert!(rival.is_sale(), "{rival:?}");
    assert_sound(faulty.server.db_path());
}

/// As long as no commit can be made, the one that failed cannot be made undone for good either.
#[test]
fn a_disk_that_goes_on_failing_is_a_503_until_it_works_and_then_another_server_takes_over() {
    let faulty = Faulty::start();
    let event = faulty.server.create_event("Broken", 1);
    let first = faulty.server.server_pid();
    faulty.break_disk("sync -wal !");
    for _ in 0..3 {
        let refused = faulty.server.register(event, "a@example.com");
        refused.expect_problem(503, "storage_unavailable");
    }
    let ready = faulty.server.get("/readyz");
    ready.expect_problem(503, "storage_unavailable");
    assert_eq!(faulty.server.server_pid(), first);
    std::fs::remove_file(&faulty.flag).unwrap();
    faulty.wait_for_successor(first);
    let rival = faulty.buy(event, &Order::by("rival@example.com"));
    assert!(rival.is_sale(), "{rival:?}");
    assert_sound(faulty.server.db_path());
}

/// What has been sold is in the WAL, from which the next server reads it anew.
#[track_caller]
fn a_failed_checkpoint_loses_nothing(fault: &str) {
    let faulty = Faulty::start();
    let event = faulty.server.create_event("Checkpoint", 100);
    let first = faulty.server.server_pid();
    faulty.break_disk(fault);
    let mut sold = 0;
    let failed = wait_until(PATIENCE, || {
        let order = Order::by(format!("b{sold}@example.com"));
        if place(faulty.server.addr(), event, order).is_sale() {
            sold += 1;
        }
        faulty.has_failed() || sold == 90
    });
    assert!(failed && faulty.has_failed(), "{}", faulty.server.log());
    faulty.wait_for_successor(first);
    let next = faulty.buy(event, &Order::by("next@example.com"));
    assert!(next.is_sale(), "{next:?}");
    faulty.server.kill9();
    assert_sound(faulty.server.db_path());
    let sql = "SELECT count(*) FROM tickets";
    let tickets: i64 = faulty
        .server
        .db()
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    assert_eq!(tickets, sold + 1);
}

#[test]
fn a_checkpoint_whose_flush_fails_loses_nothing_and_another_server_takes_over() {
    a_failed_checkpoint_loses_nothing("sync .db");
}

#[test]
fn a_checkpoint_whose_write_fails_loses_nothing_and_another_server_takes_over() {
    a_failed_checkpoint_loses_nothing("write .db");
}

/// A code that the program does not end with by itself says nothing about the next server.
#[test]
fn a_server_that_ends_in_the_middle_of_a_commit_is_succeeded_whatever_its_code() {
    let faulty = Faulty::start();
    let event = faulty.server.create_event("Gone", 2);
    let kept = sell(&faulty.server, event, "kept@example.com");
    let first = faulty.server.server_pid();
    faulty.break_disk("sync -wal exit");
    let order = Order::by("a@example.com").with_key("a");
    place(faulty.server.addr(), event, order.clone());
    assert!(faulty.has_failed());
    faulty.wait_for_successor(first);
    assert!(faulty.buy(event, &order).is_sale());
    let kept = faulty.server.get(&format!("/tickets/{kept}"));
    assert_eq!(kept.expect_status(200).text("status"), "reserved");
    assert_sound(faulty.server.db_path());
}
