//! `GET /events/{id}/tickets` as CSV: whole, safe to open in a spreadsheet, and no burden on anyone
//! else, however slowly it is read.

use super::contract_support::{
    ORGANIZER, assert_names, assert_problem, fill, frozen, get_ticket, media_type, sell,
    sell_for_good, send, unlimited,
};
use crate::support::{Client, PATIENCE, Response, Server, request_text};

const AS_CSV: [(&str, &str); 2] = [ORGANIZER, ("Accept", "text/csv")];
const HEADER: &str = "\"ticket_id\",\"event_id\",\"email\",\"status\",\"created_at\",\"expires_at\",\
     \"confirmed_at\",\"cancelled_at\",\"cancel_reason\",\"checked_in_at\",\"spots\",\"checked_in_spots\",\
     \"payment_ref\"\r\n";

fn export(server: &Server, event: i64) -> Response {
    send(server, "GET", &path(event), &AS_CSV, None)
}

fn path(event: i64) -> String {
    format!("/events/{event}/tickets")
}

#[test]
fn a_row_holds_what_json_tells_in_the_columns_of_the_header() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 9);
    let expired = sell(&server, event, "ada@example.com");
    clock.advance(300_000);
    let confirmed = sell_for_good(&server, event, "bob@example.com");
    let held = sell(&server, event, "eve@example.com");
    let answer = export(&server, event).expect_status(200);
    let told = answer.header("Content-Type");
    assert_eq!(told, Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("Vary"), Some("Accept, X-Role"));
    let file = format!("attachment; filename=\"event-{event}-tickets.csv\"");
    assert_eq!(answer.header("Content-Disposition"), Some(file.as_str()));
    let mut expected = HEADER.to_owned();
    for ticket in [expired, confirmed, held] {
        let ticket = get_ticket(&server, &ticket);
        let cells =
            HEADER
                .trim_end()
                .split(',')
                .map(|name| match &ticket[name.trim_matches('"')] {
                    serde_json::Value::Null => "\"\"".to_owned(),
                    serde_json::Value::String(text) => format!("\"{text}\""),
                    other => format!("\"{other}\""),
                });
        expected.push_str(&cells.collect::<Vec<_>>().join(","));
        expected.push_str("\r\n");
    }
    assert_eq!(answer.body, expected);
    let confirmed = format!("{}?status=confirmed", path(event));
    let some = send(&server, "GET", &confirmed, &AS_CSV, None);
    assert_eq!(some.body.lines().count(), 2);
    assert!(some.body.contains("bob@example.com"));
}

#[test]
fn every_cell_is_quoted_and_none_is_a_formula() {
    let server = unlimited();
    let event = server.create_event("Walk", 20);
    let cells = [
        ("ada@example.com", "ada@example.com"),
        ("a,b@example.com", "a,b@example.com"),
        ("a,=b@example.com", "a,'=b@example.com"),
        ("=1+1@example.com", "'=1+1@example.com"),
        ("+tag@example.com", "'+tag@example.com"),
        ("-a@example.com", "'-a@example.com"),
        ("＝1@example.com", "'＝1@example.com"),
        ("＋1@example.com", "'＋1@example.com"),
        ("－1@example.com", "'－1@example.com"),
        ("＠sum@example.com", "'＠sum@example.com"),
        ("größe@example.com", "größe@example.com"),
    ];
    for (email, _) in cells {
        let body = serde_json::json!({"email": email}).to_string();
        let bought = server.post(&format!("/events/{event}/register"), "user", &body);
        bought.expect_status(201);
    }
    // Addresses that the API would not take, from a file that has seen other hands.
    let by_hand = [
        ("@sum(a1)", "'@sum(a1)"),
        ("\tx@y", "'\tx@y"),
        ("\rx@y", "'\rx@y"),
        ("\"a\"@b", "\"\"a\"\"'@b"),
        ("a;=cmd|'/c calc'!a1@b", "a;'=cmd|'/c calc'!a1@b"),
        ("a|-1@b", "a|'-1@b"),
        ("a\"; +1@b", "a\"\"; '+1@b"),
    ];
    for (n, (email, _)) in by_hand.iter().enumerate() {
        let (id, email) = (
            server.literal(&format!("{n:032}")),
            email.replace('\'', "''"),
        );
        server.change_by_hand(&format!(
            "INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
             VALUES ({id}, {event}, '{email}', '{email}', 'reserved', 1, 9000000000000);
             INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
             SELECT id, changes + 1 + {n}, 1, 'reserved', (SELECT max(seq) FROM tickets), -1, 0, 1
             FROM events WHERE id = {event}"
        ));
    }
    let csv = export(&server, event).expect_status(200).body;
    let rows: Vec<&str> = csv.split("\r\n").skip(1).collect();
    for (row, (_, cell)) in rows.iter().zip(cells.iter().chain(&by_hand)) {
        let from = row.match_indices("\",\"").nth(1).unwrap().0 + 2;
        assert!(
            row[from..].starts_with(&format!("\"{cell}\",\"reserved\",")),
            "{cell}: {row}"
        );
    }
    assert_eq!(rows.len(), cells.len() + by_hand.len() + 1);
}

