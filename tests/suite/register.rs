//! `POST /events/{id}/register`: the ticket, the e-mail address, who is already registered, and
//! when sales are open. Refusals that come from the crowd are in `sold_out`.

use super::contract_support::{
    assert_names, assert_problem, frozen, is_uuid, media_type, rfc3339, sell, unlimited,
};
use crate::support::{Response, Server};
use serde_json::{Value, json};
use std::collections::HashSet;

fn register(server: &Server, event: i64, body: &Value) -> Response {
    server.post(
        &format!("/events/{event}/register"),
        "user",
        &body.to_string(),
    )
}

#[test]
fn a_sale_is_answered_with_the_ticket_and_its_place() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let response = server.register(event, "ada@example.com").expect_status(201);
    assert_eq!(media_type(&response), "application/json");
    assert_eq!(response.header("Idempotent-Replayed"), None);
    let id = response.text("ticket_id");
    assert!(is_uuid(&id), "{id}");
    assert_eq!(
        response.header("Location"),
        Some(format!("/tickets/{id}").as_str())
    );
    let expected = json!({
        "ticket_id": id,
        "event_id": event,
        "email": "ada@example.com",
        "spots": 1,
        "status": "reserved",
        "created_at": rfc3339(clock.now_ms()),
        "expires_at": rfc3339(clock.now_ms() + 300_000),
    });
    assert_eq!(response.json(), expected);
    assert_eq!(server.get(&format!("/tickets/{id}")).json(), expected);
}

#[test]
fn tickets_of_one_moment_have_ids_of_their_own() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 50);
    let mut client = server.client();
    let mut sell = |n: usize| {
        let body = format!(r#"{{"email":"buyer{n}@example.com"}}"#);
        let response = client.post(&format!("/events/{event}/register"), "user", &body);
        response.expect_status(201).text("ticket_id")
    };
    let ids: Vec<String> = (0..50).map(&mut sell).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 50);
    // An id is the holder's secret: its last half must not follow from its neighbour's.
    let tails: HashSet<&str> = ids.iter().map(|id| &id[24..]).collect();
    assert_eq!(tails.len(), 50, "{ids:?}");
}

#[test]
fn the_hold_is_the_events_own_before_the_servers() {
    let (clock, server) = frozen(&["--hold", "90s"]);
    let plain = server.create_event("Harbour walk", 5);
    let body = r#"{"name":"Long walk","total_spots":5,"hold_seconds":3600}"#;
    let long = server.post("/events", "organizer", body).json()["id"]
        .as_i64()
        .unwrap();
    for (event, hold_ms) in [(plain, 90_000), (long, 3_600_000)] {
        let response = server.register(event, "ada@example.com").expect_status(201);
        assert_eq!(
            response.text("expires_at"),
            rfc3339(clock.now_ms() + hold_ms)
        );
    }
}

#[test]
fn an_address_is_taken_up_to_its_limits_and_echoed_as_given() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 50);
    let longest = format!("{}@example.com", "x".repeat(242));
    assert_eq!(longest.len(), 254);
    let good = [
        "a@b",
        longest.as_str(),
        "Ada.Lovelace+Tickets@Example.COM",
        "o'brien_%$#!&*/=?^`{}~-@example.com",
        "a@[IPv6:2001:db8::1]",
    ];
    for email in good {
        let response = register(&server, event, &json!({"email": email})).expect_status(201);
        assert_eq!(response.text("email"), email);
        let path = format!("/tickets/{}", response.text("ticket_id"));
        assert_eq!(server.get(&path).text("email"), email);
    }
}

#[test]
fn an_address_of_another_shape_is_refused_and_named() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let long = format!("{}@example.com", "x".repeat(243));
    let texts = [
        "",
        "@",
        "a@",
        "@b",
        "ada",
        "ada.example.com",
        "a@b@c",
        "a@@b",
        long.as_str(),
        "ada lovelace@example.com",
        " ada@example.com",
        "ada@example.com ",
        "ada@exam ple.com",
        "ada@example.com\n",
        "\tada@example.com",
        "ada@\rexample.com",
        "a\u{0}da@example.com",
        "ada@example\u{7f}.com",
        "ada@example.com\u{85}",
        "\"ada\"@example.com",
        "a;b@example.com",
        "a|b@example.com",
        "a\u{200b}da@example.com",
        "\u{feff}ada@example.com",
        "ada@exam\u{ad}ple.com",
        "\u{202e}ada@example.com",
        "ada\u{2066}@example.com",
        "ada\u{e0041}@example.com",
    ];
    let mut bad: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
    bad.extend([
        json!(null),
        json!(7),
        json!(true),
        json!(["ada@example.com"]),
        json!({}),
    ]);
    for email in bad {
        let response = register(&server, event, &json!({"email": email}));
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "email");
    }
    assert_eq!(server.event(event)["available_spots"], 5);
}

