//! `lastseat backup`: whole and sound while a sale runs, never over another file, never half a
//! file under the name that was asked for.

use super::contract_support::{Run, run, sell};
use crate::support::sale::Sale;

use crate::support::{PATIENCE, Server, assert_sound, wait_until};
use rusqlite::Connection;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn backup(from: &Path, to: &Path) -> Run {
    let [from, to] = [from, to].map(|path| path.to_str().expect("a UTF-8 path"));
    run(&["backup", to, "--db", from], &[])
}

#[track_caller]
fn assert_refused(run: &Run, names: &str) {
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
    assert!(run.stderr.contains(names), "{names} is not named: {run:?}");
}

fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn tickets(db: &Path) -> usize {
    let db = Connection::open(db).unwrap();
    let sql = "SELECT count(*) FROM tickets";
    db.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize
}

#[test]
fn a_backup_during_a_sale_is_sound_and_has_all_that_was_sold_before() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--rate-limit", "off"]);
    let sale = Sale::of(&server, server.addr(), 400);
    sale.run(&server, 16, || {
        for n in 1..=3 {
            sale.release(100);
            assert!(wait_until(PATIENCE, || sale.sold() >= (n - 1) * 100 + 50));
            let sold = sale.sold();
            let copy = folder.path().join(format!("copy-{n}.db"));
            let made = backup(server.db_path(), &copy);
            assert!(made.status.success(), "{made:?}");
            assert_sound(&copy);
            assert!(tickets(&copy) >= sold, "{} < {sold}", tickets(&copy));
        }
    });
}

#[test]
fn a_backup_serves() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let server = Server::start(&[]);
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    assert!(backup(server.db_path(), &copy).status.success());
    sell(&server, event, "bob@example.com");
    let second = Server::builder().db(&copy).start();
    assert_eq!(second.event(event)["available_spots"], 4);
    second.confirm(&ticket).expect_status(200);
    sell(&second, event, "bob@example.com");
    second.assert_invariants();
    assert_eq!(
        entries(folder.path())
            .iter()
            .filter(|n| n.starts_with('.'))
            .count(),
        0
    );
}

#[test]
fn a_backup_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "precious").unwrap();
    assert_refused(&backup(server.db_path(), &taken), "already");
    assert_eq!(std::fs::read(&taken).unwrap(), b"precious");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert_refused(&backup(server.db_path(), &empty), "already");
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink("/nowhere/else", &dangling).unwrap();
    assert_refused(&backup(server.db_path(), &dangling), "already");
    assert_refused(&backup(server.db_path(), server.db_path()), "already");
    assert_eq!(entries(folder.path()).len(), 3);
}

#[test]
fn of_two_backups_to_one_name_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let server = Server::start(&[]);
    server.create_event("Harbour walk", 5);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| backup(server.db_path(), &copy));
        let all: Vec<_> = (0..6).map(|_| start()).collect();
        all.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let made = runs.iter().filter(|run| run.status.success()).count();
    assert_eq!(made, 1, "{runs:?}");
    assert_sound(&copy);
    assert_eq!(entries(folder.path()), ["copy.db"]);
}

#[test]
fn what_cannot_be_backed_up_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let missing = folder.path().join("missing.db");
    assert_refused(&backup(&missing, &copy), "no such file");
    let text = folder.path().join("letter.txt");
    std::fs::write(&text, "Dear Ada, ".repeat(1_000)).unwrap();
    assert_refused(&backup(&text, &copy), "not a SQLite database");
    let server = Server::start(&[]);
    let nowhere = folder.path().join("no/such/folder/copy.db");
    assert_refused(&backup(server.db_path(), &nowhere), "cannot write");
    assert_eq!(entries(folder.path()), ["letter.txt"]);
}

/// The limit on a file's size stands for a full disk.
#[test]
fn a_disk_that_is_full_half_way_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    server.create_event("Harbour walk", 5);
    for (trap, code) in [("trap '' XFSZ;", Some(1)), ("", None)] {
        let copy = folder.path().join("copy.db");
        let script = format!(
            "{trap} ulimit -f 16; exec '{}' backup '{}' --db '{}'",
            env!("CARGO_BIN_EXE_lastseat"),
            copy.display(),
            server.db_path().display()
        );
        let run = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(run.status.code(), code, "{run:?}");
        assert!(!copy.exists(), "{run:?}");
        if code.is_some() {
            assert_eq!(entries(folder.path()).len(), 0, "{run:?}");
        }
    }
}

/// Reads for longer than the WAL can be kept short, as a backup of a large file does. Buyers must
/// not wait until it is through: 5 seconds is how long SQLite would.
#[test]
fn a_long_reader_does_not_hold_up_the_sale() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Harbour walk", 1_000_000);
    let reader = server.db();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM events")
        .unwrap();
    // More than the 64 MiB at which the WAL is made to start again.
    let filler = "CREATE TABLE filler (bytes); INSERT INTO filler VALUES (zeroblob(70000000))";
    server.db().execute_batch(filler).unwrap();
    let start = Instant::now();
    let mut sold = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        server
            .register(event, &format!("guest-{sold}@example.com"))
            .expect_status(201);
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "buyer {sold} waited"
        );
        sold += 1;
    }
    drop(reader);
}
