//! `--auth key`: keys made on the command line open what they should and nothing else, on every
//! route that there is, at once.

use super::contract_support::{JSON, NO_TICKET, Run, assert_problem, run, send};
use crate::support::{Client, PATIENCE, Response, Server, fresh_source};
use rusqlite::types::Value;
use std::sync::mpsc;

pub const EVENT: &str = r#"{"name":"Harbour walk","total_spots":5}"#;
/// They say nothing about what is on sale, and monitors have no keys.
const KEYLESS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

pub fn key_command(server: &Server, args: &[&str]) -> Run {
    let db = server.db_path().to_str().expect("a UTF-8 path");
    let args = [&["key"], args, &["--db", db]].concat();
    run(&args, &[])
}

/// A new key for this role.
#[track_caller]
pub fn add(server: &Server, role: &str) -> String {
    let made = key_command(server, &["add", "--role", role, "--name", "Box office"]);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(made.stdout.lines().count(), 1, "{made:?}");
    made.stdout.trim().to_owned()
}

#[track_caller]
fn revoke(server: &Server, key: &str) {
    let id = key.split('_').nth(1).expect("an id");
    let revoked = key_command(server, &["revoke", id]);
    assert!(revoked.status.success(), "{revoked:?}");
}

pub fn keyed() -> Server {
    Server::builder()
        .rate_limit_off()
        .args(["--auth", "key"])
        .start()
}

pub fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[track_caller]
pub fn call(server: &Server, key: &str, method: &str, path: &str, body: Option<&str>) -> Response {
    let credentials = bearer(key);
    let headers = [("Authorization", credentials.as_str()), JSON];
    send(server, method, path, &headers, body)
}

#[track_caller]
pub fn create(server: &Server, key: &str) -> i64 {
    let event = call(server, key, "POST", "/events", Some(EVENT)).expect_status(201);
    event.json()["id"].as_i64().unwrap()
}

#[track_caller]
fn sell(server: &Server, key: &str, event: i64, email: &str) -> String {
    let path = format!("/events/{event}/register");
    let body = format!(r#"{{"email":"{email}"}}"#);
    let sold = call(server, key, "POST", &path, Some(&body)).expect_status(201);
    sold.text("ticket_id")
}

#[track_caller]
fn assert_unauthorized(response: &Response, what: &str) {
    assert_eq!(response.status, 401, "{what}: {response:?}");
    let challenge = response.header("WWW-Authenticate").unwrap_or_default();
    assert!(
        challenge.starts_with("Bearer realm=\"lastseat\""),
        "{what}: {challenge}"
    );
    if !response.body.is_empty() {
        assert_problem(response, 401, "unauthorized");
    }
}

/// Everything that a request could change.
fn contents(server: &Server) -> Vec<Vec<Value>> {
    let db = server.db();
    let mut all = Vec::new();
    for table in [
        "events",
        "tickets",
        "ledger",
        "idempotency_keys",
        "api_keys",
    ] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row| (0..columns).map(|n| row.get(n)).collect();
        let rows = statement.query_map([], row).unwrap();
        all.extend(rows.collect::<Result<Vec<_>, _>>().unwrap());
    }
    all
}

/// Method, path and role of every endpoint, as the server's own index tells them.
fn endpoints(server: &Server) -> Vec<(String, String, String)> {
    let index = send(server, "GET", "/", &[], None).expect_status(200).body;
    let rows = index.lines().skip_while(|line| !line.starts_with("GET"));
    let rows = rows.take_while(|line| !line.is_empty());
    rows.map(|row| {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let [method, path, role] = cells[..] else {
            panic!("no endpoint: {row:?}");
        };
        (method.to_owned(), path.to_owned(), role.to_owned())
    })
    .collect()
}

/// A server with an organizer and an application that sells.
struct House {
    server: Server,
    organizer: String,
    user: String,
}

impl House {
    fn new() -> Self {
        let server = keyed();
        let (organizer, user) = (add(&server, "organizer"), add(&server, "user"));
        House {
            server,
            organizer,
            user,
        }
    }

