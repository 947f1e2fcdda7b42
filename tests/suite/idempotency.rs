//! `Idempotency-Key`: the first answer again, never for anything else, and never a refusal.

use super::contract_support::{
    JSON, ORGANIZER, USER, assert_names, assert_problem, frozen, register_with_key, sell, send,
    unlimited,
};
use crate::support::{Response, Server};
use serde_json::{Value, json};

#[track_caller]
fn assert_replays(replay: &Response, first: &Response) {
    assert_eq!(replay.status, first.status, "{replay:?}");
    assert_eq!(replay.body, first.body);
    assert_eq!(replay.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(first.header("Idempotent-Replayed"), None);
    assert_eq!(replay.header("Location"), first.header("Location"));
    assert_eq!(replay.header("Content-Type"), first.header("Content-Type"));
}

fn register(server: &Server, event: i64, headers: &[(&str, &str)], body: &Value) -> Response {
    let headers = [&[USER, JSON], headers].concat();
    let path = format!("/events/{event}/register");
    send(server, "POST", &path, &headers, Some(&body.to_string()))
}

fn confirm_with_key(server: &Server, ticket: &str, key: &str, body: &str) -> Response {
    let path = format!("/tickets/{ticket}/confirm");
    send(
        server,
        "POST",
        &path,
        &[USER, JSON, ("Idempotency-Key", key)],
        Some(body),
    )
}

fn create_with_key(server: &Server, key: &str, body: &Value) -> Response {
    let headers = [ORGANIZER, JSON, ("Idempotency-Key", key)];
    send(server, "POST", "/events", &headers, Some(&body.to_string()))
}

#[test]
fn a_sale_is_answered_again_even_when_sold_out() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 1);
    let first = register_with_key(&server, event, "ada@example.com", "k1").expect_status(201);
    let late = register_with_key(&server, event, "bob@example.com", "k2");
    assert_problem(&late, 409, "sold_out");
    for _ in 0..3 {
        clock.advance(10_000);
        let again = register_with_key(&server, event, "ada@example.com", "k1");
        assert_replays(&again, &first);
    }
    assert_eq!(server.event(event)["available_spots"], 0);
    server.assert_invariants();
}

#[test]
fn a_sale_is_answered_as_it_was_whatever_became_of_the_ticket() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let kept = register_with_key(&server, event, "ada@example.com", "kept").expect_status(201);
    let lost = register_with_key(&server, event, "bob@example.com", "lost").expect_status(201);
    server.confirm(&kept.text("ticket_id")).expect_status(200);
    let replay = |email, key| register_with_key(&server, event, email, key);
    assert_replays(&replay("ada@example.com", "kept"), &kept);
    clock.advance(300_000);
    assert_replays(&replay("bob@example.com", "lost"), &lost);
    sell(&server, event, "bob@example.com");
    assert_replays(&replay("bob@example.com", "lost"), &lost);
    server.change_by_hand("UPDATE events SET status = 'cancelled'");
    assert_replays(&replay("ada@example.com", "kept"), &kept);
    server.assert_invariants();
}

#[test]
fn an_address_in_another_case_is_the_same_request() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let first = register_with_key(&server, event, "Ada@Example.com", "k").expect_status(201);
    let again = register_with_key(&server, event, "aDA@eXAMPLE.COM", "k");
    assert_replays(&again, &first);
    assert_eq!(again.text("email"), "Ada@Example.com");
}

#[test]
fn header_and_member_are_the_same_key() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let plain = json!({"email": "ada@example.com"});
    let keyed = json!({"email": "ada@example.com", "idempotency_key": "k"});
    let first = register(&server, event, &[], &keyed).expect_status(201);
    let bare = ("Idempotency-Key", "k");
    let quoted = ("Idempotency-Key", "\"k\"");
    let lower = ("idempotency-key", "k");
    for header in [bare, quoted, lower] {
        assert_replays(&register(&server, event, &[header], &plain), &first);
        assert_replays(&register(&server, event, &[header], &keyed), &first);
    }
    assert_replays(&register(&server, event, &[], &keyed), &first);
}

#[test]
fn header_and_member_that_differ_are_refused() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let keyed = json!({"email": "ada@example.com", "idempotency_key": "one"});
    for value in ["two", "ONE", "\"two\"", "one1"] {
        let response = register(&server, event, &[("Idempotency-Key", value)], &keyed);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "idempotency_key");
    }
    assert_eq!(server.event(event)["available_spots"], 5);
}

