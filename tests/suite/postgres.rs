//! What is PostgreSQL's own: guards, tampering, lost connections, copies there and back. They need
//! LASTSEAT_TEST_DB, which `make cluster` sets.

use super::contract_support::{Run, register_with_key, run, sell, unlimited};
use crate::support::postgres::psql;
use crate::support::sale::Sale;
use crate::support::{Server, assert_sound, verify};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

fn place(server: &Server) -> (String, String) {
    let url = server.db_path().to_string_lossy().into_owned();
    let (base, name) = url.rsplit_once('/').expect("a database's name");
    (base.to_owned(), name.to_owned())
}

/// Event 1 with tickets 1 reserved, by a key, and 2 confirmed; event 2.
fn sold() -> Server {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    register_with_key(&server, event, "ada@example.com", "sale").expect_status(201);
    let confirmed = sell(&server, event, "bob@example.com");
    server.confirm(&confirmed).expect_status(200);
    server.create_event("Night walk", 2);
    server
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn the_schema_refuses_what_is_wrong() {
    let server = sold();
    let (base, name) = place(&server);
    for sql in [
        "UPDATE events SET available_spots = -1 WHERE id = 1",
        "UPDATE events SET available_spots = 6 WHERE id = 1",
        "UPDATE events SET created_at = 1",
        "DELETE FROM events",
        "TRUNCATE events CASCADE",
        "DELETE FROM tickets",
        "UPDATE tickets SET email = 'eve@example.com', email_folded = 'eve@example.com' WHERE seq = 1",
        "UPDATE tickets SET email_folded = 'eve@example.com' WHERE seq = 1",
        "UPDATE tickets SET status = 'confirmed' WHERE seq = 1",
        "UPDATE tickets SET status = 'reserved', confirmed_at = NULL WHERE seq = 2",
        "UPDATE tickets SET checked_in_at = 1 WHERE seq = 1",
        "INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
         VALUES ('\\x000102030405060708090a0b0c0d0e0f', 1, 'ADA@example.com', 'ada@example.com', 'reserved', 1, 2)",
        "UPDATE idempotency_keys SET body = ''",
        "DELETE FROM idempotency_keys",
        "UPDATE ledger SET spots = 0",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "INSERT INTO ledger VALUES (1, 1, 1, 'created', NULL, 5, 5)",
        "INSERT INTO ledger VALUES (1, 9, 1, 'vip', NULL, 5, 5)",
    ] {
        assert!(psql(&base, &name, sql).is_err(), "it let pass: {sql}");
    }
    assert_sound(server.db_path());
    assert_eq!(server.event(1)["available_spots"], 3);
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn what_was_changed_while_the_guards_were_off_is_found() {
    for (check, sql) in [
        (
            "event_balance",
            "UPDATE events SET available_spots = 4 WHERE id = 1",
        ),
        (
            "event_capacity",
            "UPDATE events SET total_spots = 6 WHERE id = 1",
        ),
        (
            "event_status",
            "UPDATE events SET status = 'cancelled' WHERE id = 1",
        ),
        ("missing", "DELETE FROM events WHERE id = 2"),
        ("foreign_keys", "DELETE FROM events WHERE id = 2"),
        ("foreign_keys", "INSERT INTO line_blocks VALUES (9, 0, 0)"),
        (
            "foreign_keys",
            "INSERT INTO sales_windows (event_id, n) VALUES (1, 99)",
        ),
        ("missing", "DELETE FROM tickets WHERE seq = 2"),
        (
            "ticket_state",
            "UPDATE tickets SET status = 'confirmed', confirmed_at = created_at WHERE seq = 1",
        ),
        (
            "ticket_times",
            "UPDATE tickets SET confirmed_at = confirmed_at - 1 WHERE seq = 2",
        ),
        (
            "ledger_gap",
            "DELETE FROM ledger WHERE event_id = 1 AND n = 2",
        ),
        (
            "running_sum",
            "UPDATE ledger SET available_spots = 0 WHERE event_id = 1 AND n = 2",
        ),
        (
            "ledger_spots",
            "ALTER TABLE ledger DROP CONSTRAINT ledger_check2; UPDATE ledger SET spots = -2 WHERE event_id = 1 AND n = 2",
        ),
        (
            "key_without_ticket",
            "UPDATE idempotency_keys SET ticket_seq = 99",
        ),
        ("schema", "DROP TRIGGER tickets_stay ON tickets"),
        ("schema", "DROP INDEX tickets_live"),
        ("schema", "ALTER TABLE events DROP CONSTRAINT events_check"),
        (
            "schema",
            "ALTER TABLE ledger DISABLE TRIGGER ledger_no_delete",
        ),
        (
            "schema",
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$",
        ),
    ] {
        let server = sold();
        let (base, name) = place(&server);
        let sql = format!("SET session_replication_role = replica; {sql}");
        psql(&base, &name, &sql).expect("tampers");
        let report = verify(server.db_path());
        let found = report["violations"].as_array().expect("a list");
        assert!(found.iter().any(|v| v["check"] == check), "{sql}: {report}");
    }
}

/// A sale meets a row that somebody has changed by hand before `verify` does.
#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn an_event_that_is_not_what_its_ledger_says_is_not_sold() {
    let server = sold();
    server.change_by_hand("UPDATE events SET available_spots = 4 WHERE id = 1");
    let refused = server.register(1, "eve@example.com");
    refused.expect_problem(503, "storage_unavailable");
}

/// Connections are lost at any moment, in COMMIT too: every buyer learns what became of the order.
#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn connections_that_are_lost_lose_no_sale() {
    let server = unlimited();
    let (base, name) = place(&server);
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    let sale = Sale::of(&server, server.addr(), 2_000);
    sale.run(&server, 16, || {
        sale.release(1_500);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            psql(&base, "postgres", &kill).expect("kills");
        }
    });
    assert_sound(server.db_path());
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_copy_there_and_back_is_sound_and_sells_on() {
    let server = sold();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sale.db");
    let [url, path] = [server.db_path(), &file].map(|p| p.to_str().expect("a UTF-8 path"));
    let copied: Run = run(&["copy", url, path], &[]);
    assert!(copied.status.success(), "{copied:?}");
    assert_sound(&file);
    let other = unlimited();
    let to = other.db_path().to_str().expect("a UTF-8 path").to_owned();
    let copied = run(&["copy", path, &to], &[]);
    assert!(copied.status.success(), "{copied:?}");
    assert_sound(other.db_path());
    let again = register_with_key(&other, 1, "ada@example.com", "sale").expect_status(201);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    sell(&other, 1, "cy@example.com");
    other.create_event("Dawn walk", 1);
    other.assert_invariants();
    let refused = run(&["copy", path, &to], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("a sale in"), "{refused:?}");
    assert_eq!(
        rows(&other.db()),
        rows(&Connection::open(&file).unwrap()) + 2
    );
}

