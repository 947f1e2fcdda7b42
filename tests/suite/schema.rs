//! The schema defends itself: wrong statements typed by hand fail, whatever the program does. What
//! SQLite lets through while its switches are as the sqlite3 shell has them, the next sale or
//! `lastseat verify` finds.

use super::contract_support::{register_with_key, sell, unlimited};
use crate::support::{PATIENCE, Server, verify};
use rusqlite::Connection;

/// A database with one event (id 1, 5 spots) and four tickets: seq 1 reserved, 2 confirmed,
/// 3 cancelled from reserved, 4 cancelled from confirmed.
fn furnished() -> (Server, Connection) {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    assert_eq!(event, 1);
    register_with_key(&server, event, "reserved@example.com", "used").expect_status(201);
    for (email, is_confirmed, is_cancelled) in [
        ("confirmed@example.com", true, false),
        ("lost@example.com", false, true),
        ("returned@example.com", true, true),
    ] {
        let ticket = sell(&server, event, email);
        if is_confirmed {
            server.confirm(&ticket).expect_status(200);
        }
        if is_cancelled {
            let sql = "UPDATE tickets SET status = 'cancelled', cancelled_at = created_at + 1,
                       cancel_reason = 'holder' WHERE ticket_id = unhex(?, '-')";
            server.db().execute(sql, [&ticket]).unwrap();
        }
    }
    let db = server.db();
    // As the sqlite3 shell has it by default.
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = OFF")
        .unwrap();
    (server, db)
}

/// Every table's every row.
fn contents(db: &Connection) -> Vec<String> {
    let mut rows = Vec::new();
    for table in ["events", "tickets", "ledger", "idempotency_keys"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| {
            let values = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at));
            Ok(format!(
                "{table}: {:?}",
                values.collect::<Result<Vec<_>, _>>()?
            ))
        });
        rows.extend(read.unwrap().map(Result::unwrap));
    }
    rows
}

#[track_caller]
fn assert_all_refused(statements: &[&str]) {
    let (server, db) = furnished();
    assert_all_refused_by(&db, statements);
    drop(server);
}

/// The same with the switches as the program has them.
#[track_caller]
fn assert_all_refused_with_switches(statements: &[&str]) {
    let (server, db) = furnished();
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON")
        .unwrap();
    assert_all_refused_by(&db, statements);
    drop(server);
}

#[track_caller]
fn assert_all_refused_by(db: &Connection, statements: &[&str]) {
    let before = contents(db);
    let mut accepted = Vec::new();
    for sql in statements {
        db.execute_batch("SAVEPOINT attempt").unwrap();
        let outcome = db.execute(sql, []);
        match outcome {
            // One that touches no row proves nothing, so it fails the test as well.
            Ok(rows) => accepted.push(format!("{sql} ({rows} rows)")),
            Err(e) => assert!(is_about_the_data(&e), "not a statement: {sql}: {e}"),
        }
        db.execute_batch("ROLLBACK TO attempt; RELEASE attempt")
            .unwrap();
    }
    assert!(accepted.is_empty(), "the schema let pass: {accepted:#?}");
    assert_eq!(contents(db), before);
}

/// Each statement, typed where the switches are off, leaves a file that `verify` calls unsound by
/// one of these names.
#[track_caller]
fn assert_all_found(statements: &[(&str, &str)]) {
    let (server, db) = furnished();
    drop(db);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    let copy = server.db_path().with_extension("copy");
    for (sql, check) in statements {
        std::fs::copy(server.db_path(), &copy).unwrap();
        let db = Connection::open(&copy).unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = OFF")
            .unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
        drop(db);
        let report = verify(&copy);
        let violations = report["violations"].as_array().unwrap();
        let is_named = violations.iter().any(|v| v["check"] == *check);
        assert!(is_named, "{sql}: no {check} in {violations:#?}");
    }
}

