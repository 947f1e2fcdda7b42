//! The order of refusals: for every two stages of the contract's list, a request that deserves
//! both is refused for the earlier one; and so is one that deserves all that follow.

use super::contract_support::{
    ask, assert_problem, cancel_event, change_event, check_in, frozen, register_with_key, rfc3339,
    sell,
};
use crate::support::{Client, FrozenClock, Response, Server, fresh_source};
use std::net::IpAddr;

/// What can be wrong with a registration, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    TooLong,
    TwoHosts,
    OverLimit,
    UnknownRoute,
    WrongMethod,
    NoRole,
    PlainText,
    NoJson,
    BadMember,
    UnknownEvent,
    KeyReused,
    EventCancelled,
    SalesClosed,
    AlreadyRegistered,
    SoldOut,
}
use Flaw::*;

const ORDER: [(Flaw, u16, &str); 15] = [
    (TooLong, 413, "body_too_large"),
    (TwoHosts, 400, "bad_request"),
    (OverLimit, 429, "rate_limited"),
    (UnknownRoute, 404, "route_not_found"),
    (WrongMethod, 405, "method_not_allowed"),
    (NoRole, 403, "forbidden"),
    (PlainText, 415, "unsupported_media_type"),
    (NoJson, 400, "invalid_json"),
    (BadMember, 400, "invalid_request"),
    (UnknownEvent, 404, "event_not_found"),
    (KeyReused, 422, "idempotency_key_reused"),
    (EventCancelled, 409, "event_cancelled"),
    (SalesClosed, 409, "sales_closed"),
    (AlreadyRegistered, 409, "already_registered"),
    (SoldOut, 409, "sold_out"),
];

/// One server, with a key that is used up and an address that has no request left.
struct Stage {
    clock: FrozenClock,
    server: Server,
    exhausted: IpAddr,
}

impl Stage {
    fn new() -> Self {
        let clock = FrozenClock::new();
        let server = Server::builder()
            .args(clock.flags())
            .args(["--sweep", "1h"])
            .start();
        let other = server.create_event("Another walk", 5);
        register_with_key(&server, other, "other@example.com", "used").expect_status(201);
        let exhausted = fresh_source();
        for _ in 0..5 {
            let mut client = Client::connect_from(exhausted, server.addr());
            client.get("/events").expect_status(200);
        }
        Stage {
            clock,
            server,
            exhausted,
        }
    }

    /// An event which refuses ada@example.com for all of these reasons.
    fn event(&self, flaws: &[Flaw]) -> i64 {
        let has = |flaw| flaws.contains(&flaw);
        let event = self
            .server
            .create_event("Harbour walk", if has(SoldOut) { 1 } else { 5 });
        if has(AlreadyRegistered) {
            sell(&self.server, event, "ada@example.com");
        } else if has(SoldOut) {
            sell(&self.server, event, "bob@example.com");
        }
        let change = |what: &str| {
            let sql = format!("UPDATE events SET {what} WHERE id = {event}");
            self.server.change_by_hand(&sql);
        };
        if has(SalesClosed) {
            change(&format!("sales_close_at = {}", self.clock.now_ms()));
        }
        if has(EventCancelled) {
            change("status = 'cancelled'");
        }
        event
    }

    /// A registration with these flaws.
    fn send(&self, flaws: &[Flaw]) -> Response {
        let has = |flaw| flaws.contains(&flaw);
        let event = match has(UnknownEvent) {
            true => 999_999,
            false => self.event(flaws),
        };
        let path = match has(UnknownRoute) {
            true => format!("/events/{event}/registration"),
            false => format!("/events/{event}/register"),
        };
        let body = match (has(NoJson), has(BadMember)) {
            (true, _) => r#"{"email":"ada"#,
            (_, true) => r#"{"email":"ada"}"#,
            _ => r#"{"email":"ada@example.com"}"#,
        };
        let mut headers = Vec::new();
        let mut header = |flawed: bool, name, value| {
            if flawed {
                headers.push((name, value));
            }
        };
        header(has(TooLong), "Content-Length", "1025");
        header(has(TwoHosts), "Host", "one");
        header(has(TwoHosts), "Host", "two");
        header(!has(NoRole), "X-Role", "user");
        header(has(PlainText), "Content-Type", "text/plain");
        header(has(KeyReused), "Idempotency-Key", "used");
        let source = if has(OverLimit) {
            self.exhausted
        } else {
            fresh_source()
        };
        let mut client = Client::connect_from(source, self.server.addr());
        let method = if has(WrongMethod) { "PUT" } else { "POST" };
        // A body that is announced too long isn't waited for.
        let body = (!has(TooLong)).then_some(body);
        ask(&mut client, method, &path, &headers, body)
    }
}

