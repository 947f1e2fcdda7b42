//! The log: JSON lines on standard error, one for each request, and nobody's secrets in them.

use super::contract_support::{NO_TICKET, USER, members, register_with_key, send};
use crate::support::{PATIENCE, Server, wait_until};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::mpsc;

/// The line of the request with this id, once it is there.
fn line_of(server: &Server, id: &str) -> Value {
    let mut found = None;
    wait_until(PATIENCE, || {
        let lines = server.log_lines().into_iter();
        found = lines
            .filter(|line| line["request_id"] == id)
            .find(|line| line["path"] != Value::Null);
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("no line for {id} in {}", server.log()))
}

fn ask(server: &Server, id: &str, method: &str, path: &str) -> u16 {
    send(server, method, path, &[USER, ("X-Request-Id", id)], None).status
}

#[test]
fn a_request_is_one_line_with_everything_about_it() {
    let server = Server::start(&[]);
    for (id, method, path, status) in [
        ("read", "GET", "/events", 200),
        ("missing", "GET", "/events/99", 404),
        ("head", "HEAD", "/events", 200),
        ("wrong", "DELETE", "/events", 405),
    ] {
        assert_eq!(ask(&server, id, method, path), status);
        let line = line_of(&server, id);
        let expected = [
            "client",
            "duration_us",
            "level",
            "message",
            "method",
            "path",
            "request_id",
            "status",
            "time",
        ];
        assert_eq!(members(&line), expected.into());
        assert_eq!(line["method"], method);
        assert_eq!(line["path"], path);
        assert_eq!(line["status"], status);
        assert!(line["duration_us"].as_u64().unwrap() < 60_000_000);
        let client = line["client"].as_str().unwrap();
        assert!(
            client.parse::<std::net::IpAddr>().unwrap().is_loopback(),
            "{client}"
        );
        let time = line["time"].as_str().unwrap();
        super::contract_support::parse_ms(time);
        let lines = server.log_lines();
        let lines = lines.iter().filter(|line| line["request_id"] == id);
        assert_eq!(lines.count(), 1, "more than one line for {id}");
    }
}

#[test]
fn the_client_is_the_one_behind_the_proxy() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.0/8"]);
    let headers = [
        ("X-Request-Id", "proxied"),
        ("X-Forwarded-For", "203.0.113.7"),
    ];
    send(&server, "GET", "/events", &headers, None).expect_status(200);
    assert_eq!(line_of(&server, "proxied")["client"], "203.0.113.7");
}

#[test]
fn no_line_tells_an_address_a_key_or_a_ticket() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--log-level", "info"])
        .start();
    let event = server.create_event("Secretive walk", 1);
    let sold = register_with_key(&server, event, "holder@secret.example", "secret-key-1");
    let ticket = sold.expect_status(201).text("ticket_id");
    let register = |email: &str, key: &str| register_with_key(&server, event, email, key).status;
    assert_eq!(register("holder@secret.example", "secret-key-1"), 201);
    assert_eq!(register("other@secret.example", "secret-key-1"), 422);
    assert_eq!(register("other@secret.example", "secret-key-2"), 409);
    assert_eq!(register("bad secret@secret.example", "secret-key-3"), 400);
    server.confirm(&ticket).expect_status(200);
    let mismatch = r#"{"email":"other@secret.example"}"#;
    let path = format!("/tickets/{ticket}/confirm");
    server.post(&path, "user", mismatch).expect_status(409);
    for path in [
        format!("/tickets/{ticket}"),
        format!("/tickets/{ticket}/"),
        format!("/tickets/{ticket}/nothing"),
        format!("/tickets/{}", ticket.to_uppercase()),
        format!("/ticket/{ticket}"),
        format!("/events?email=holder@secret.example&key=secret-key-1&ticket={ticket}"),
        format!("/events/{event}/holder@secret.example"),
        "/events/holder@secret.example".to_owned(),
    ] {
        ask(&server, "some", "GET", &path);
        ask(&server, "some", "DELETE", &path);
    }
    ask(&server, "the-last", "GET", "/events");
    line_of(&server, "the-last");
    let log = server.log().to_lowercase();
    for secret in ["secret.example", "secret-key", "secretive", &ticket] {
        let told: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{secret} is told in {told:#?}");
    }
}