    /// A request that this endpoint would grant to whoever may make it.
    fn request(&self, path: &str) -> (String, Option<&'static str>) {
        let event = create(&self.server, &self.organizer);
        let id = if path.starts_with("/tickets/") {
            let ticket = sell(&self.server, &self.user, event, "ada@example.com");
            if path.ends_with("/check-in") || path.ends_with("/qr.svg") {
                let confirm = format!("/tickets/{ticket}/confirm");
                call(&self.server, &self.user, "POST", &confirm, None).expect_status(200);
            }
            ticket
        } else if path.starts_with("/problems/") {
            "sold-out".to_owned()
        } else {
            event.to_string()
        };
        let body = match path {
            "/events" => Some(EVENT),
            "/events/{id}" => Some(r#"{"name":"Another walk"}"#),
            "/events/{id}/register" => Some(r#"{"email":"mallory@example.com"}"#),
            _ => None,
        };
        (path.replace("{id}", &id), body)
    }
}

#[test]
fn no_route_lets_a_wrong_missing_revoked_or_foreign_key_do_anything() {
    let house = House::new();
    let server = &house.server;
    let (stranger, fired) = (add(server, "organizer"), add(server, "organizer"));
    let fired_seller = add(server, "user");
    revoke(server, &fired);
    revoke(server, &fired_seller);
    let (rest, last) = house.organizer.split_at(house.organizer.len() - 1);
    let forged = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    let endpoints = endpoints(server);
    for (method, pattern, role) in &endpoints {
        let (path, body) = house.request(pattern);
        let body = body.filter(|_| method != "GET");
        let what = format!("{method} {pattern}");
        let before = contents(server);
        let with = |headers: &[(&str, &str)]| {
            let headers = [headers, &[JSON]].concat();
            send(server, method, &path, &headers, body)
        };
        let keyless = KEYLESS.contains(&pattern.as_str());
        for wrong in [
            bearer(&forged),
            bearer(&fired),
            bearer(&fired_seller),
            bearer("lastseat_99_aa"),
            bearer("lastseat_-1_aa"),
            bearer("lastseat_1_"),
            bearer(""),
            house.organizer.clone(),
            format!("Basic {}", house.organizer),
            "Bearer".to_owned(),
        ] {
            let response = with(&[("Authorization", &wrong)]);
            match keyless {
                true => assert_ne!(response.status, 401, "{what}"),
                false => assert_unauthorized(&response, &what),
            }
        }
        let organizer = bearer(&house.organizer);
        let twice = [("Authorization", organizer.as_str()); 2];
        if !keyless {
            assert_unauthorized(&with(&twice), &what);
        }
        if role == "anyone" {
            assert_ne!(with(&[]).status, 401, "{what}");
            continue;
        }
        assert_unauthorized(&with(&[]), &what);
        assert_unauthorized(&with(&[("X-Role", "admin")]), &what);
        let wrong_role = match role.as_str() {
            "organizer" => &house.user,
            _ => &house.organizer,
        };
        let response = with(&[("Authorization", &bearer(wrong_role)), ("X-Role", "admin")]);
        assert_problem(&response, 403, "forbidden");
        assert_eq!(response.json()["required_role"], role.as_str(), "{what}");
        if role == "organizer" && pattern.contains("{id}") {
            let response = with(&[("Authorization", &bearer(&stranger))]);
            assert_eq!(response.status, 404, "{what}: {response:?}");
        }
        assert_eq!(contents(server), before, "{what} changed something");
        // What was refused all along would have been granted to the right key.
        let right = match role.as_str() {
            "organizer" => &house.organizer,
            _ => &house.user,
        };
        let response = with(&[("Authorization", &bearer(right))]);
        assert!(response.status < 300, "{what}: {response:?}");
    }
    assert!(endpoints.len() >= 14, "only {} endpoints", endpoints.len());
}

#[test]
fn keys_come_and_go_while_the_server_runs_and_while_it_sells() {
    let server = keyed();
    let (organizer, keeper) = (add(&server, "organizer"), add(&server, "user"));
    let event = create(&server, &organizer);
    // Dropped at the end of the sale, also by a failed assertion.
    let (selling, sold) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (server, keeper) = (&server, &keeper);
        let reader = scope.spawn(move || {
            let mut asked = 0;
            while sold.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let path = format!("/tickets/{NO_TICKET}");
                assert_eq!(call(server, keeper, "GET", &path, None).status, 404);
                asked += 1;
            }
            asked
        });
        let selling = selling;
        for n in 0..5 {
            let seller = add(server, "user");
            sell(server, &seller, event, &format!("guest-{n}@example.com"));
            revoke(server, &seller);
            let path = format!("/events/{event}/register");
            let body = r#"{"email":"late@example.com"}"#;
            let refused = call(server, &seller, "POST", &path, Some(body));
            assert_unauthorized(&refused, "a key revoked a moment ago");
        }
        drop(selling);
        assert!(reader.join().unwrap() > 0);
    });
    server.assert_invariants();
}