#[test]
fn keys_are_taken_up_to_their_limits() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 50);
    let longest = "k".repeat(255);
    let keys = [
        "k",
        &longest,
        "!#$%&'()*+,-./:;<=>?@[]^_`{|}~",
        "00",
        "O'Brien--",
    ];
    for (n, key) in keys.into_iter().enumerate() {
        let email = format!("header{n}@example.com");
        let first = register_with_key(&server, event, &email, key).expect_status(201);
        let body = json!({"email": email, "idempotency_key": key});
        assert_replays(&register(&server, event, &[], &body), &first);
    }
}

#[test]
fn a_malformed_key_is_refused_and_named() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let plain = json!({"email": "ada@example.com"});
    let long = "k".repeat(256);
    for value in ["", "\"\"", "a b", "\"a b\"", &long] {
        let response = register(&server, event, &[("Idempotency-Key", value)], &plain);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "Idempotency-Key");
    }
    let two = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")];
    let response = register(&server, event, &two, &plain);
    assert_problem(&response, 400, "invalid_request");
    for value in [
        json!(""),
        json!("a b"),
        json!("é"),
        json!(long),
        json!(7),
        json!(null),
        json!([]),
    ] {
        let body = json!({"email": "ada@example.com", "idempotency_key": value});
        let response = register(&server, event, &[], &body);
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "idempotency_key");
    }
    assert_eq!(server.event(event)["available_spots"], 5);
}

#[test]
fn keys_are_compared_as_bytes() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    register_with_key(&server, event, "ada@example.com", "key").expect_status(201);
    for other in ["KEY", "Key", "key.", "%6Bey", "\\key"] {
        let response = register_with_key(&server, event, "ada@example.com", other);
        assert_problem(&response, 409, "already_registered");
    }
}

#[test]
fn a_key_used_for_a_sale_serves_nothing_else() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let other = server.create_event("Another walk", 5);
    let sold = register_with_key(&server, event, "ada@example.com", "k").expect_status(201);
    let own_ticket = sold.text("ticket_id");
    let reuses = [
        register_with_key(&server, event, "bob@example.com", "k"),
        register_with_key(&server, other, "ada@example.com", "k"),
        create_with_key(&server, "k", &json!({"name": "Walk", "total_spots": 5})),
        confirm_with_key(&server, &own_ticket, "k", "{}"),
    ];
    for response in reuses {
        assert_problem(&response, 422, "idempotency_key_reused");
    }
    assert_eq!(server.get("/events").json().as_array().unwrap().len(), 2);
    assert_eq!(server.event(event)["available_spots"], 4);
    assert_eq!(server.event(other)["available_spots"], 5);
    let again = register_with_key(&server, event, "ada@example.com", "k");
    assert_replays(&again, &sold);
}

#[test]
fn creating_an_event_is_answered_again_and_not_done_again() {
    let (clock, server) = frozen(&[]);
    let body = json!({"name": "Walk", "total_spots": 5, "hold_seconds": 60});
    let first = create_with_key(&server, "k", &body).expect_status(201);
    clock.advance(10_000);
    assert_replays(&create_with_key(&server, "k", &body), &first);
    sell(
        &server,
        first.json()["id"].as_i64().unwrap(),
        "ada@example.com",
    );
    assert_replays(&create_with_key(&server, "k", &body), &first);
    for (member, value) in [
        ("name", json!("Talk")),
        ("total_spots", json!(6)),
        ("hold_seconds", json!(61)),
        ("starts_at", json!("2027-05-01T12:00:00Z")),
    ] {
        let mut other = body.clone();
        other[member] = value;
        let response = create_with_key(&server, "k", &other);
        assert_problem(&response, 422, "idempotency_key_reused");
    }
    let response = register_with_key(&server, 1, "bob@example.com", "k");
    assert_problem(&response, 422, "idempotency_key_reused");
    assert_eq!(server.get("/events").json().as_array().unwrap().len(), 1);
}

#[test]
fn a_confirmation_is_answered_again_and_its_key_serves_nothing_else() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let [ada, bob] = ["ada@example.com", "bob@example.com"].map(|e| sell(&server, event, e));
    let first = confirm_with_key(&server, &ada, "k", "{}").expect_status(200);
    clock.advance(400_000);
    assert_replays(&confirm_with_key(&server, &ada, "k", "{}"), &first);
    let reuses = [
        confirm_with_key(&server, &bob, "k", "{}"),
        confirm_with_key(&server, &ada, "k", r#"{"email":"bob@example.com"}"#),
        register_with_key(&server, event, "ada@example.com", "k"),
        register_with_key(&server, event, "eve@example.com", "k"),
        create_with_key(&server, "k", &json!({"name": "Walk", "total_spots": 5})),
    ];
    for response in reuses {
        assert_problem(&response, 422, "idempotency_key_reused");
    }
    server.assert_invariants();
}