#[test]
fn letters_beyond_ascii_are_compared_without_case_too() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    sell(&server, event, "Zoë.Müller@example.com");
    let again = server.register(event, "ZOË.MÜLLER@EXAMPLE.COM");
    assert_problem(&again, 409, "already_registered");
}

#[test]
fn an_address_whose_lower_case_is_longer_is_taken_or_refused() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    // In lower case each of these letters is two characters.
    let email = format!("{}@example.com", "\u{130}".repeat(240));
    let response = register(&server, event, &json!({"email": email}));
    if response.status != 201 {
        assert_problem(&response, 400, "invalid_request");
    }
}

#[test]
fn a_missing_or_unknown_member_is_refused_and_named() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    for (body, member) in [
        (json!({}), "email"),
        (json!({"idempotency_key": "k"}), "email"),
        (json!({"email": "ada@example.com", "seat": 5}), "seat"),
        (json!({"email": "ada@example.com", "Email": "a@b"}), "Email"),
    ] {
        let response = register(&server, event, &body);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, member);
    }
}

#[test]
fn one_address_holds_one_live_ticket_for_an_event() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let other = server.create_event("Another walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    for email in ["ada@example.com", "ADA@Example.Com"] {
        assert_problem(&server.register(event, email), 409, "already_registered");
    }
    sell(&server, other, "ada@example.com");
    sell(&server, event, "ada@example.org");
    server.confirm(&ticket).expect_status(200);
    let again = server.register(event, "Ada@example.com");
    assert_problem(&again, 409, "already_registered");
    assert_eq!(server.event(event)["available_spots"], 3);
    server.assert_invariants();
}

#[test]
fn an_expired_hold_does_not_lock_its_holder_out() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 1);
    let first = sell(&server, event, "ada@example.com");
    clock.advance(299_999);
    let early = server.register(event, "ada@example.com");
    assert_problem(&early, 409, "already_registered");
    clock.advance(1);
    let second = sell(&server, event, "ADA@example.com");
    assert_ne!(first, second);
    server.assert_invariants();
}

#[test]
fn a_cancelled_ticket_does_not_lock_its_holder_out() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let first = sell(&server, event, "ada@example.com");
    cancel_by_hand(&server, &first);
    let second = sell(&server, event, "ada@example.com");
    assert_ne!(first, second);
}

/// A cancellation as the holder's own would be written.
fn cancel_by_hand(server: &Server, ticket_id: &str) {
    server.change_by_hand(&format!(
        "UPDATE tickets SET status = 'cancelled', cancelled_at = created_at,
         cancel_reason = 'holder' WHERE ticket_id = {}",
        server.literal(ticket_id)
    ));
}

#[test]
fn a_cancelled_event_sells_nothing() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    sell(&server, event, "ada@example.com");
    server.change_by_hand("UPDATE events SET status = 'cancelled'");
    for email in ["ada@example.com", "bob@example.com"] {
        assert_problem(&server.register(event, email), 409, "event_cancelled");
    }
}

#[test]
fn sales_open_and_close_on_the_millisecond() {
    let (clock, server) = frozen(&[]);
    let start = clock.now_ms();
    let body = json!({
        "name": "Harbour walk",
        "total_spots": 50,
        "sales_open_at": rfc3339(start + 10_000),
        "sales_close_at": rfc3339(start + 20_000),
    });
    let event = server.post("/events", "organizer", &body.to_string());
    let event = event.expect_status(201).json()["id"].as_i64().unwrap();
    let at = |ms: i64| {
        clock.set(start + ms);
        server.register(event, &format!("buyer{ms}@example.com"))
    };
    assert_problem(&at(0), 409, "sales_not_open");
    assert_problem(&at(9_999), 409, "sales_not_open");
    at(10_000).expect_status(201);
    at(19_999).expect_status(201);
    assert_problem(&at(20_000), 409, "sales_closed");
    assert_problem(&at(9_000_000), 409, "sales_closed");
    server.assert_invariants();
}
