//! What a start can fail on, beside its flags: one clear line, exit code 1, and the data as it
//! was, byte for byte.

use crate::support::{PATIENCE, Server, StartFailure};
use std::net::TcpListener;
use std::path::Path;

#[track_caller]
fn assert_fails(outcome: Result<Server, StartFailure>, names: &str) -> String {
    let failure = match outcome {
        Ok(server) => panic!("it started: {}", server.ready_line()),
        Err(failure) => failure,
    };
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    assert_eq!(failure.stderr.trim_end().lines().count(), 1, "{failure:?}");
    assert!(failure.stderr.starts_with("lastseat: "), "{failure:?}");
    assert!(
        failure.stderr.contains(names),
        "{names} is not named: {failure:?}"
    );
    failure.stderr
}

fn start_on(db: &Path) -> Result<Server, StartFailure> {
    Server::builder().db(db).try_start()
}

/// A database that a server has used and left in order.
fn used_database(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("events.db");
    let server = Server::builder().db(&path).start();
    server.create_event("Harbour walk", 5);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    path
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = Server::builder().listen(&address).try_start();
    assert_fails(outcome, &address);
}

#[test]
fn a_second_server_on_the_same_port_leaves_the_first_alone() {
    let first = Server::start(&[]);
    let event = first.create_event("Harbour walk", 5);
    let address = first.addr().to_string();
    let outcome = Server::builder()
        .listen(&address)
        .db(first.db_path())
        .try_start();
    assert_fails(outcome, &address);
    first.register(event, "ada@example.com").expect_status(201);
    first.assert_invariants();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("missing/folder/events.db");
    assert_fails(start_on(&nowhere), nowhere.to_str().unwrap());
    let directory = folder.path().join("a-directory");
    std::fs::create_dir(&directory).unwrap();
    assert_fails(start_on(&directory), directory.to_str().unwrap());
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("events.db");
    assert_fails(start_on(&below), below.to_str().unwrap());
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut truncated = std::fs::read(used_database(folder.path())).unwrap();
    truncated.truncate(truncated.len() / 2);
    let page = [b"SQLite format 3\0".to_vec(), vec![0xa5; 8_176]].concat();
    let files: [(&str, Vec<u8>); 6] = [
        ("notes.txt", b"Dear diary,\n".to_vec()),
        ("long.txt", b"all work and no play\n".repeat(1_000)),
        ("zeros", vec![0; 10_000]),
        (
            "noise",
            (0..20_000_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect(),
        ),
        ("forged", page),
        ("truncated.db", truncated),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        assert_fails(start_on(&path), path.to_str().unwrap());
        assert!(std::fs::read(&path).unwrap() == bytes, "{name} was changed");
    }
}

#[test]
fn another_programs_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contacts.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE contacts (name TEXT); INSERT INTO contacts VALUES ('Ada')")
        .unwrap();
    other.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_fails(start_on(&path), path.to_str().unwrap());
    assert!(
        std::fs::read(&path).unwrap() == before,
        "the file was changed"
    );
}

#[test]
fn a_newer_schema_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = used_database(folder.path());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    db.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let line = assert_fails(start_on(&path), path.to_str().unwrap());
    assert!(line.contains("999"), "the version is not named: {line}");
    assert!(
        std::fs::read(&path).unwrap() == before,
        "the file was changed"
    );
    let db = rusqlite::Connection::open(&path).unwrap();
    let events: i64 = db
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(events, 1);
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    std::fs::write(&path, "").unwrap();
    let server = start_on(&path).expect("starts");
    server.create_event("Harbour walk", 5);
}

#[test]
fn a_path_with_strange_characters_is_a_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "with space.db",
        "what?mode=ro.db",
        "100%25.db",
        "#tag.db",
        "ünï.db",
        "file:x.db",
    ] {
        let path = folder.path().join(name);
        let server = start_on(&path).expect("starts");
        server.create_event("Harbour walk", 5);
        assert!(path.is_file(), "{path:?}");
    }
}
