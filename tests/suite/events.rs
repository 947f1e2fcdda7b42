//! `POST /events` and `GET /events/{id}`: the event's shape, the limits of every member, and that
//! `available_spots` never counts an expired hold.

use super::contract_support::{
    assert_names, assert_problem, frozen, media_type, members, rfc3339, sell, send, unlimited,
};
use crate::support::{Response, Server};
use serde_json::{Value, json};

fn create(server: &Server, body: Value) -> Response {
    server.post("/events", "organizer", &body.to_string())
}

#[test]
fn a_new_event_is_answered_with_its_place_and_all_its_members() {
    let (clock, server) = frozen(&[]);
    let response = create(&server, json!({"name": "Harbour walk", "total_spots": 5}));
    let response = response.expect_status(201);
    assert_eq!(media_type(&response), "application/json");
    let event = response.json();
    let place = format!("/events/{}", event["id"]);
    assert_eq!(response.header("Location"), Some(place.as_str()));
    let expected = json!({
        "id": event["id"].as_i64().expect("an integer"),
        "name": "Harbour walk",
        "total_spots": 5,
        "available_spots": 5,
        "waiting": 0,
        "status": "on_sale",
        "starts_at": null,
        "sales_open_at": null,
        "sales_close_at": null,
        "hold_seconds": 300,
        "hold_seconds_max": 900,
        "party_max": 10,
        "waiting_max": 100_000,
        "public_sale": false,
        "payment_url": null,
        "created_at": rfc3339(clock.now_ms()),
    });
    assert_eq!(event, expected);
    assert_eq!(server.get(&place).expect_status(200).json(), expected);
}

#[test]
fn dates_are_taken_with_any_offset_and_told_in_utc() {
    let server = unlimited();
    let response = create(
        &server,
        json!({
            "name": "Harbour walk",
            "total_spots": 5,
            "starts_at": "2027-05-01T12:00:00+02:00",
            "sales_open_at": "2027-01-01T00:00:00Z",
            "sales_close_at": "2027-04-30T23:59:59.5-05:30",
            "hold_seconds": 90,
        }),
    );
    let event = response.expect_status(201).json();
    assert_eq!(event["starts_at"], "2027-05-01T10:00:00.000Z");
    assert_eq!(event["sales_open_at"], "2027-01-01T00:00:00.000Z");
    assert_eq!(event["sales_close_at"], "2027-05-01T05:29:59.500Z");
    assert_eq!(event["hold_seconds"], 90);
}

#[test]
fn the_default_hold_is_the_servers() {
    let server = Server::start(&["--hold", "90s"]);
    let event = create(&server, json!({"name": "Walk", "total_spots": 5}));
    assert_eq!(event.expect_status(201).json()["hold_seconds"], 90);
}

#[test]
fn every_member_is_taken_up_to_its_limits() {
    let server = unlimited();
    let good = [
        ("name", json!("x")),
        ("name", json!("x".repeat(200))),
        ("name", json!("é".repeat(200))),
        ("name", json!("Größe \"und\" 日本 <b> 🎟")),
        (
            "name",
            json!("👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} می\u{200c}خواهم"),
        ),
        ("total_spots", json!(1)),
        ("total_spots", json!(1_000_000)),
        ("hold_seconds", json!(10)),
        ("hold_seconds", json!(3600)),
    ];
    for (member, value) in good {
        let mut body = json!({"name": "Walk", "total_spots": 5});
        body[member] = value.clone();
        let event = create(&server, body).expect_status(201).json();
        assert_eq!(event[member], value);
    }
}

#[test]
fn a_name_is_trimmed() {
    let server = unlimited();
    let body = json!({"name": "  Harbour walk \u{a0} ", "total_spots": 5});
    let event = create(&server, body).expect_status(201).json();
    assert_eq!(event["name"], "Harbour walk");
    let long = format!("   {}   ", "x".repeat(200));
    create(&server, json!({"name": long, "total_spots": 5})).expect_status(201);
}

#[test]
fn every_member_is_refused_beyond_its_limits_and_named() {
    let server = unlimited();
    let bad = [
        (
            "name",
            vec![
                json!(""),
                json!("   "),
                json!("x".repeat(201)),
                json!("é".repeat(201)),
                json!("a\u{0}b"),
                json!("a\nb"),
                json!("a\tb"),
                json!("a\u{7f}b"),
                json!("a\u{85}b"),
                json!("a\u{200b}b"),
                json!("a\u{200d}b"),
                json!("\u{feff}"),
                json!("\u{3164}"),
                json!("\u{2800}"),
                json!("\u{fe0f}\u{200d}"),
                json!("\u{202e}klaw"),
                json!("a\u{2066}b\u{2069}"),
                json!("a\u{ad}b"),
                json!("a\u{2028}b"),
                json!("\u{e0061}"),
                json!(null),
                json!(7),
                json!(["Walk"]),
                json!({"de": "Walk"}),
                json!(true),
            ],
        ),
        (
            "total_spots",
            vec![
                json!(0),
                json!(-1),
                json!(1_000_001),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(i64::MIN),
                json!(1.5),
                json!(1e300),
                json!("5"),
                json!(null),
                json!([5]),
                json!(true),
            ],
        ),
        (
            "hold_seconds",
            vec![
                json!(9),
                json!(0),
                json!(-300),
                json!(3601),
                json!(u64::MAX),
                json!(12.5),
                json!("300"),
                json!(null),
            ],
        ),
    ];
    for (member, values) in bad {
        for value in values {
            let mut body = json!({"name": "Walk", "total_spots": 5});
            body[member] = value;
            let response = create(&server, body.clone());
            assert_problem(&response, 400, "invalid_request");
            assert_names(&response, member);
        }
    }
    assert_eq!(server.get("/events").json(), json!([]));
}