/// Flaws that one request cannot have together.
fn exclude_each_other(a: Flaw, b: Flaw) -> bool {
    let of_the_event = [
        KeyReused,
        EventCancelled,
        SalesClosed,
        AlreadyRegistered,
        SoldOut,
    ];
    let without_event = |flaw| flaw == UnknownEvent;
    without_event(a) && of_the_event[1..].contains(&b) || (a, b) == (NoJson, BadMember)
}

#[test]
fn of_two_refusals_the_earlier_is_told() {
    let stage = Stage::new();
    for (at, (earlier, status, code)) in ORDER.into_iter().enumerate() {
        assert_problem(&stage.send(&[earlier]), status, code);
        for (later, ..) in ORDER.into_iter().skip(at + 1) {
            if !exclude_each_other(earlier, later) {
                let response = stage.send(&[earlier, later]);
                let got = (response.status, response.code());
                assert_eq!(got, (status, code.to_owned()), "{earlier:?} with {later:?}");
            }
        }
    }
}

#[test]
fn of_all_refusals_at_once_the_earliest_is_told() {
    let stage = Stage::new();
    for (at, (_, status, code)) in ORDER.into_iter().enumerate() {
        let mut flaws: Vec<Flaw> = Vec::new();
        for (flaw, ..) in ORDER.into_iter().skip(at) {
            if !flaws
                .iter()
                .any(|&earlier| exclude_each_other(earlier, flaw))
            {
                flaws.push(flaw);
            }
        }
        assert_problem(&stage.send(&flaws), status, code);
    }
}

#[test]
fn a_request_without_a_flaw_is_served() {
    let stage = Stage::new();
    stage.send(&[]).expect_status(201);
}

#[test]
fn a_replay_comes_before_everything_about_the_event() {
    let (clock, server) = frozen(&[]);
    let body = format!(
        r#"{{"name":"Walk","total_spots":1,"sales_close_at":"{}"}}"#,
        rfc3339(clock.now_ms() + 10_000)
    );
    let event = server.post("/events", "organizer", &body).json()["id"]
        .as_i64()
        .unwrap();
    let replay = || register_with_key(&server, event, "ada@example.com", "k");
    let first = replay().expect_status(201);
    let assert_replayed = || {
        let again = replay().expect_status(201);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    };
    assert_replayed();
    clock.advance(10_000);
    assert_problem(
        &server.register(event, "bob@example.com"),
        409,
        "sales_closed",
    );
    assert_replayed();
    server.change_by_hand("UPDATE events SET status = 'cancelled'");
    assert_problem(
        &server.register(event, "bob@example.com"),
        409,
        "event_cancelled",
    );
    assert_replayed();
}

#[test]
fn a_malformed_key_is_a_matter_of_the_body() {
    let server = Server::start(&[]);
    let register = |path: &str, role: &str, media_type: &str, body: &str| {
        let headers = [
            ("X-Role", role),
            ("Content-Type", media_type),
            ("Idempotency-Key", "a b"),
        ];
        server.client().request("POST", path, &headers, Some(body))
    };
    let (path, json) = ("/events/99/register", "application/json");
    let good = r#"{"email":"ada@example.com"}"#;
    assert_problem(
        &register("/nowhere", "user", json, good),
        404,
        "route_not_found",
    );
    assert_problem(&register(path, "organizer", json, good), 403, "forbidden");
    assert_problem(
        &register(path, "user", "text/plain", good),
        415,
        "unsupported_media_type",
    );
    assert_problem(&register(path, "user", json, good), 400, "invalid_request");
}