#[test]
fn attempts_with_unknown_keys_count_against_the_rate_limit() {
    let server = Server::start(&["--auth", "key"]);
    let user = bearer(&add(&server, "user"));
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let path = format!("/tickets/{}", NO_TICKET);
    for n in 0..5 {
        let guess = bearer(&format!("lastseat_1_{n}"));
        let response = client.request("GET", &path, &[("Authorization", &guess)], None);
        assert_unauthorized(&response, "a guess");
    }
    let right = client.request("GET", &path, &[("Authorization", &user)], None);
    assert_problem(&right, 429, "rate_limited");
}

#[test]
fn keys_let_the_server_listen_to_others() {
    let server = Server::builder()
        .listen("0.0.0.0:0")
        .args(["--auth", "key"])
        .start();
    assert!(server.ready_line().contains("0.0.0.0"));
}

#[test]
fn without_auth_key_a_bearer_header_is_nothing() {
    let server = Server::builder().rate_limit_off().start();
    let headers = [
        ("Authorization", "Bearer whatever"),
        ("X-Role", "organizer"),
    ];
    send(&server, "POST", "/events", &headers, Some(EVENT)).expect_status(201);
    let only_key = [("Authorization", "Bearer whatever")];
    let refused = send(&server, "POST", "/events", &only_key, Some(EVENT));
    assert_problem(&refused, 403, "forbidden");
}

#[test]
fn a_database_without_keys_gets_them_and_keeps_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let by_role = Server::builder().db(&db).start();
    let event = by_role.create_event("Harbour walk", 5);
    by_role.sigterm();
    assert!(by_role.wait(PATIENCE).success());
    let server = Server::builder()
        .db(&db)
        .rate_limit_off()
        .args(["--auth", "key"])
        .start();
    let path = format!("/events/{event}");
    let (organizer, admin) = (add(&server, "organizer"), add(&server, "admin"));
    assert_eq!(call(&server, &organizer, "GET", &path, None).status, 404);
    call(&server, &admin, "GET", &path, None).expect_status(200);
}
#[test]
fn a_key_is_looked_at_after_the_route_and_before_the_body_and_reach_after_it() {
    let server = keyed();
    let (organizer, stranger) = (add(&server, "organizer"), add(&server, "organizer"));
    let user = add(&server, "user");
    let path = format!("/events/{}", create(&server, &organizer));
    let change = |path: &str, method: &str, key: &str, media_type: &str, body: &str| {
        let credentials = bearer(key);
        let headers = [
            ("Authorization", credentials.as_str()),
            ("Content-Type", media_type),
        ];
        send(&server, method, path, &headers, Some(body))
    };
    let json = "application/json";
    for (response, status, code) in [
        (
            change("/nowhere", "PATCH", "x", "text/plain", "{"),
            404,
            "route_not_found",
        ),
        (
            change(&path, "DELETE", "x", "text/plain", "{"),
            405,
            "method_not_allowed",
        ),
        (
            change(&path, "PATCH", "x", "text/plain", "{"),
            401,
            "unauthorized",
        ),
        (
            change(&path, "PATCH", &user, "text/plain", "{"),
            403,
            "forbidden",
        ),
        (
            change(&path, "PATCH", &stranger, "text/plain", "{"),
            415,
            "unsupported_media_type",
        ),
        (
            change(&path, "PATCH", &stranger, json, "{"),
            400,
            "invalid_json",
        ),
        (
            change(&path, "PATCH", &stranger, json, r#"{"name":7}"#),
            400,
            "invalid_request",
        ),
        (
            change(&path, "PATCH", &stranger, json, r#"{"total_spots":1}"#),
            404,
            "event_not_found",
        ),
    ] {
        assert_problem(&response, status, code);
    }
    let own = change(&path, "PATCH", &organizer, json, r#"{"total_spots":1}"#);
    own.expect_status(200);
}
