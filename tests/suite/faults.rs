//! What the world does to the file: nothing is sold twice, nothing acknowledged is lost, what cannot
//! be done is a 503, and it is over when its cause is.

use super::contract_support::{frozen, sell, unlimited};
use crate::support::{Server, assert_sound, verify};
use rusqlite::Connection;
use std::io::Write;
use std::process::Command;

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_steps_forward_and_back_sells_nothing_twice() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Clock", 1);
    let early = sell(&server, event, "a@example.com");
    clock.advance(HOUR_MS);
    let late = sell(&server, event, "b@example.com");
    clock.advance(-HOUR_MS);
    // The first hold would be live again by the clock, but it has been written down as expired.
    server.confirm(&early).expect_problem(410, "hold_expired");
    server
        .register(event, "c@example.com")
        .expect_problem(409, "sold_out");
    server.confirm(&late).expect_status(200);
    assert_sound(server.db_path());
}

#[test]
fn a_file_that_is_moved_away_takes_no_sale_until_it_is_back() {
    let server = unlimited();
    let event = server.create_event("Moved", 3);
    sell(&server, event, "a@example.com");
    let away = server.db_path().with_extension("away");
    std::fs::rename(server.db_path(), &away).unwrap();
    let refused = server.register(event, "b@example.com");
    refused.expect_problem(503, "storage_unavailable");
    // Another file in its place is not it either.
    std::fs::copy(&away, server.db_path()).unwrap();
    let refused = server.register(event, "b@example.com");
    refused.expect_problem(503, "storage_unavailable");
    server
        .get("/readyz")
        .expect_problem(503, "storage_unavailable");
    assert!(
        server.log().contains("moved, deleted or replaced"),
        "{}",
        server.log()
    );
    std::fs::rename(&away, server.db_path()).unwrap();
    sell(&server, event, "b@example.com");
    assert_eq!(verify(server.db_path())["tickets"], 2);
}

#[test]
fn a_damaged_page_is_a_503_and_never_a_sale() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().rate_limit_off().db(&db).start();
    let event = server.create_event("Damage", 50);
    for buyer in ["a@example.com", "b@example.com", "c@example.com"] {
        sell(&server, event, buyer);
    }
    server.kill9();
    let conn = Connection::open(&db).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'tickets'";
    let page: u32 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let page = page as usize;
    drop(conn);
    let mut bytes = std::fs::read(&db).unwrap();
    bytes[(page - 1) * 2048..(page - 1) * 2048 + 8].copy_from_slice(&[0x55; 8]);
    std::fs::write(&db, bytes).unwrap();

    let server = Server::builder().rate_limit_off().db(&db).start();
    let refused = server.register(event, "d@example.com");
    refused.expect_problem(503, "storage_unavailable");
    server.get("/healthz").expect_status(200);
    assert!(server.log().contains("malformed"), "{}", server.log());
    assert_eq!(verify(&db)["ok"], false);
}

/// A filesystem of 4 MiB. None where this user may not have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(folder.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_a_503_until_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        return eprintln!("not tested: this user may not mount a small filesystem");
    };
    let server = Server::builder()
        .rate_limit_off()
        .db(disk.0.path().join("events.db"))
        .start();
    let event = server.create_event("Full", 10_000);
    let filler = disk.0.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let mut sold = 0;
    let refused = loop {
        let answer = server.register(event, &format!("b{sold}@example.com"));
        if answer.status != 201 {
            break answer;
        }
        sold += 1;
        assert!(sold < 5_000, "the disk is not full after all");
    };
    refused.expect_problem(503, "storage_unavailable");
    assert!(server.log().contains("full"), "{}", server.log());
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    sell(&server, event, &format!("b{sold}@example.com"));
    let report = verify(server.db_path());
    assert_eq!(
        (&report["ok"], &report["tickets"]),
        (&true.into(), &(sold + 1).into())
    );
}