#[test]
fn however_many_tickets_there_are_each_is_in_it_once() {
    let server = unlimited();
    for tickets in [0, 1, 499, 500, 501, 2_345] {
        let event = server.create_event("Stadium", 10_000);
        fill(&server, event, tickets);
        let csv = export(&server, event).expect_status(200).body;
        let rows = csv.strip_prefix(HEADER).expect("a header").lines();
        let mut buyers: Vec<_> = rows.map(|row| row.split(',').nth(2).unwrap()).collect();
        assert_eq!(buyers.len() as i64, tickets);
        buyers.dedup();
        assert_eq!(buyers.len() as i64, tickets);
        server.assert_invariants();
    }
}

#[test]
fn csv_comes_to_whoever_prefers_it_and_json_to_everybody_else() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let csv = [
        "text/csv",
        "TEXT/CSV",
        "text/*",
        "text/csv; charset=utf-8",
        "text/csv;header=present;q=0.001",
        "text/csv, */*",
        "text/csv;q=0.9, application/json;q=0.8",
        "application/json;q=0, */*",
        "application/json;q=0.5,text/csv ; Q=1.000",
        "application/pdf, text/csv;q=0.1",
        "text/csv, application/json;q=2",
    ];
    let json = [
        "",
        "*/*",
        "application/json",
        "application/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json, text/plain, */*",
        "text/csv, application/json",
        "text/csv;q=0.8, */*",
        "text/csv;q=0",
        "text/csv;q=0.000, text/*",
        "text/csv;q=1.001",
        "text/csv;q=0.0001",
        "text/csv;q=x, */*",
        "text/csvx",
        "csv",
        ";;,,/,*",
        "image/png",
    ];
    let expected = [("text/csv", &csv[..]), ("application/json", &json[..])];
    for (media, accepts) in expected {
        for accept in accepts {
            let headers = [ORGANIZER, ("Accept", accept)];
            let answer = send(&server, "GET", &path(event), &headers, None).expect_status(200);
            assert_eq!(media_type(&answer), media, "{accept:?}");
        }
    }
    let twice = [ORGANIZER, ("Accept", "image/png"), ("accept", "text/csv")];
    let answer = send(&server, "GET", &path(event), &twice, None);
    assert_eq!(media_type(&answer), "text/csv");
}

#[test]
fn what_cannot_be_exported_is_a_problem_as_ever() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    assert_problem(&export(&server, 99), 404, "event_not_found");
    for name in ["limit", "after", "status"] {
        let path = format!("{}?{name}=1", path(event));
        let refused = send(&server, "GET", &path, &AS_CSV, None);
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, name);
    }
    let user = [("X-Role", "user"), AS_CSV[1]];
    let refused = send(&server, "GET", &path(event), &user, None);
    assert_problem(&refused, 403, "forbidden");
}