#[test]
fn a_ticket_is_looked_for_only_when_the_request_is_in_order() {
    let server = Server::start(&[]);
    let path = "/tickets/abc/confirm";
    let confirm = |role: &str, media_type: &str, body: &str| {
        let headers = [("X-Role", role), ("Content-Type", media_type)];
        server.client().request("POST", path, &headers, Some(body))
    };
    let json = "application/json";
    assert_problem(&confirm("", "text/plain", "{"), 403, "forbidden");
    assert_problem(
        &confirm("user", "text/plain", "{"),
        415,
        "unsupported_media_type",
    );
    assert_problem(&confirm("user", json, "{"), 400, "invalid_json");
    assert_problem(
        &confirm("user", json, r#"{"email":7}"#),
        400,
        "invalid_request",
    );
    assert_problem(&confirm("user", json, "{}"), 404, "ticket_not_found");
    let anonymous = server.client().request("GET", "/tickets/abc", &[], None);
    assert_problem(&anonymous, 403, "forbidden");
}

#[test]
fn an_expired_or_cancelled_ticket_is_told_before_a_strange_address() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let [expired, cancelled] =
        ["ada@example.com", "eve@example.com"].map(|e| sell(&server, event, e));
    server.change_by_hand(&format!(
        "UPDATE tickets SET status = 'cancelled', cancelled_at = 1, cancel_reason = 'holder'
         WHERE ticket_id = {}",
        server.literal(&cancelled)
    ));
    clock.advance(300_000);
    let confirm = |ticket: &str| {
        let body = r#"{"email":"bob@example.com"}"#;
        server.post(&format!("/tickets/{ticket}/confirm"), "user", body)
    };
    assert_problem(&confirm(&expired), 410, "hold_expired");
    assert_problem(&confirm(&cancelled), 409, "ticket_cancelled");
}

#[test]
fn creating_an_event_refuses_in_the_same_order() {
    let server = Server::start(&[]);
    let create = |role: &str, media_type: &str, key: &str, body: &str| {
        let headers = [
            ("X-Role", role),
            ("Content-Type", media_type),
            ("Idempotency-Key", key),
        ];
        server
            .client()
            .request("POST", "/events", &headers, Some(body))
    };
    let json = "application/json";
    let good = r#"{"name":"Walk","total_spots":5}"#;
    create("organizer", json, "used", good).expect_status(201);
    assert_problem(&create("user", "text/plain", "used", "{"), 403, "forbidden");
    assert_problem(
        &create("organizer", "text/plain", "used", "{"),
        415,
        "unsupported_media_type",
    );
    assert_problem(&create("organizer", json, "used", "{"), 400, "invalid_json");
    assert_problem(
        &create("organizer", json, "used", "{}"),
        400,
        "invalid_request",
    );
    let other = r#"{"name":"Talk","total_spots":5}"#;
    assert_problem(
        &create("organizer", json, "used", other),
        422,
        "idempotency_key_reused",
    );
}

#[test]
fn changing_an_event_refuses_in_the_same_order() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    for email in ["ada@example.com", "bob@example.com"] {
        sell(&server, event, email);
    }
    let change = |id: i64, role: &str, media_type: &str, body: &str| {
        let headers = [
            ("X-Role", role),
            ("Content-Type", media_type),
            ("Idempotency-Key", "used"),
        ];
        let path = format!("/events/{id}");
        server
            .client()
            .request("PATCH", &path, &headers, Some(body))
    };
    let json = "application/json";
    let window = r#"{"sales_open_at":"2027-01-01T00:00:00Z"}"#;
    change(event, "organizer", json, window).expect_status(200);
    assert_problem(&change(99, "user", "text/plain", "{"), 403, "forbidden");
    let plain = change(99, "organizer", "text/plain", "{");
    assert_problem(&plain, 415, "unsupported_media_type");
    assert_problem(&change(99, "organizer", json, "{"), 400, "invalid_json");
    let bad = r#"{"total_spots":0}"#;
    assert_problem(&change(99, "organizer", json, bad), 400, "invalid_request");
    assert_problem(&change(99, "organizer", json, "{}"), 404, "event_not_found");
    // Both too small and with a window that closes before it opens.
    let worse = r#"{"total_spots":1,"sales_close_at":"2026-12-31T00:00:00Z"}"#;
    let reused = change(event, "organizer", json, worse);
    assert_problem(&reused, 422, "idempotency_key_reused");
    assert_problem(&change_event(&server, event, worse), 400, "invalid_request");
    let smaller = change_event(&server, event, r#"{"total_spots":1}"#);
    assert_problem(&smaller, 409, "capacity_below_committed");
    cancel_event(&server, event).expect_status(200);
    assert_problem(&change_event(&server, event, worse), 409, "event_cancelled");
    change(event, "organizer", json, window).expect_status(200);
}

