//! `lastseat copy` from one file to another: every table, every column. (From and to PostgreSQL:
//! postgres.rs.)

use super::contract_support::run;
use crate::support::{Server, assert_sound};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

type Rows = Vec<Vec<Value>>;

/// All that stands in a file, but what a server notes of itself.
fn contents(path: &Path) -> BTreeMap<String, Rows> {
    let db = Connection::open(path).unwrap();
    let tables =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'readiness' ORDER BY name";
    let mut tables = db.prepare(tables).unwrap();
    let names = tables.query_map([], |row| row.get(0)).unwrap();
    names
        .map(|name| {
            let name: String = name.unwrap();
            let mut all = db
                .prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2"))
                .unwrap();
            let columns = all.column_count();
            let row = |row: &rusqlite::Row| (0..columns).map(|n| row.get(n)).collect();
            let rows = all.query_map([], row).unwrap().collect::<Result<_, _>>();
            (name, rows.unwrap())
        })
        .collect()
}

/// Each column of a sale's tables has a value somewhere, or its loss would not be seen.
#[track_caller]
fn assert_every_column_is_used(path: &Path) {
    let db = Connection::open(path).unwrap();
    for (table, rows) in contents(path) {
        let all = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        for (n, column) in all.column_names().iter().enumerate() {
            let is_used = rows.iter().any(|row| row[n] != Value::Null);
            assert!(is_used, "{table}.{column} is empty in every row");
        }
    }
}

#[test]
fn every_column_of_every_table_is_in_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["from.db", "to.db"].map(|name| folder.path().join(name));
    let [from_text, to_text] = [&from, &to].map(|path| path.to_str().expect("a UTF-8 path"));
    let server = Server::builder()
        .db(&from)
        .args(["--auth", "key"])
        .rate_limit_off()
        .start();
    add_key(from_text);
    let revoked = run(&["key", "revoke", "1", "--db", from_text], &[]);
    assert!(revoked.status.success(), "{revoked:?}");
    let bearer = format!("Bearer {}", add_key(from_text));
    let asked = Cell::new(0);
    let ask = |method: &str, path: &str, body: &str, status: u16| {
        asked.set(asked.get() + 1);
        let key = asked.get().to_string();
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Idempotency-Key", &key),
        ];
        // Buyers have none: the sale is public.
        if !path.ends_with("/register") && !path.ends_with("/confirm") && !path.ends_with("/cancel")
        {
            headers.push(("Authorization", &bearer));
        }
        let answer = server.client().request(method, path, &headers, Some(body));
        answer.expect_status(status)
    };
    let buy = |email: &str, status| {
        let body = format!(r#"{{"email":"{email}","wait":true}}"#);
        ask("POST", "/events/1/register", &body, status).text("ticket_id")
    };
    let event = r#"{"name": "Concert", "total_spots": 2, "starts_at": "2099-01-01T20:00:00Z",
        "sales_open_at": "2020-01-01T00:00:00Z", "sales_close_at": "2098-01-01T00:00:00Z",
        "hold_seconds_max": 900, "public_sale": true, "payment_url": "https://shop.example/{ticket_id}"}"#;
    ask("POST", "/events", event, 201);
    let paid = format!("/tickets/{}", buy("ada@example.com", 201));
    ask(
        "POST",
        &format!("{paid}/confirm"),
        r#"{"payment_ref": "pay_1"}"#,
        200,
    );
    ask("POST", &format!("{paid}/check-in"), "{}", 200);
    let returned = buy("bob@example.com", 201);
    // The first is offered what the other gives back, the second waits on.
    buy("cy@example.com", 202);
    buy("di@example.com", 202);
    ask("POST", &format!("/tickets/{returned}/cancel"), "{}", 200);
    ask(
        "PATCH",
        "/events/1",
        r#"{"sales_close_at": "2097-01-01T00:00:00Z"}"#,
        200,
    );
    drop(server);

    let copied = run(&["copy", from_text, to_text], &[]);
    assert!(copied.status.success(), "{copied:?}");
    assert_every_column_is_used(&from);
    assert_eq!(contents(&from), contents(&to));
    assert_sound(&to);
}

fn add_key(db: &str) -> String {
    let made = run(
        &[
            "key",
            "add",
            "--role",
            "organizer",
            "--name",
            "box office",
            "--db",
            db,
        ],
        &[],
    );
    assert!(made.status.success(), "{made:?}");
    made.stdout.trim().to_owned()
}