#[test]
fn a_bad_date_is_refused_and_named() {
    let server = unlimited();
    let bad = [
        json!("tomorrow"),
        json!(""),
        json!("2027-05-01"),
        json!("2027-05-01T12:00:00"),
        json!("2027-02-30T12:00:00Z"),
        json!("2027-05-01T25:00:00Z"),
        json!(1_795_426_200_000_i64),
        json!(null),
        json!(["2027-05-01T12:00:00Z"]),
    ];
    for member in ["starts_at", "sales_open_at", "sales_close_at"] {
        for value in &bad {
            let mut body = json!({"name": "Walk", "total_spots": 5});
            body[member] = value.clone();
            let response = create(&server, body);
            assert_problem(&response, 400, "invalid_request");
            assert_names(&response, member);
        }
    }
}

#[test]
fn sales_that_close_before_they_open_are_refused() {
    let server = unlimited();
    for close in ["2027-01-01T00:00:00Z", "2026-12-31T23:59:59.999Z"] {
        let body = json!({
            "name": "Walk",
            "total_spots": 5,
            "sales_open_at": "2027-01-01T00:00:00Z",
            "sales_close_at": close,
        });
        let response = create(&server, body);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "sales_close_at");
    }
}

#[test]
fn a_missing_member_is_refused_and_named() {
    let server = unlimited();
    for (body, member) in [
        (json!({"name": "Walk"}), "total_spots"),
        (json!({"total_spots": 5}), "name"),
    ] {
        let response = create(&server, body);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, member);
    }
}

#[test]
fn what_the_server_decides_cannot_be_sent() {
    let server = unlimited();
    for member in ["id", "available_spots", "status", "created_at", "colour"] {
        let mut body = json!({"name": "Walk", "total_spots": 5});
        body[member] = json!(1);
        let response = create(&server, body);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, member);
    }
}

#[test]
fn an_event_that_is_not_there_is_not_found() {
    let server = unlimited();
    server.create_event("Harbour walk", 5);
    let ids = [
        "2",
        "0",
        "-1",
        "abc",
        "1.0",
        "1e0",
        "1x",
        "0x1",
        "+1",
        "null",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999999",
    ];
    for id in ids {
        let response = send(&server, "GET", &format!("/events/{id}"), &[], None);
        assert_problem(&response, 404, "event_not_found");
        let response = server.post(
            &format!("/events/{id}/register"),
            "user",
            r#"{"email":"ada@example.com"}"#,
        );
        assert_problem(&response, 404, "event_not_found");
    }
}

#[test]
fn every_sale_takes_one_spot_from_available_spots() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 3);
    let other = server.create_event("Another walk", 3);
    for left in [2, 1, 0] {
        sell(&server, event, &format!("buyer{left}@example.com"));
        assert_eq!(server.event(event)["available_spots"], left);
    }
    assert_eq!(server.event(event)["total_spots"], 3);
    assert_eq!(server.event(other)["available_spots"], 3);
    server.assert_invariants();
}

#[test]
fn an_expired_hold_is_free_from_its_last_millisecond_on_without_any_sweep() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 3);
    sell(&server, event, "first@example.com");
    clock.advance(1_000);
    let confirmed = sell(&server, event, "second@example.com");
    server.confirm(&confirmed).expect_status(200);
    sell(&server, event, "third@example.com");
    let free = || {
        let single = server.event(event)["available_spots"].clone();
        let listed = server.get("/events").json()[0]["available_spots"].clone();
        assert_eq!(single, listed);
        single
    };
    assert_eq!(free(), 0);
    clock.advance(298_999);
    assert_eq!(free(), 0, "one millisecond before the first hold ends");
    clock.advance(1);
    assert_eq!(free(), 1, "the first hold's end");
    clock.advance(999);
    assert_eq!(free(), 1);
    clock.advance(1);
    assert_eq!(free(), 2, "a confirmed ticket stays sold");
    let sql = "SELECT count(*) FROM tickets WHERE status = 'cancelled'";
    let swept: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(swept, 0, "reading must not need a sweep");
}

#[test]
fn a_cancelled_event_says_so() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 3);
    server.change_by_hand("UPDATE events SET status = 'cancelled'");
    let shown = server.event(event);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(members(&shown).len(), 16);
}
