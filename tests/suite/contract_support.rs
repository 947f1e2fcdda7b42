//! What the tests of the HTTP contract share: servers as they need them, requests with any
//! header, and the check that a refusal is a problem in every respect.

use crate::support::{Client, FrozenClock, PATIENCE, Response, Server, wait_until};
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, ExitStatus, Stdio};

pub const ORGANIZER: (&str, &str) = ("X-Role", "organizer");
pub const USER: (&str, &str) = ("X-Role", "user");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// An identifier of the right form that no server ever gave out.
pub const NO_TICKET: &str = "00000000-0000-4000-8000-000000000000";

/// A server without a rate limit, for everything that isn't about it.
pub fn unlimited() -> Server {
    Server::builder().rate_limit_off().start()
}

/// A server whose time stands still, which never sweeps by itself and has no rate limit.
pub fn frozen(flags: &[&str]) -> (FrozenClock, Server) {
    let clock = FrozenClock::new();
    let server = Server::builder()
        .rate_limit_off()
        .args(clock.flags())
        .args(["--sweep", "1h"])
        .args(flags)
        .start();
    (clock, server)
}

/// One request on a connection, and from an address, of its own.
#[track_caller]
pub fn send(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Response {
    ask(&mut server.client(), method, path, headers, body)
}

/// One request on this connection. Interim answers (1xx) are passed over, as every client must
/// (RFC 9110, 15.2).
#[track_caller]
pub fn ask(
    client: &mut Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Response {
    let response = client.request(method, path, headers, body);
    past_interim(client, response)
}

pub fn past_interim(client: &mut Client, mut response: Response) -> Response {
    while (100..200).contains(&response.status) {
        response = client.read_response();
    }
    response
}

/// A registration with an `Idempotency-Key` header.
#[track_caller]
pub fn register_with_key(server: &Server, event: i64, email: &str, key: &str) -> Response {
    let path = format!("/events/{event}/register");
    let body = format!(r#"{{"email":"{email}"}}"#);
    let headers = [USER, JSON, ("Idempotency-Key", key)];
    send(server, "POST", &path, &headers, Some(&body))
}

/// Sells a ticket and returns its id.
#[track_caller]
pub fn sell(server: &Server, event: i64, email: &str) -> String {
    let response = server.register(event, email).expect_status(201);
    response.text("ticket_id")
}

/// A PATCH by the organizer.
#[track_caller]
pub fn change_event(server: &Server, event: i64, body: &str) -> Response {
    let path = format!("/events/{event}");
    send(server, "PATCH", &path, &[ORGANIZER, JSON], Some(body))
}

#[track_caller]
pub fn cancel_event(server: &Server, event: i64) -> Response {
    server.post(&format!("/events/{event}/cancel"), "organizer", "")
}

/// By its holder.
#[track_caller]
pub fn cancel_ticket(server: &Server, ticket: &str) -> Response {
    server.post(&format!("/tickets/{ticket}/cancel"), "user", "")
}

#[track_caller]
pub fn check_in(server: &Server, ticket: &str) -> Response {
    server.post(&format!("/tickets/{ticket}/check-in"), "organizer", "")
}

/// Sells a ticket, confirms it and returns its id.
#[track_caller]
pub fn sell_for_good(server: &Server, event: i64, email: &str) -> String {
    let ticket = sell(server, event, email);
    server.confirm(&ticket).expect_status(200);
    ticket
}

/// The kinds of an event's ledger rows in order, with what each did to the available spots.
pub fn ledger(server: &Server, event: i64) -> Vec<(String, i64)> {
    let db = server.db();
    let sql = "SELECT kind, spots FROM ledger WHERE event_id = ?1 ORDER BY n";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([event], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Sells so many tickets of a new event at once, by statements of its own: to buy them would take
/// the test's time.
pub fn fill(server: &Server, event: i64, tickets: i64) {
    fill_until(server, event, tickets, 9_000_000_000_000);
}

/// The same, as holds that end at that time.
pub fn fill_until(server: &Server, event: i64, tickets: i64, expires_at: i64) {
    if tickets > 0 {
        crate::support::fill::holds(server.db_path(), event, tickets, expires_at);
    }
}

pub fn get_ticket(server: &Server, ticket_id: &str) -> Value {
    let response = server.get(&format!("/tickets/{ticket_id}"));
    response.expect_status(200).json()
}

/// Milliseconds since the Unix epoch, as clients see them.
pub fn rfc3339(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).expect("in range");
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What the server's own clock says, give or take.
pub fn parse_ms(time: &str) -> i64 {
    let parsed = DateTime::parse_from_rfc3339(time).unwrap_or_else(|e| panic!("{e}: {time:?}"));
    assert_eq!(rfc3339(parsed.timestamp_millis()), time, "another form");
    parsed.timestamp_millis()
}

pub fn members(object: &Value) -> BTreeSet<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

pub fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.char_indices().all(|(at, c)| {
            if dashes.contains(&at) {
                c == '-'
            } else {
                c.is_ascii_hexdigit() && !c.is_ascii_uppercase()
            }
        })
}

pub fn media_type(response: &Response) -> &str {
    let value = response.header("Content-Type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether this is the refusal expected, in the form that every refusal has.
#[track_caller]
pub fn assert_problem(response: &Response, status: u16, code: &str) {
    let got = (response.status, response.code());
    assert_eq!(got, (status, code.to_owned()), "unexpected: {response:?}");
    assert_eq!(
        media_type(response),
        "application/problem+json",
        "{response:?}"
    );
    let problem = response.json();
    let kind = format!("/problems/{}", code.replace('_', "-"));
    assert_eq!(problem["type"], kind, "{response:?}");
    assert_eq!(problem["status"], status, "{response:?}");
    let id = response.header("X-Request-Id").expect("a request id");
    assert_eq!(problem["request_id"], id, "{response:?}");
    for member in ["title", "detail"] {
        let text = problem[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "no {member}: {response:?}");
        assert_harmless(text);
    }
}

/// What a client is told holds nothing of the inside: no statement, no path, no stack.
#[track_caller]
pub fn assert_harmless(text: &str) {
    let inside = [
        "SELECT",
        "INSERT",
        "UPDATE ",
        "UNIQUE",
        "CHECK",
        "sqlite",
        "SQLite",
        "rusqlite",
        "serde",
        "panicked",
        ".rs",
        "events.db",
    ];
    for word in inside {
        assert!(!text.contains(word), "tells of {word:?}: {text}");
    }
}

/// Whether the detail names the member, which is what helps a person fix it.
#[track_caller]
pub fn assert_names(response: &Response, member: &str) {
    let detail = response.text("detail");
    assert!(detail.contains(member), "{member:?} is not in {detail:?}");
}

/// A header's comma-separated list as a set.
pub fn list(response: &Response, header: &str) -> BTreeSet<String> {
    let values = response.header_all(header).join(",");
    let items = values.split(',').map(|item| item.trim().to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

/// How a program that was run to its end did.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program with these arguments and variables until it ends by itself.
#[track_caller]
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |name: &str| std::fs::File::create(folder.path().join(name)).expect("creates");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("UTF-8");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lastseat"))
        .args(args)
        .envs(env.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(open("stdout"))
        .stderr(open("stderr"))
        .spawn()
        .expect("spawns");
    let mut status = None;
    wait_until(PATIENCE, || {
        status = child.try_wait().expect("asks for the status");
        status.is_some()
    });
    let _ = child.kill();
    let _ = child.wait();
    let status = status.unwrap_or_else(|| panic!("{args:?} {env:?} runs on: {}", read("stdout")));
    Run {
        status,
        stdout: read("stdout"),
        stderr: read("stderr"),
    }
}