#[test]
fn a_refusal_is_not_remembered() {
    let (clock, server) = frozen(&[]);
    let full = server.create_event("Harbour walk", 1);
    let open = server.create_event("Another walk", 5);
    let holder = sell(&server, full, "ada@example.com");
    let refused = register_with_key(&server, full, "bob@example.com", "k");
    assert_problem(&refused, 409, "sold_out");
    let refused = register_with_key(&server, full, "ada@example.com", "k");
    assert_problem(&refused, 409, "already_registered");
    let refused = register_with_key(&server, 99, "bob@example.com", "k");
    assert_problem(&refused, 404, "event_not_found");
    let refused = confirm_with_key(&server, &holder, "k", r#"{"email":"bob@example.com"}"#);
    assert_problem(&refused, 409, "email_mismatch");
    // The same request is decided afresh once a spot is free.
    clock.advance(300_000);
    let sold = register_with_key(&server, full, "bob@example.com", "k").expect_status(201);
    assert_eq!(sold.header("Idempotent-Replayed"), None);
    let reused = register_with_key(&server, open, "bob@example.com", "k");
    assert_problem(&reused, 422, "idempotency_key_reused");
}

#[test]
fn a_request_without_a_key_is_never_a_replay() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    register_with_key(&server, event, "ada@example.com", "k").expect_status(201);
    let again = server.register(event, "ada@example.com");
    assert_problem(&again, 409, "already_registered");
    let body = r#"{"name":"Walk","total_spots":5}"#;
    for _ in 0..2 {
        server.post("/events", "organizer", body).expect_status(201);
    }
    assert_eq!(server.get("/events").json().as_array().unwrap().len(), 3);
}

/// A newer version of the program has given the first answer, with a member that this one does not
/// know.
#[test]
fn the_first_answer_comes_again_byte_for_byte_whoever_gave_it() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    register_with_key(&server, event, "ada@example.com", "sale").expect_status(201);
    create_with_key(&server, "event", &json!({"name": "Walk", "total_spots": 5}))
        .expect_status(201);
    let db = server.db();
    let guard = "SELECT sql FROM sqlite_schema WHERE name = 'idempotency_keys_fixed'";
    let guard: String = db.query_row(guard, [], |row| row.get(0)).unwrap();
    let by_another = "DROP TRIGGER idempotency_keys_fixed;
        UPDATE idempotency_keys SET body = replace(body, '{', '{\"seat\" : \"4B\",  ');";
    db.execute_batch(&format!("{by_another} {guard}")).unwrap();
    let sql = "SELECT body FROM idempotency_keys ORDER BY seq";
    let mut statement = db.prepare(sql).unwrap();
    let bodies = statement.query_map([], |row| row.get::<_, String>(0));
    let bodies: Vec<String> = bodies.unwrap().map(Result::unwrap).collect();
    let again = [
        register_with_key(&server, event, "ada@example.com", "sale"),
        create_with_key(&server, "event", &json!({"name": "Walk", "total_spots": 5})),
    ];
    for (again, body) in again.iter().zip(bodies) {
        assert_eq!(again.status, 201, "{again:?}");
        assert!(body.contains("\"seat\" : \"4B\""), "{body}");
        assert_eq!(again.body.trim_end(), body);
    }
}

/// The body says what was sold; the header says what has become of it.
#[test]
fn a_replay_says_what_the_ticket_is_now() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let buy = |name: &str| register_with_key(&server, event, &format!("{name}@example.com"), name);
    let [kept, lost, given_back] = ["kept", "lost", "given-back"].map(|name| {
        let first = buy(name).expect_status(201);
        assert_eq!(first.header("Ticket-Status"), None);
        assert_eq!(buy(name).header("Ticket-Status"), Some("reserved"));
        first.text("ticket_id")
    });
    confirm_with_key(&server, &kept, "pay", "{}").expect_status(200);
    server
        .post(&format!("/tickets/{given_back}/cancel"), "user", "")
        .expect_status(200);
    clock.advance(300_000);
    let _ = lost;
    for (name, now) in [
        ("kept", "confirmed"),
        ("lost", "cancelled"),
        ("given-back", "cancelled"),
    ] {
        let again = buy(name).expect_status(201);
        assert_eq!(again.header("Ticket-Status"), Some(now), "{name}");
        assert_eq!(again.text("status"), "reserved");
    }
    let again = confirm_with_key(&server, &kept, "pay", "{}").expect_status(200);
    assert_eq!(again.header("Ticket-Status"), Some("confirmed"));
    assert_eq!(again.text("status"), "confirmed");
}