/// Each statement in `sql/`, as PostgreSQL numbers its parameters.
fn numbered(sql: &str) -> String {
    let mut names = Vec::new();
    let mut parts = sql.split(':');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = part.find(|c| !is_name(c)).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let known = names.iter().position(|n| *n == name);
        let place = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        text += &format!("${}{rest}", place + 1);
    }
    text
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn every_statement_is_understood() {
    let server = unlimited();
    let (base, name) = place(&server);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let lines = std::fs::read_to_string(&path).unwrap();
            let lines = lines.lines().map(|line| line.split("--").next().unwrap());
            let sql = lines.collect::<Vec<_>>().join("\n");
            // A value is sent as one of three types, and none is read as another.
            let others = "SELECT kind FROM pg_prepared_statements, unnest(parameter_types) AS kind
                          WHERE kind NOT IN ('bigint'::regtype, 'text'::regtype, 'bytea'::regtype)";
            let sql = format!("PREPARE s AS {}; {others}", numbered(&sql));
            assert_eq!(psql(&base, &name, &sql).as_deref(), Ok(""), "{path:?}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_report_is_that_of_the_copied_file() {
    let server = sold();
    let folder = tempfile::tempdir().unwrap();
    let [file, ours, theirs] = ["sale.db", "ours.html", "theirs.html"].map(|name| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a UTF-8 path")
            .to_owned()
    });
    let url = server.db_path().to_str().expect("a UTF-8 path");
    for words in [
        &["copy", url, &file][..],
        &["report", "--db", url, &ours],
        &["report", "--db", &file, &theirs],
    ] {
        let done = run(words, &[]);
        assert!(done.status.success(), "{done:?}");
    }
    let sections = |path: &str| {
        let page = std::fs::read_to_string(path).unwrap();
        page.split_once("<section").expect("a section").1.to_owned()
    };
    assert_eq!(sections(&ours), sections(&theirs));
}

fn rows(db: &Connection) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM tickets) + (SELECT count(*) FROM events)";
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_backup_says_what_does_its_work_there() {
    let server = unlimited();
    let url = server.db_path().to_str().expect("a UTF-8 path");
    let refused = run(&["backup", "copy.db", "--db", url], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("pg_dump"), "{refused:?}");
    assert!(!Path::new("copy.db").exists());
}

/// A database of another program is left as it is.
#[test]
#[ignore = "needs PostgreSQL: make cluster"]
fn a_database_of_another_program_is_refused_untouched() {
    let server = unlimited();
    let (base, _) = place(&server);
    let name = format!("test_foreign_{}", std::process::id());
    psql(&base, "postgres", &format!("CREATE DATABASE {name}")).expect("makes");
    psql(&base, &name, "CREATE TABLE events (id int)").expect("makes");
    let refused = run(
        &["--listen", "127.0.0.1:0", "--db", &format!("{base}/{name}")],
        &[],
    );
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("another program"), "{refused:?}");
    let tables = psql(
        &base,
        &name,
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
    );
    assert_eq!(tables.as_deref(), Ok("1"));
    psql(&base, "postgres", &format!("DROP DATABASE {name}")).expect("drops");
}
