//! What an organizer's key reaches: the events that it has created.

use super::contract_support::{assert_problem, send};
use super::keys::{EVENT, add, bearer, call, create, keyed};

#[test]
fn an_organizer_sees_own_events_only() {
    let server = keyed();
    let (ada, bob) = (add(&server, "organizer"), add(&server, "organizer"));
    let (of_ada, of_bob) = (create(&server, &ada), create(&server, &bob));
    let seen = |headers: &[(&str, &str)]| {
        let events = send(&server, "GET", "/events", headers, None).expect_status(200);
        let events = events.json();
        let ids = events.as_array().unwrap().iter();
        ids.map(|e| e["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&[("Authorization", &bearer(&ada))]), [of_ada]);
    assert_eq!(
        seen(&[("authorization", &format!("bearer {bob}"))]),
        [of_bob]
    );
    for everybody in [
        seen(&[]),
        seen(&[("Authorization", &bearer(&add(&server, "user")))]),
        seen(&[("Authorization", &bearer(&add(&server, "admin")))]),
    ] {
        assert_eq!(everybody, [of_ada, of_bob]);
    }
    let path = format!("/events/{of_ada}");
    call(&server, &ada, "GET", &path, None).expect_status(200);
    assert_problem(
        &call(&server, &bob, "GET", &path, None),
        404,
        "event_not_found",
    );
    send(&server, "GET", &path, &[], None).expect_status(200);
}

#[test]
fn an_idempotency_key_is_one_callers_own() {
    let server = keyed();
    let (ada, bob) = (add(&server, "organizer"), add(&server, "organizer"));
    let create = |key: &str| {
        let credentials = bearer(key);
        let headers = [
            ("Authorization", credentials.as_str()),
            ("Idempotency-Key", "same"),
        ];
        send(&server, "POST", "/events", &headers, Some(EVENT))
    };
    let of_ada = create(&ada).expect_status(201);
    let of_bob = create(&bob).expect_status(201);
    assert_ne!(of_ada.json()["id"], of_bob.json()["id"]);
    assert_eq!(of_bob.header("Idempotent-Replayed"), None);
    for (key, first) in [(&ada, &of_ada), (&bob, &of_bob)] {
        let again = create(key).expect_status(201);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    }
    let users = [add(&server, "user"), add(&server, "user")];
    let event = of_ada.json()["id"].as_i64().unwrap();
    for (buyer, key) in users.iter().enumerate() {
        let credentials = bearer(key);
        let headers = [
            ("Authorization", credentials.as_str()),
            ("Idempotency-Key", "order-1"),
        ];
        let body = format!(r#"{{"email":"buyer-{buyer}@example.com"}}"#);
        let path = format!("/events/{event}/register");
        let sold = send(&server, "POST", &path, &headers, Some(&body)).expect_status(201);
        assert_eq!(sold.header("Idempotent-Replayed"), None);
    }
}