#[test]
fn giving_back_and_checking_in_refuse_in_the_same_order() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let post = |verb: &str, ticket: &str, role: &str, body: &str| {
        let headers = [("X-Role", role), ("Idempotency-Key", "used")];
        let path = format!("/tickets/{ticket}/{verb}");
        server.client().request("POST", &path, &headers, Some(body))
    };
    register_with_key(&server, event, "bob@example.com", "used").expect_status(201);
    for (verb, role, wrong_role) in [
        ("cancel", "user", "organizer"),
        ("check-in", "organizer", "user"),
    ] {
        assert_problem(&post(verb, "abc", wrong_role, "{"), 403, "forbidden");
        assert_problem(
            &post(verb, "abc", role, r#"{"x":1}"#),
            400,
            "invalid_request",
        );
        assert_problem(&post(verb, "abc", role, "{}"), 404, "ticket_not_found");
        let reused = post(verb, &ticket, role, "{}");
        assert_problem(&reused, 422, "idempotency_key_reused");
    }
    server.confirm(&ticket).expect_status(200);
    check_in(&server, &ticket).expect_status(200);
    let strange = r#"{"email":"eve@example.com"}"#;
    let path = format!("/tickets/{ticket}/cancel");
    let refused = server.post(&path, "user", strange);
    assert_problem(&refused, 409, "email_mismatch");
    let refused = server.post(&path, "user", "{}");
    assert_problem(&refused, 409, "already_checked_in");
}

/// Of those that follow each other at one call, the earlier is told.
#[test]
fn extending_and_paying_refuse_in_the_same_order() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 2);
    let [paid, held] = ["ada@example.com", "bob@example.com"].map(|who| sell(&server, event, who));
    let body = r#"{"email":"eve@example.com","wait":true}"#;
    let path = format!("/events/{event}/register");
    let waiting = server
        .post(&path, "user", body)
        .expect_status(202)
        .text("ticket_id");
    let pay = |ticket: &str, body: &str| {
        let path = format!("/tickets/{ticket}/confirm");
        server.post(&path, "user", body)
    };
    let extend = |ticket: &str, body: &str| {
        let path = format!("/tickets/{ticket}/extend");
        server.post(&path, "user", body)
    };
    pay(&paid, r#"{"payment_ref":"pay_1"}"#).expect_status(200);
    let strange = r#"{"email":"zoe@example.com"}"#;
    for ticket in [&paid, &held, &waiting] {
        assert_problem(&pay(ticket, strange), 409, "email_mismatch");
        assert_problem(&extend(ticket, strange), 409, "email_mismatch");
    }
    assert_problem(&pay(&waiting, "{}"), 409, "ticket_waiting");
    assert_problem(&extend(&waiting, "{}"), 409, "ticket_waiting");
    assert_problem(&extend(&paid, "{}"), 409, "already_confirmed");
    clock.advance(299_999);
    extend(&held, "{}").expect_status(200);
    clock.advance(299_999);
    extend(&held, "{}").expect_status(200);
    clock.advance(299_999);
    extend(&held, "{}").expect_status(200);
    assert_problem(&extend(&held, "{}"), 409, "extension_refused");
    clock.advance(3);
    assert_problem(&extend(&held, strange), 410, "hold_expired");
    assert_problem(&pay(&held, strange), 410, "hold_expired");
}

#[test]
fn a_party_that_is_too_large_is_a_matter_of_the_body_but_behind_a_replay() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 5);
    let register = |key: &str| {
        let body = r#"{"email":"ada@example.com","spots":3}"#;
        let headers = [("X-Role", "user"), ("Idempotency-Key", key)];
        let path = format!("/events/{event}/register");
        server.client().request("POST", &path, &headers, Some(body))
    };
    let first = register("k").expect_status(201);
    change_event(&server, event, r#"{"party_max":2}"#).expect_status(200);
    assert_eq!(register("k").expect_status(201).body, first.body);
    cancel_event(&server, event).expect_status(200);
    assert_problem(&register("other"), 400, "invalid_request");
}
