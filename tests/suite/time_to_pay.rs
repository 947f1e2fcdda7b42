//! A hold that is extended while a buyer pays, and the payment that a ticket was confirmed with.

use super::contract_support::{
    NO_TICKET, assert_names, assert_problem, cancel_ticket, change_event, frozen, get_ticket,
    parse_ms, sell, send, unlimited,
};
use crate::support::{Response, Server, assert_sound};
use serde_json::json;

fn extend(server: &Server, ticket: &str) -> Response {
    server.post(&format!("/tickets/{ticket}/extend"), "user", "{}")
}

fn pay(server: &Server, ticket: &str, payment: &str) -> Response {
    let body = json!({"payment_ref": payment}).to_string();
    server.post(&format!("/tickets/{ticket}/confirm"), "user", &body)
}

#[test]
fn a_hold_is_extended_by_a_whole_hold_until_it_has_had_three() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 1);
    let ticket = sell(&server, event, "ada@example.com");
    let start = clock.now_ms();
    // It has a whole hold already.
    let same = extend(&server, &ticket).expect_status(200);
    assert_eq!(parse_ms(&same.text("expires_at")), start + 300_000);
    for (wait, until) in [(200_000, 500_000), (290_000, 790_000), (200_000, 900_000)] {
        clock.advance(wait);
        let longer = extend(&server, &ticket).expect_status(200);
        assert_eq!(parse_ms(&longer.text("expires_at")), start + until);
        assert_eq!(get_ticket(&server, &ticket), longer.json());
    }
    clock.advance(100_000);
    let refused = extend(&server, &ticket);
    assert_problem(&refused, 409, "extension_refused");
    assert_eq!(parse_ms(&refused.text("expires_at")), start + 900_000);
    assert_problem(&server.register(event, "bob@example.com"), 409, "sold_out");
    clock.advance(110_000);
    assert_problem(&extend(&server, &ticket), 410, "hold_expired");
    sell(&server, event, "bob@example.com");
    assert_sound(server.db_path());
}

#[test]
fn the_organizer_says_how_long_a_hold_can_be() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let body = r#"{"hold_seconds":60,"hold_seconds_max":90}"#;
    let changed = change_event(&server, event, body).expect_status(200);
    assert_eq!(changed.json()["hold_seconds_max"], 90);
    let ticket = sell(&server, event, "ada@example.com");
    let start = clock.now_ms();
    clock.advance(50_000);
    let longer = extend(&server, &ticket).expect_status(200);
    assert_eq!(parse_ms(&longer.text("expires_at")), start + 90_000);
    change_event(&server, event, r#"{"hold_seconds_max":10}"#).expect_status(200);
    assert_problem(&extend(&server, &ticket), 409, "extension_refused");
    assert_sound(server.db_path());
}

#[test]
fn what_is_no_hold_is_not_extended() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let [paid, cancelled] = ["a@example.com", "b@example.com"].map(|who| sell(&server, event, who));
    pay(&server, &paid, "pay_1").expect_status(200);
    let refused = extend(&server, &paid);
    assert_problem(&refused, 409, "already_confirmed");
    cancel_ticket(&server, &cancelled).expect_status(200);
    assert_problem(&extend(&server, &cancelled), 409, "ticket_cancelled");
    assert_problem(&extend(&server, NO_TICKET), 404, "ticket_not_found");
}

#[test]
fn a_ticket_is_confirmed_with_one_payment() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    for bad in ["", "a b", "größe", &"x".repeat(256)] {
        let refused = pay(&server, &ticket, bad);
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, "payment_ref");
    }
    let paid = pay(&server, &ticket, "pay_42").expect_status(200);
    assert_eq!(paid.text("payment_ref"), "pay_42");
    assert_eq!(
        pay(&server, &ticket, "pay_42").expect_status(200).json(),
        paid.json()
    );
    assert_eq!(
        server.confirm(&ticket).expect_status(200).json(),
        paid.json()
    );
    let refused = pay(&server, &ticket, "pay_43");
    assert_problem(&refused, 409, "already_confirmed");
    assert_eq!(refused.text("payment_ref"), "pay_42");
    let unpaid = sell(&server, event, "bob@example.com");
    server.confirm(&unpaid).expect_status(200);
    assert_problem(&pay(&server, &unpaid, "pay_44"), 409, "already_confirmed");
    let csv = [("X-Role", "organizer"), ("Accept", "text/csv")];
    let path = format!("/events/{event}/tickets");
    let csv = send(&server, "GET", &path, &csv, None)
        .expect_status(200)
        .body;
    assert!(csv.contains("\"pay_42\"\r\n"), "{csv}");
    let sql = "SELECT payment_ref FROM ledger WHERE kind = 'confirmed' AND n = 3";
    let told: String = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(told, "pay_42");
    assert_sound(server.db_path());
}