/// Otherwise whoever mistypes an address writes a ticket's id into the log, or whatever else.
#[test]
fn an_unknown_path_is_logged_by_its_first_segment_if_that_is_known() {
    let server = Server::start(&["--rate-limit", "off"]);
    let logged = |id: &str, path: &str| {
        assert_eq!(ask(&server, id, "GET", path), 404, "{path}");
        let line = line_of(&server, id);
        assert!(!line.to_string().contains("typed"), "{line}");
        assert!(!line.to_string().contains(NO_TICKET), "{line}");
        line["path"].as_str().expect("a path").to_owned()
    };
    for (n, (path, first)) in [
        (format!("/tickets/{NO_TICKET}/typed"), "/tickets"),
        (format!("/tickets/{NO_TICKET}/confirm/typed"), "/tickets"),
        ("/tickets/typed/confirm/again".to_owned(), "/tickets"),
        (format!("/events/1/tickets/{NO_TICKET}"), "/events"),
        ("/events/typed/register/twice".to_owned(), "/events"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = logged(&format!("known-{n}"), &path);
        assert!(path.starts_with(first), "{path}");
    }
    let paths = [
        "/typed/abc",
        "/typed",
        "/ticketstyped",
        "//tickets/typed",
        "/typed/tickets",
    ];
    for (n, path) in paths.into_iter().enumerate() {
        let logged = logged(&format!("unknown-{n}"), path);
        assert_eq!(logged, "-", "{path}");
    }
}

#[test]
fn what_a_client_writes_cannot_forge_a_line() {
    let server = Server::start(&[]);
    ask(
        &server,
        "odd",
        "GET",
        "/events?x=\"},{\"level\":\"FORGED\"}\\",
    );
    ask(&server, "odd", "FORGED\"", "/events/\"FORGED\"");
    ask(&server, "last", "GET", "/events");
    line_of(&server, "last");
    for line in server.log_lines() {
        assert_ne!(line["level"], "FORGED");
        assert!(line.is_object());
    }
}

#[test]
fn the_level_decides_what_is_written() {
    let server = Server::start(&["--log-level", "off"]);
    server.create_event("Harbour walk", 5);
    server.get("/nowhere").expect_status(404);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    assert_eq!(server.log(), "");

    let server = Server::start(&["--log-level", "error"]);
    server.get("/nowhere").expect_status(404);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    assert_eq!(server.log(), "");
}

#[test]
fn a_refused_ticket_is_logged_without_its_id_but_with_its_request() {
    let server = Server::start(&[]);
    assert_eq!(
        ask(
            &server,
            "unknown-ticket",
            "GET",
            &format!("/tickets/{NO_TICKET}")
        ),
        404
    );
    let line = line_of(&server, "unknown-ticket");
    assert_eq!(line["status"], 404);
    assert!(!line.to_string().contains(NO_TICKET), "{line}");
}

/// A pipe that is full, and whose reader takes nothing for now.
const INTO_A_FULL_PIPE: &str =
    "mkfifo pipe; exec 9<>pipe; head -c 65536 /dev/zero | tr '\\0' '\\n' >&9; exec \"$@\" 2>&9";

#[test]
fn who_does_not_read_the_log_holds_up_neither_a_request_nor_the_stop() {
    for flags in [&[][..], &["--no-keeper"]] {
        let folder = tempfile::tempdir().unwrap();
        let server = start_and_fill_the_log(folder.path(), flags);
        server.sigterm();
        assert_eq!(server.wait(PATIENCE).code(), Some(0), "{flags:?}");
    }
}

#[test]
fn who_reads_the_log_again_is_told_that_lines_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let _server = start_and_fill_the_log(folder.path(), &[]);
    let pipe = BufReader::new(File::open(folder.path().join("pipe")).unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = pipe.lines().map_while(Result::ok);
        let _ = tell.send(lines.any(|line| line.contains("are missing here")));
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
}

/// Writes more lines than the pipe and the server have room for.
fn start_and_fill_the_log(folder: &Path, flags: &[&str]) -> Server {
    let server = Server::builder()
        .rate_limit_off()
        .args(flags)
        .through(&["sh", "-c", INTO_A_FULL_PIPE, "sh"])
        .current_dir(folder)
        .start();
    let mut client = server.client();
    for _ in 0..3_000 {
        client.get("/events").expect_status(200);
    }
    server
}