/// A constraint or a trigger, rather than a typing mistake in this test.
fn is_about_the_data(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

#[test]
fn an_event_cannot_be_oversold_or_spoilt() {
    assert_all_refused(&[
        "UPDATE events SET available_spots = -1",
        "UPDATE events SET available_spots = 6",
        "UPDATE events SET available_spots = NULL",
        "UPDATE events SET available_spots = 'many'",
        "UPDATE events SET available_spots = 1.5",
        "UPDATE events SET total_spots = 0, available_spots = 0",
        "UPDATE events SET total_spots = -5",
        "UPDATE events SET total_spots = 1000001",
        "UPDATE events SET total_spots = available_spots - 1",
        "UPDATE events SET name = ''",
        "UPDATE events SET name = NULL",
        "UPDATE events SET status = 'sold'",
        "UPDATE events SET status = NULL",
        "UPDATE events SET hold_ms = 0",
        "UPDATE events SET hold_ms = -1",
        "UPDATE events SET starts_at = 'tomorrow'",
        "UPDATE events SET sales_open_at = 2, sales_close_at = 1",
        "UPDATE events SET id = 2",
        "UPDATE OR REPLACE events SET available_spots = -1",
        "DELETE FROM events",
    ]);
}

#[test]
fn an_event_cannot_be_put_in_wrong_or_replaced() {
    let columns = "(id, name, total_spots, available_spots, hold_ms, created_at)";
    let insert =
        |verb: &str, values: &str| format!("{verb} INTO events {columns} VALUES ({values})");
    let statements = [
        insert("INSERT", "1, 'Walk', 5, 5, 300000, 1"),
        insert("INSERT OR REPLACE", "1, 'Walk', 5, 5, 300000, 1"),
        insert("REPLACE", "1, 'Walk', 5, 5, 300000, 1"),
        insert("INSERT", "7, 'Walk', 5, 6, 300000, 1"),
        insert("INSERT", "7, 'Walk', 5, -1, 300000, 1"),
        insert("INSERT", "7, 'Walk', 0, 0, 300000, 1"),
        insert("INSERT", "7, '', 5, 5, 300000, 1"),
        insert("INSERT", "7, NULL, 5, 5, 300000, 1"),
        insert("INSERT", "7, 'Walk', 'five', 5, 300000, 1"),
        insert("INSERT", "7, 'Walk', 5, 5, 0, 1"),
        insert("INSERT", "7, 'Walk', 5, 5, 300000, 'now'"),
        insert("INSERT", "7, 'Walk', 5, 5, 300000, NULL"),
    ];
    assert_all_refused(&statements.each_ref().map(String::as_str));
}

#[test]
fn a_ticket_changes_its_status_along_the_state_machine_only() {
    let cancelled = "status = 'cancelled', cancelled_at = 9, cancel_reason = 'holder'";
    let again = format!("UPDATE tickets SET {cancelled} WHERE seq = 3");
    assert_all_refused(&[
        "UPDATE tickets SET status = 'reserved', confirmed_at = NULL WHERE seq = 2",
        "UPDATE tickets SET status = 'reserved', cancelled_at = NULL, cancel_reason = NULL
         WHERE seq = 3",
        "UPDATE tickets SET status = 'confirmed', confirmed_at = 9, cancelled_at = NULL,
         cancel_reason = NULL WHERE seq = 3",
        "UPDATE tickets SET status = 'confirmed', cancelled_at = NULL, cancel_reason = NULL
         WHERE seq = 4",
        "UPDATE tickets SET status = 'sold' WHERE seq = 1",
        "UPDATE tickets SET status = NULL WHERE seq = 1",
        "UPDATE tickets SET status = 'RESERVED' WHERE seq = 1",
        "UPDATE OR REPLACE tickets SET status = 'reserved', confirmed_at = NULL WHERE seq = 2",
        "UPDATE OR IGNORE tickets SET status = 'sold' WHERE seq = 1",
        &again,
    ]);
}

#[test]
fn a_ticket_lets_in_once() {
    let (server, db) = furnished();
    let come_in = "UPDATE tickets SET checked_in_at = ?1, checked_in_spots = ?2 WHERE seq = 2";
    db.execute(come_in, [9, 1]).unwrap();
    for again in [
        [Some(10), Some(1)],
        [None, Some(1)],
        [None, Some(0)],
        [Some(9), Some(2)],
    ] {
        let refused = db.execute(come_in, again).unwrap_err();
        assert!(is_about_the_data(&refused), "{refused}");
    }
    drop(server);
}

#[test]
fn a_tickets_times_and_reasons_fit_its_status() {
    assert_all_refused(&[
        "UPDATE tickets SET status = 'confirmed' WHERE seq = 1",
        "UPDATE tickets SET status = 'cancelled' WHERE seq = 1",
        "UPDATE tickets SET status = 'cancelled', cancelled_at = 9 WHERE seq = 1",
        "UPDATE tickets SET status = 'cancelled', cancel_reason = 'holder' WHERE seq = 1",
        "UPDATE tickets SET status = 'cancelled', cancelled_at = 9, cancel_reason = 'whim'
         WHERE seq = 1",
        "UPDATE tickets SET confirmed_at = 9 WHERE seq = 1",
        "UPDATE tickets SET confirmed_at = NULL WHERE seq = 2",
        "UPDATE tickets SET cancelled_at = 9 WHERE seq = 2",
        "UPDATE tickets SET cancel_reason = 'holder' WHERE seq = 2",
        "UPDATE tickets SET cancelled_at = NULL WHERE seq = 3",
        "UPDATE tickets SET cancel_reason = NULL WHERE seq = 3",
        "UPDATE tickets SET checked_in_at = 9, checked_in_spots = 1 WHERE seq = 1",
        "UPDATE tickets SET checked_in_at = 9, checked_in_spots = 1 WHERE seq = 3",
        "UPDATE tickets SET checked_in_at = 'noon', checked_in_spots = 1 WHERE seq = 2",
        "UPDATE tickets SET checked_in_at = 9 WHERE seq = 2",
        "UPDATE tickets SET checked_in_spots = 1 WHERE seq = 2",
    ]);
}

#[test]
fn a_party_only_grows_smaller_and_a_hold_longer() {
    assert_all_refused(&[
        "UPDATE tickets SET spots = 2 WHERE seq = 1",
        "UPDATE tickets SET spots = 0 WHERE seq = 1",
        "UPDATE tickets SET spots = NULL WHERE seq = 2",
        "UPDATE tickets SET expires_at = expires_at - 1 WHERE seq = 1",
        "UPDATE tickets SET expires_at = NULL WHERE seq = 1",
        "UPDATE tickets SET expires_at = expires_at + 1 WHERE seq = 2",
        "UPDATE tickets SET expires_at = expires_at + 1 WHERE seq = 3",
    ]);
}

#[test]
fn a_payment_is_named_once() {
    assert_all_refused(&[
        "UPDATE tickets SET payment_ref = 'pay_1' WHERE seq = 1",
        "UPDATE tickets SET payment_ref = 'pay_1' WHERE seq = 2",
        "UPDATE tickets SET payment_ref = 'pay_1' WHERE seq = 3",
        "UPDATE tickets SET status = 'confirmed', confirmed_at = 9, payment_ref = '' WHERE seq = 1",
    ]);
}

#[test]
fn a_ticket_keeps_its_identity_and_stays() {
    assert_all_refused(&[
        "UPDATE tickets SET ticket_id = zeroblob(16) WHERE seq = 1",
        "UPDATE tickets SET ticket_id = (SELECT ticket_id FROM tickets WHERE seq = 2) WHERE seq = 1",
        "UPDATE tickets SET event_id = 2 WHERE seq = 1",
        "UPDATE tickets SET email = 'thief@example.com' WHERE seq = 2",
        "UPDATE tickets SET email = upper(email) WHERE seq = 2",
        "UPDATE tickets SET email_folded = 'thief@example.com' WHERE seq = 2",
        "UPDATE tickets SET created_at = created_at - 1 WHERE seq = 1",
        "UPDATE tickets SET seq = 99 WHERE seq = 1",
        "UPDATE OR REPLACE tickets SET email = 'confirmed@example.com' WHERE seq = 1",
        "UPDATE OR REPLACE tickets SET seq = 2 WHERE seq = 1",
        "UPDATE tickets SET seq = -5 WHERE seq = 1",
        "DELETE FROM tickets",
        "DELETE FROM tickets WHERE status = 'cancelled'",
    ]);
}

/// A ticket's row, of which `values` are its seq, id, event, address, status, creation and expiry.
fn ticket(verb: &str, values: &str) -> String {
    let [seq, id, event, email, rest] = values.splitn(5, ", ").collect::<Vec<_>>()[..] else {
        panic!("not a ticket: {values}");
    };
    format!(
        "{verb} INTO tickets (seq, ticket_id, event_id, email, email_folded, status, created_at, expires_at)
         VALUES ({seq}, {id}, {event}, {email}, lower({email}), {rest})"
    )
}

#[test]
fn a_ticket_starts_as_a_hold() {
    let id = "zeroblob(16)";
    let statements = [
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', 'confirmed', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', 'cancelled', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', 'sold', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', NULL, 1, 2")),
        ticket("INSERT", &format!("9, {id}, NULL, 'a@b', 'reserved', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, NULL, 'reserved', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, '', 'reserved', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', 'reserved', 1, NULL")),
        ticket(
            "INSERT",
            &format!("9, {id}, 1, 'a@b', 'reserved', 1, 'later'"),
        ),
        ticket("INSERT", "9, NULL, 1, 'a@b', 'reserved', 1, 2"),
        ticket("INSERT", "9, zeroblob(15), 1, 'a@b', 'reserved', 1, 2"),
        ticket(
            "INSERT",
            "9, '0123456789abcdef', 1, 'a@b', 'reserved', 1, 2",
        ),
        ticket("INSERT", &format!("-5, {id}, 1, 'a@b', 'reserved', 1, 2")),
        ticket("REPLACE", &format!("-5, {id}, 1, 'a@b', 'reserved', 1, 2")),
        ticket("INSERT", &format!("9, {id}, 1, 'a@b', 'reserved', 1, 2"))
            .replace("lower(", "upper("),
    ];
    assert_all_refused(&statements.each_ref().map(String::as_str));
    let of_no_event = ticket("INSERT", &format!("9, {id}, 99, 'a@b', 'reserved', 1, 2"));
    assert_all_refused_with_switches(&[&of_no_event]);
    assert_all_found(&[(&of_no_event, "foreign_keys")]);
}

#[test]
fn a_second_live_ticket_for_an_address_is_refused() {
    let fresh = "zeroblob(16)";
    let taken = "(SELECT ticket_id FROM tickets WHERE seq = 3)";
    let of = |verb: &str, seq: i64, id: &str, email: &str| {
        ticket(
            verb,
            &format!("{seq}, {id}, 1, '{email}', 'reserved', 1, 2"),
        )
    };
    let statements = [
        of("INSERT", 9, fresh, "reserved@example.com"),
        of("INSERT", 9, fresh, "RESERVED@example.com"),
        of("INSERT", 9, fresh, "confirmed@example.com"),
        of("INSERT", 9, taken, "new@example.com"),
        of("INSERT", 1, fresh, "new@example.com"),
    ];
    assert_all_refused(&statements.each_ref().map(String::as_str));
    let replacements = [
        of("REPLACE", 9, fresh, "Confirmed@example.com"),
        of("REPLACE", 9, taken, "new@example.com"),
        of("REPLACE", 2, fresh, "new@example.com"),
    ];
    let replacements = replacements.each_ref().map(String::as_str);
    assert_all_refused_with_switches(&replacements);
    let [address, id, seq] = replacements;
    assert_all_found(&[(address, "missing"), (id, "missing"), (seq, "ticket_state")]);
}

/// A ledger row, of which `values` are its event, number, time, kind, ticket, spots and balance.
fn ledger_row(verb: &str, values: &str) -> String {
    let columns = "(event_id, n, at, kind, ticket_seq, spots, available_spots, party)";
    let ticket_seq = values.split(", ").nth(4).unwrap();
    let party = if ticket_seq == "NULL" { "NULL" } else { "1" };
    format!("{verb} INTO ledger {columns} VALUES ({values}, {party})")
}

#[test]
fn the_ledger_is_append_only() {
    let statements = [
        "UPDATE ledger SET spots = 0".to_owned(),
        "UPDATE ledger SET at = 0 WHERE n = 1".to_owned(),
        "UPDATE ledger SET event_id = 2".to_owned(),
        "UPDATE ledger SET kind = kind".to_owned(),
        "UPDATE OR REPLACE ledger SET n = 1 WHERE n = 2".to_owned(),
        "DELETE FROM ledger".to_owned(),
        "DELETE FROM ledger WHERE n = 2".to_owned(),
        ledger_row("INSERT", "1, 1, 1, 'created', NULL, 5, 5"),
        ledger_row("INSERT", "1, 99, 1, NULL, NULL, 0, 5"),
        ledger_row("INSERT", "1, 99, 1, 'nonsense', NULL, 7, 5"),
        ledger_row("INSERT", "1, 99, 1, 'changed', NULL, 'five', 5"),
        ledger_row("INSERT", "1, 99, 1, 'created', NULL, 5, 5"),
        ledger_row("INSERT", "1, 99, 1, 'reserved', NULL, -1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'reserved', 1, 1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'reserved', 1, 0, 5"),
        ledger_row("INSERT", "1, 99, 1, 'confirmed', 1, 1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'checked_in', 1, -1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'expired', 1, -1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'cancelled', 1, 2, 5"),
        ledger_row("INSERT", "1, 99, 1, 'changed', 1, 1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'event_cancelled', NULL, 1, 5"),
        ledger_row("INSERT", "1, 99, 1, 'reserved', 1, -2, 3"),
        ledger_row("INSERT", "1, 99, 1, 'reduced', 1, 2, 3"),
        ledger_row("INSERT", "1, 99, 1, 'extended', 1, 1, 3"),
        ledger_row("INSERT", "1, 99, 1, 'reserved', 1, -1, -1"),
        ledger_row("INSERT", "1, 0, 1, 'changed', NULL, 1, 5"),
        ledger_row("INSERT", "NULL, 99, 1, 'changed', NULL, 1, 5"),
    ];
    assert_all_refused(&statements.each_ref().map(String::as_str));
    let of_no_event = ledger_row("INSERT", "99, 1, 1, 'created', NULL, 5, 5");
    let replaced = ledger_row("REPLACE", "1, 1, 1, 'created', NULL, 4, 4");
    assert_all_refused_with_switches(&[&of_no_event, &replaced]);
    assert_all_found(&[(&of_no_event, "missing"), (&replaced, "running_sum")]);
}

#[test]
fn an_idempotency_key_keeps_its_answer() {
    assert_all_refused(&[
        "DELETE FROM idempotency_keys",
        "UPDATE idempotency_keys SET key_digest = zeroblob(16)",
        "UPDATE idempotency_keys SET body = '{}'",
        "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys",
        "INSERT INTO idempotency_keys (key_digest, request, body, ticket_seq)
         SELECT key_digest, request, body, ticket_seq FROM idempotency_keys",
        "INSERT INTO idempotency_keys (key_digest, request, body) VALUES (zeroblob(16), '', '')",
    ]);
    assert_all_refused_with_switches(&[
        "REPLACE INTO idempotency_keys SELECT * FROM idempotency_keys",
    ]);
}

#[test]
fn what_the_program_does_may_be_done_by_hand() {
    let (_server, db) = furnished();
    let lawful = [
        "UPDATE events SET name = 'Evening walk', hold_ms = 60000",
        "UPDATE events SET total_spots = 6, available_spots = available_spots + 1",
        "UPDATE tickets SET status = 'confirmed', confirmed_at = created_at WHERE seq = 1",
        "UPDATE tickets SET checked_in_at = 9, checked_in_spots = 1 WHERE seq = 2",
        "UPDATE tickets SET status = 'cancelled', cancelled_at = 9, cancel_reason = 'organizer'
         WHERE seq = 1",
        "INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
         VALUES (zeroblob(16), 1, 'Reserved@example.com', 'reserved@example.com', 'reserved', 1, 2)",
        "INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
         VALUES (1, 99, 1, 'reserved', 5, -1, 0, 1)",
        "UPDATE events SET status = 'cancelled'",
    ];
    for sql in lawful {
        let rows = db.execute(sql, []).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(rows, 1, "{sql}");
    }
}

#[test]
fn the_file_is_strict_and_in_wal_mode() {
    let (_server, db) = furnished();
    let mode: String = db
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let version: i64 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert!(version >= 1);
    let sql = "SELECT name FROM pragma_table_list
               WHERE schema = 'main' AND type = 'table' AND NOT strict
                     AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
    let mut statement = db.prepare(sql).unwrap();
    let lax: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(lax.is_empty(), "not STRICT: {lax:?}");
}
