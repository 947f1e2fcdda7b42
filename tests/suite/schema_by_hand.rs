//! What somebody types into a shell and the schema cannot refuse: the next sale refuses, and
//! `lastseat verify` names it. And a file that has been through `.dump`.

use super::contract_support::{register_with_key, sell, unlimited};
use crate::support::{PATIENCE, Server, assert_sound, verify};
use rusqlite::Connection;
use std::path::Path;

#[track_caller]
fn assert_named(db: &Path, check: &str) {
    let report = verify(db);
    let violations = report["violations"].as_array().unwrap();
    let is_named = violations.iter().any(|v| v["check"] == check);
    assert!(is_named, "no {check} in {violations:#?}");
}

#[test]
fn spots_added_by_hand_are_sold_to_nobody() {
    let by_hand = [
        "UPDATE events SET available_spots = total_spots",
        "UPDATE events SET total_spots = 3, available_spots = 2",
        "UPDATE events SET changes = changes + 1",
        "UPDATE events SET changes = changes - 1",
        "INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots) SELECT id, changes + 1, 0, 'changed', NULL, 1, 1 FROM events",
    ];
    for sql in by_hand {
        let server = unlimited();
        let event = server.create_event("Hand", 1);
        let ticket = sell(&server, event, "a@example.com");
        let db = server.db();
        assert_eq!(db.execute(sql, []).unwrap(), 1);
        let refused = server.register(event, "b@example.com");
        assert!(refused.status >= 409, "{sql}: {refused:?}");
        let cancelled = server.post(&format!("/tickets/{ticket}/cancel"), "user", "");
        assert!(cancelled.status >= 500, "{sql}: {cancelled:?}");
        let tickets = "SELECT count(*) FROM tickets WHERE status <> 'cancelled'";
        let live: i64 = db.query_row(tickets, [], |row| row.get(0)).unwrap();
        assert_eq!(live, 1, "{sql}");
        assert_named(server.db_path(), "event_balance");
    }
}

#[test]
fn an_event_that_is_not_what_its_ledger_says_is_a_503_and_others_are_sold() {
    let server = unlimited();
    let [wrong, other] = ["Wrong", "Other"].map(|name| server.create_event(name, 2));
    let sql = "UPDATE events SET available_spots = 1 WHERE id = ?";
    server.db().execute(sql, [wrong]).unwrap();
    let refused = server.register(wrong, "a@example.com");
    refused.expect_problem(503, "storage_unavailable");
    assert!(server.log().contains("lastseat verify"), "{}", server.log());
    sell(&server, other, "a@example.com");
    let sql = "UPDATE events SET available_spots = 2 WHERE id = ?";
    server.db().execute(sql, [wrong]).unwrap();
    sell(&server, wrong, "a@example.com");
    assert_sound(server.db_path());
}

/// What `sqlite3 FILE .dump | sqlite3 COPY` makes: every table's rows, then its indexes and triggers,
/// and none of the numbers in the file's header.
fn dump(from: &Path, to: &Path) {
    let db = Connection::open(to).unwrap();
    db.execute("ATTACH ?1 AS old", [from.to_str().unwrap()])
        .unwrap();
    let objects = |kinds: &str| -> Vec<(String, String)> {
        let sql = format!(
            "SELECT name, sql FROM old.sqlite_schema WHERE sql IS NOT NULL AND type IN ({kinds})"
        );
        let mut statement = db.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for (table, sql) in objects("'table'") {
        db.execute_batch(&sql).unwrap();
        let rows = format!("INSERT INTO main.{table} SELECT * FROM old.{table}");
        db.execute_batch(&rows).unwrap();
    }
    for (_, sql) in objects("'index', 'trigger'") {
        db.execute_batch(&sql).unwrap();
    }
}

#[test]
fn a_dump_read_back_is_refused_with_what_to_set_and_then_served() {
    let server = unlimited();
    let event = server.create_event("Dump", 3);
    register_with_key(&server, event, "a@example.com", "k").expect_status(201);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    let copy = server.db_path().with_extension("copy");
    dump(server.db_path(), &copy);

    let builder = || Server::builder().rate_limit_off().db(&copy);
    let refused = builder().try_start().err().expect("it has no marks");
    let set = "PRAGMA application_id = 1280525633; PRAGMA user_version = 1";
    assert!(refused.stderr.contains(set), "{refused:?}");
    Connection::open(&copy).unwrap().execute_batch(set).unwrap();
    let server = builder().start();
    let again = register_with_key(&server, event, "a@example.com", "k").expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    sell(&server, event, "b@example.com");
    assert_sound(&copy);
}