#[test]
fn the_connection_serves_on_after_an_export() {
    let server = unlimited();
    let event = server.create_event("Stadium", 5_000);
    fill(&server, event, 1_000);
    let mut client = server.client();
    let get = request_text("GET", &path(event), &AS_CSV, None);
    let head = request_text("HEAD", &path(event), &AS_CSV, None);
    let health = request_text("GET", "/healthz", &[], None);
    // All sent at once: each is answered in its turn.
    client.send_raw([get.as_str(), &head, &get, &health].concat().as_bytes());
    let first = client.read_response();
    assert_eq!(first.body.lines().count(), 1_001);
    assert_eq!(first.header("Transfer-Encoding"), Some("chunked"));
    let head = client.read_head();
    assert_eq!(head.status, 200);
    assert_eq!(media_type(&head), "text/csv");
    assert_eq!(client.read_response().body, first.body);
    assert_eq!(client.read_response().json()["status"], "ok");
}

#[test]
fn to_http_1_0_the_export_ends_with_the_connection() {
    let server = unlimited();
    let event = server.create_event("Stadium", 5_000);
    fill(&server, event, 1_000);
    let whole = export(&server, event).body;
    // One that asks for a connection that stays open cannot have it.
    for more in [vec![], vec![("Connection", "keep-alive")]] {
        let mut client = server.client();
        let get = request_text("GET", &path(event), &[&AS_CSV, &more[..]].concat(), None);
        client.send_raw(get.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
        let answer = client.read_response();
        assert_eq!(answer.header("Connection"), Some("close"));
        assert_eq!(answer.header("Transfer-Encoding"), None);
        assert_eq!(answer.body, whole);
    }
}

/// More than the sockets' buffers hold.
const FAR_TOO_MANY: i64 = 150_000;

#[test]
fn readers_who_stop_reading_hold_up_nobody() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--workers", "1"])
        .start();
    let event = server.create_event("Stadium", 1_000_000);
    fill(&server, event, FAR_TOO_MANY);
    let ask = |_| -> Client {
        let mut client = server.client();
        let get = request_text("GET", &path(event), &AS_CSV, None);
        client.send_raw(get.as_bytes());
        // It is being sent, and nobody reads on.
        assert_eq!(client.read_head().status, 200);
        client
    };
    let slow: Vec<Client> = (0..20).map(ask).collect();
    // Everybody else is served, by the only worker, and an export to whoever reads it too.
    sell(&server, event, "ada@example.com");
    assert_eq!(server.event(event)["total_spots"], 1_000_000);
    export(&server, event).expect_status(200);
    drop(slow);
}

#[test]
fn a_server_that_stops_finishes_an_export_that_is_read() {
    let server = unlimited();
    let event = server.create_event("Stadium", 1_000_000);
    fill(&server, event, 60_000);
    let mut client = server.client();
    let get = request_text("GET", &path(event), &AS_CSV, None);
    client.send_raw(get.as_bytes());
    assert_eq!(client.read_head().status, 200);
    server.sigterm();
    let csv = client.read_rest().expect("all of it");
    assert_eq!(csv.split(|b| *b == b'\n').count(), 60_002);
    assert!(server.wait(PATIENCE).success());
}

#[test]
fn a_server_that_stops_does_not_wait_for_an_export_that_is_not_read() {
    let server = unlimited();
    let event = server.create_event("Stadium", 1_000_000);
    fill(&server, event, FAR_TOO_MANY);
    let mut client = server.client();
    let get = request_text("GET", &path(event), &AS_CSV, None);
    client.send_raw(get.as_bytes());
    assert_eq!(client.read_head().status, 200);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    client.read_rest().expect_err("the last chunk is missing");
}

#[test]
fn an_export_that_breaks_off_does_not_look_whole() {
    let server = unlimited();
    let event = server.create_event("Stadium", 1_000_000);
    fill(&server, event, FAR_TOO_MANY);
    let mut client = server.client();
    let get = request_text("GET", &path(event), &AS_CSV, None);
    client.send_raw(get.as_bytes());
    assert_eq!(client.read_head().status, 200);
    server.kill9();
    client.read_rest().expect_err("the last chunk is missing");
}
