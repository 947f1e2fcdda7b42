//! `lastseat verify` against a file that somebody has tampered with while the schema's guards were
//! off: each tampering is caught by the name of what it violates.

use super::contract_support::{JSON, ORGANIZER, register_with_key, run, sell, send};
use crate::support::{FrozenClock, PATIENCE, Server, verify, wait_until};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What was done, the check that must catch it, and how: the guards are off meanwhile.
type Tampering = (&'static str, &'static str, &'static str);

const PAGE: usize = 2048;
const A_TICKET: &str = "INSERT INTO tickets (seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at, cancelled_at, cancel_reason) VALUES";

/// The file, see [`sound_file`]: event 1 has 5 spots and tickets 1 expired, 2 reserved, 3 confirmed,
/// 4 reserved with a key; event 2 has 2 spots and the confirmed ticket 5.
/// Then see [`furnish_what_comes_after_the_sale`].
const TAMPERINGS: &[Tampering] = &[
    ("a spot too many", "event_balance", "UPDATE events SET available_spots = available_spots + 1 WHERE id = 1"),
    ("a spot too few", "event_balance", "UPDATE events SET available_spots = available_spots - 1 WHERE id = 1"),
    ("more spots in all", "event_capacity", "UPDATE events SET total_spots = total_spots + 1 WHERE id = 1"),
    ("an event cancelled by hand", "event_status", "UPDATE events SET status = 'cancelled' WHERE id = 1"),
    ("an event removed", "missing", "DELETE FROM events WHERE id = 2"),
    ("an event removed: its tickets point nowhere", "foreign_keys", "DELETE FROM events WHERE id = 2"),
    (
        "an event without a ledger row",
        "missing",
        "INSERT INTO events (id, name, total_spots, available_spots, hold_ms, created_at) VALUES (9, 'x', 1, 1, 1000, 0)",
    ),
    ("a hold time out of range", "integrity", "UPDATE events SET hold_ms = 0 WHERE id = 1"),
    ("a ticket made valid by hand", "ticket_state", "UPDATE tickets SET status = 'confirmed', confirmed_at = created_at WHERE seq = 2"),
    (
        "a ticket brought back to life",
        "ticket_state",
        "UPDATE tickets SET status = 'reserved', cancelled_at = NULL, cancel_reason = NULL WHERE seq = 1",
    ),
    ("another reason", "ticket_state", "UPDATE tickets SET cancel_reason = 'holder' WHERE seq = 1"),
    ("a ticket moved to another event", "ticket_state", "UPDATE tickets SET event_id = 2 WHERE seq = 2"),
    ("an unheard-of status", "ticket_state", "UPDATE tickets SET status = 'vip' WHERE seq = 2"),
    ("a ticket removed", "missing", "DELETE FROM tickets WHERE seq = 3"),
    (
        "a ticket slipped in",
        "missing",
        "INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at) VALUES (zeroblob(16), 1, 'f@b', 'f@b', 'reserved', 1, 2)",
    ),
    (
        "another's ticket id",
        "live_twice",
        "CREATE TABLE t AS SELECT * FROM tickets; DROP TABLE tickets; ALTER TABLE t RENAME TO tickets;
         UPDATE tickets SET ticket_id = (SELECT ticket_id FROM tickets WHERE seq = 3) WHERE seq = 2",
    ),
    ("no ticket id", "integrity", "UPDATE tickets SET ticket_id = zeroblob(15) WHERE seq = 2"),
    ("an address that is not what it is compared by", "integrity", "UPDATE tickets SET email_folded = 'z@example.com' WHERE seq = 2"),
    ("a sale dated back", "ticket_times", "UPDATE tickets SET created_at = created_at - 1 WHERE seq = 2"),
    ("a confirmation dated back", "ticket_times", "UPDATE tickets SET confirmed_at = confirmed_at - 1 WHERE seq = 3"),
    ("a hold made longer", "ticket_times", "UPDATE tickets SET expires_at = expires_at + 60000 WHERE seq = 1"),
    ("a check-in by hand", "ticket_times", "UPDATE tickets SET checked_in_at = 9, checked_in_spots = 1 WHERE seq = 3"),
    (
        "a ticket given back by who had come in",
        "transition",
        "UPDATE tickets SET status = 'cancelled', cancelled_at = 9, cancel_reason = 'holder' WHERE seq = 7;
         UPDATE events SET available_spots = available_spots + 1, changes = changes + 1 WHERE id = 3;
         INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
             SELECT 3, changes, 9, 'cancelled', 7, 1, available_spots, 1 FROM events WHERE id = 3",
    ),
    (
        "a confirmation after the hold",
        "transition",
        "UPDATE tickets SET confirmed_at = expires_at WHERE seq = 3;
         UPDATE ledger SET at = (SELECT expires_at FROM tickets WHERE seq = 3)
         WHERE kind = 'confirmed' AND ticket_seq = 3",
    ),
    (
        "a hold ended before its time",
        "transition",
        "UPDATE ledger SET at = at - 600000 WHERE kind = 'expired'",
    ),
    (
        "a second ticket for an address",
        "live_twice",
        "DROP INDEX tickets_live; UPDATE tickets SET email = 'B@example.com', email_folded = 'b@example.com' WHERE seq = 2",
    ),
    ("a dropped ledger row", "ledger_gap", "DELETE FROM ledger WHERE event_id = 1 AND n = 2"),
    ("the last ledger row dropped", "ticket_state", "DELETE FROM ledger WHERE event_id = 2 AND n = (SELECT max(n) FROM ledger WHERE event_id = 2)"),
    ("the ledger dropped", "missing", "DELETE FROM ledger"),
    ("a sale that takes no spot", "ledger_spots", "UPDATE ledger SET spots = 0 WHERE event_id = 1 AND n = (SELECT min(n) FROM ledger WHERE event_id = 1 AND kind = 'reserved')"),
    ("an expiry that returns two", "ledger_spots", "UPDATE ledger SET spots = 2 WHERE kind = 'expired'"),
    ("an unheard-of kind", "ledger_kind", "UPDATE ledger SET kind = 'given' WHERE event_id = 1 AND n = 3"),
    ("a sale of no ticket", "ledger_kind", "UPDATE ledger SET ticket_seq = NULL WHERE event_id = 1 AND n = 2"),
    ("a ledger row moved to another event", "transition", "UPDATE ledger SET event_id = 2, n = 99 WHERE kind = 'expired'"),
    ("a confirmation told as an expiry", "ticket_state", "UPDATE ledger SET kind = 'expired', spots = 1 WHERE event_id = 1 AND kind = 'confirmed'"),
    (
        "a ticket sold twice",
        "transition",
        "INSERT INTO ledger SELECT event_id, 99, at, kind, ticket_seq, spots, available_spots, party, payment_ref, waiting FROM ledger WHERE event_id = 1 AND n = 2",
    ),
    (
        "an event put on sale twice",
        "event_start",
        "INSERT INTO ledger (event_id, n, at, kind, spots, available_spots) VALUES (1, 99, 0, 'created', 1, 1);
         UPDATE events SET total_spots = total_spots + 1, available_spots = available_spots + 1 WHERE id = 1",
    ),
    ("a sale before the event", "event_start", "UPDATE ledger SET kind = 'confirmed' WHERE event_id = 1 AND n = 1"),
    ("a cancelled event put on sale again", "event_status", "UPDATE events SET status = 'on_sale' WHERE id = 4"),
    ("a check-in undone", "ticket_times", "UPDATE tickets SET checked_in_at = NULL, checked_in_spots = 0 WHERE seq = 7"),
    ("a second check-in", "ticket_state", "INSERT INTO ledger SELECT event_id, 99, at, kind, ticket_seq, spots, available_spots, party, payment_ref, waiting FROM ledger WHERE kind = 'checked_in'"),
    ("a spot returned twice", "transition", "INSERT INTO ledger SELECT event_id, 99, at, kind, ticket_seq, spots, available_spots + 1, party, payment_ref, waiting FROM ledger WHERE kind = 'cancelled' AND event_id = 3;
         UPDATE events SET available_spots = available_spots + 1 WHERE id = 3"),
    ("a change of capacity left out", "event_capacity", "UPDATE ledger SET spots = 0 WHERE kind = 'changed'"),
    ("the organizer's cancellation in an event on sale", "ticket_state", "UPDATE tickets SET cancel_reason = 'organizer' WHERE seq = 6"),
    ("an event changed after its end", "transition", "INSERT INTO ledger (event_id, n, at, kind, spots, available_spots) VALUES (4, 99, 0, 'changed', 0, 2)"),
    ("a key of no ticket", "key_without_ticket", "UPDATE idempotency_keys SET ticket_seq = 99"),
    ("two keys for one sale", "key_twice", "INSERT INTO idempotency_keys (key_digest, request, body, ticket_seq) SELECT zeroblob(16), request, body, ticket_seq FROM idempotency_keys"),
    (
        "one key twice",
        "key_twice",
        "CREATE TABLE k AS SELECT * FROM idempotency_keys; DROP TABLE idempotency_keys; ALTER TABLE k RENAME TO idempotency_keys;
         INSERT INTO idempotency_keys SELECT * FROM idempotency_keys",
    ),
    ("a balance that does not follow", "running_sum", "UPDATE ledger SET available_spots = available_spots + 1 WHERE event_id = 1 AND n = 3"),
    ("a line counted wrongly", "line", "UPDATE line_blocks SET waiting = waiting + 1"),
    ("somebody put out of the line", "event_balance", "UPDATE events SET waiting = waiting - 1 WHERE id = 5"),
    ("a ledger row that counts the line wrongly", "running_sum", "UPDATE ledger SET waiting = waiting + 1 WHERE event_id = 5 AND n = 4"),
    ("a place further to the front", "line", "UPDATE tickets SET place = 9 WHERE seq = 10; UPDATE tickets SET place = 1 WHERE seq = 11; UPDATE tickets SET place = 2 WHERE seq = 10"),
    ("another sales window than the ledger's", "line", "UPDATE events SET sales_close_at = 9000000000000 WHERE id = 5"),
    ("a larger party in line", "ticket_state", "UPDATE tickets SET spots = 3 WHERE seq = 12"),
    ("an offer made by hand", "ticket_state", "UPDATE tickets SET status = 'reserved', offered_at = created_at, expires_at = created_at + 60000 WHERE seq = 12"),
    ("an offer dated back", "ticket_times", "UPDATE tickets SET offered_at = offered_at - 1 WHERE seq = 10"),
    (
        "an offer to the wrong one",
        "line",
        "UPDATE ledger SET ticket_seq = 11 WHERE event_id = 5 AND kind = 'offered'",
    ),
    (
        "a spot that stood empty while somebody waited",
        "line",
        "UPDATE ledger SET kind = 'changed', ticket_seq = NULL, party = NULL, spots = 0, available_spots = 1, waiting = 3 WHERE event_id = 5 AND kind = 'offered'",
    ),
    ("another payment", "ticket_state", "UPDATE tickets SET payment_ref = 'pay_2' WHERE seq = 3"),
    ("a party made smaller by hand", "ticket_state", "UPDATE tickets SET spots = 1 WHERE seq = 9"),
    ("changes counted wrongly", "event_balance", "UPDATE events SET changes = changes + 1 WHERE id = 1"),
    ("a ledger row typed by hand", "event_balance", "INSERT INTO ledger (event_id, n, at, kind, spots, available_spots) SELECT id, changes + 1, 0, 'changed', 0, available_spots FROM events WHERE id = 1"),
    ("a live ticket in a cancelled event", "transition", "DELETE FROM ledger WHERE event_id = 4 AND kind = 'cancelled'"),
    ("a key of no event", "key_without_ticket", "UPDATE idempotency_keys SET ticket_seq = NULL, event_id = 99"),
    ("a guard taken away", "schema", "DROP INDEX tickets_live"),
    (
        "a guard weakened",
        "schema",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'BETWEEN 0 AND', 'BETWEEN -9 AND') WHERE name = 'events'",
    ),
    (
        "a trigger that sells by itself",
        "schema",
        "CREATE TRIGGER gift AFTER UPDATE ON events BEGIN UPDATE events SET available_spots = 1 WHERE id = 1; END",
    ),
];

/// Sells event 2's last spot and two more.
fn oversell(db: &Connection, is_hidden: bool) {
    for n in 16..=18 {
        let end = if is_hidden {
            "'cancelled', 0, 5, 5, 'expired'"
        } else {
            "'reserved', 0, 5, NULL, NULL"
        };
        let id = format!("randomblob(16), 2, 'x{n}@b', 'x{n}@b'");
        db.execute(&format!("{A_TICKET} ({n}, {id}, {end})"), [])
            .unwrap();
        enter(db, 0, n, "reserved", -1);
    }
    if is_hidden {
        (16..=18).for_each(|n| enter(db, 5, n, "expired", 1));
    }
}

/// A row of event 2, which follows it.
fn enter(db: &Connection, at: i64, ticket_seq: i64, kind: &str, spots: i64) {
    let sql = "UPDATE events SET available_spots = available_spots + ?, changes = changes + 1
               WHERE id = 2";
    db.execute(sql, [spots]).unwrap();
    let sql =
        "INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
               SELECT id, changes, ?, ?, ?, ?, available_spots, 1
               FROM events WHERE id = 2";
    db.execute(sql, params![at, kind, ticket_seq, spots])
        .unwrap();
}

/// The holder of ticket 5 had a second one for a while.
fn hold_two_for_a_while(db: &Connection) {
    let id = "randomblob(16), 2, 'A@EXAMPLE.com', 'a@example.com'";
    let sql = format!("{A_TICKET} (16, {id}, 'cancelled', 0, 5, 5, 'expired')");
    db.execute(&sql, []).unwrap();
    enter(db, 0, 16, "reserved", -1);
    enter(db, 5, 16, "expired", 1);
}

fn sound_file() -> (TempDir, PathBuf) {
    let clock = FrozenClock::new();
    let flags = ["--hold", "60s", "--sweep", "100ms"];
    let builder = Server::builder().rate_limit_off().args(clock.flags());
    let server = builder.args(flags).start();
    let event = server.create_event("Harbour walk", 5);
    sell(&server, event, "late@example.com");
    clock.advance(60_000);
    let swept = "SELECT count(*) FROM ledger WHERE kind = 'expired'";
    let is_swept = || server.db().query_row(swept, [], |row| row.get(0)) == Ok(1);
    assert!(wait_until(PATIENCE, is_swept), "{}", server.log());
    let event_2 = server.create_event("Night walk", 2);
    sell(&server, event, "c@example.com");
    let confirmed = sell(&server, event, "b@example.com");
    server.confirm(&confirmed).expect_status(200);
    register_with_key(&server, event, "d@example.com", "key-1").expect_status(201);
    let other = sell(&server, event_2, "a@example.com");
    server.confirm(&other).expect_status(200);
    furnish_what_comes_after_the_sale(&server);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sound.db");
    std::fs::copy(server.db_path(), &file).unwrap();
    (folder, file)
}

/// Event 3: ticket 6 was given back, 7 has come in, and the capacity was raised. Event 4 was called
/// off with ticket 8.
fn furnish_what_comes_after_the_sale(server: &Server) {
    let event = server.create_event("Matinee", 4);
    let given_back = sell(server, event, "a@example.com");
    let post = |path: &str, role: &str| server.post(path, role, "{}").expect_status(200);
    post(&format!("/tickets/{given_back}/cancel"), "user");
    let guest = sell(server, event, "b@example.com");
    server.confirm(&guest).expect_status(200);
    post(&format!("/tickets/{guest}/check-in"), "organizer");
    let organizer = [ORGANIZER, JSON];
    let path = format!("/events/{event}");
    send(
        server,
        "PATCH",
        &path,
        &organizer,
        Some(r#"{"total_spots":6}"#),
    )
    .expect_status(200);
    let called_off = server.create_event("Rained off", 2);
    sell(server, called_off, "a@example.com");
    post(&format!("/events/{called_off}/cancel"), "organizer");
    furnish_a_line(server);
}

/// Event 5: ticket 9 is for three and gave back one, which went to the first of the line; 11 and 12
/// (two) wait.
fn furnish_a_line(server: &Server) {
    let event = server.create_event("Premiere", 3);
    let post = |path: &str, body: &str| server.post(path, "user", body);
    let register = |email: &str, spots: i64| {
        let body = format!(r#"{{"email":"{email}","spots":{spots},"wait":true}}"#);
        post(&format!("/events/{event}/register"), &body).text("ticket_id")
    };
    let party = register("party@example.com", 3);
    register("first@example.com", 1);
    register("second@example.com", 1);
    register("third@example.com", 2);
    post(&format!("/tickets/{party}/cancel"), r#"{"spots":1}"#).expect_status(200);
}

/// The names of what `verify` says is violated in a copy of the file, tampered with.
fn caught(sound: &Path, tamper: impl FnOnce(&Connection)) -> BTreeSet<String> {
    let copy = sound.with_file_name("tampered.db");
    std::fs::copy(sound, &copy).unwrap();
    let db = Connection::open(&copy).unwrap();
    let triggers: Vec<(String, String)> = db
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &triggers {
        db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    db.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    tamper(&db);
    for (_, sql) in &triggers {
        db.execute_batch(sql).unwrap();
    }
    drop(db);
    let report = verify(&copy);
    let violations = report["violations"].as_array().expect("an array");
    let names = violations
        .iter()
        .map(|v| v["check"].as_str().expect("a name").to_owned());
    names.collect()
}

#[test]
fn each_tampering_is_caught_by_name() {
    let (_folder, sound) = sound_file();
    assert_eq!(
        caught(&sound, |_| {}),
        BTreeSet::new(),
        "guards off and on again"
    );
    let mut missed = Vec::new();
    let mut try_it = |what: &str, check: &str, tamper: &dyn Fn(&Connection)| {
        let names = caught(&sound, tamper);
        if !names.contains(check) {
            missed.push(format!("{what}: not {check}, but {names:?}"));
        }
    };
    for (what, check, sql) in TAMPERINGS {
        try_it(what, check, &|db| {
            db.execute_batch(sql)
                .unwrap_or_else(|e| panic!("{what}: {e}"))
        });
    }
    try_it("oversold", "running_sum", &|db| oversell(db, false));
    try_it("oversold for a moment", "running_sum", &|db| {
        oversell(db, true)
    });
    try_it(
        "two tickets for a while",
        "live_twice",
        &hold_two_for_a_while,
    );
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn damage_to_any_page_is_caught() {
    let (_folder, sound) = sound_file();
    let whole = std::fs::read(&sound).unwrap();
    let damaged = sound.with_file_name("damaged.db");
    let mut missed = Vec::new();
    for page in 1..whole.len() / PAGE {
        let mut bytes = whole.clone();
        // The header of a b-tree page: its kind, and where its cells are.
        bytes[page * PAGE..page * PAGE + 8].copy_from_slice(&[0x55; 8]);
        std::fs::write(&damaged, &bytes).unwrap();
        let run = run(&["verify", damaged.to_str().unwrap()], &[]);
        match run.status.code() {
            Some(1) if !run.stderr.is_empty() => {}
            _ => missed.push((page + 1, run)),
        }
    }
    assert!(
        missed.is_empty(),
        "pages {missed:?} of {}",
        whole.len() / PAGE
    );
}
