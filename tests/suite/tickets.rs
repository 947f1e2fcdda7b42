//! `GET /tickets/{id}` and `POST /tickets/{id}/confirm`: the life of a ticket, to the millisecond.

use super::contract_support::{
    JSON, NO_TICKET, USER, assert_names, assert_problem, frozen, get_ticket, media_type, rfc3339,
    sell, send, unlimited,
};
use crate::support::{PATIENCE, Response, Server, wait_until};
use serde_json::json;

fn confirm(server: &Server, ticket: &str, body: Option<&str>) -> Response {
    let path = format!("/tickets/{ticket}/confirm");
    send(server, "POST", &path, &[USER, JSON], body)
}

#[test]
fn a_confirmed_ticket_says_when_and_no_longer_expires() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let created = clock.now_ms();
    clock.advance(60_000);
    let response = confirm(&server, &ticket, Some("{}")).expect_status(200);
    assert_eq!(media_type(&response), "application/json");
    let expected = json!({
        "ticket_id": ticket,
        "event_id": event,
        "email": "ada@example.com",
        "spots": 1,
        "status": "confirmed",
        "created_at": rfc3339(created),
        "confirmed_at": rfc3339(created + 60_000),
    });
    assert_eq!(response.json(), expected);
    clock.advance(1_000_000);
    assert_eq!(get_ticket(&server, &ticket), expected);
    assert_eq!(server.event(event)["available_spots"], 4);
    server.assert_invariants();
}

#[test]
fn confirming_again_gives_the_same_answer_whenever() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let first = confirm(&server, &ticket, Some("{}")).expect_status(200);
    for _ in 0..2 {
        clock.advance(200_000);
        let again = confirm(&server, &ticket, Some("{}")).expect_status(200);
        assert_eq!(again.body, first.body);
    }
    let sql = "SELECT count(*) FROM ledger WHERE kind = 'confirmed'";
    let written: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(written, 1);
}

#[test]
fn the_address_may_be_left_out_and_is_compared_without_case() {
    let server = unlimited();
    let bodies = [
        None,
        Some(""),
        Some("{}"),
        Some(" {} "),
        Some(r#"{"email":"Ada@Example.com"}"#),
        Some(r#"{"email":"aDA@eXAMPLE.COM"}"#),
    ];
    for body in bodies {
        let event = server.create_event("Harbour walk", 5);
        let ticket = sell(&server, event, "Ada@Example.com");
        for _ in 0..2 {
            let response = confirm(&server, &ticket, body).expect_status(200);
            assert_eq!(response.text("status"), "confirmed");
            assert_eq!(response.text("email"), "Ada@Example.com");
        }
    }
}

#[test]
fn another_persons_address_does_not_confirm() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let other = Some(r#"{"email":"bob@example.com"}"#);
    assert_problem(&confirm(&server, &ticket, other), 409, "email_mismatch");
    assert_eq!(get_ticket(&server, &ticket)["status"], "reserved");
    confirm(&server, &ticket, Some("{}")).expect_status(200);
    assert_problem(&confirm(&server, &ticket, other), 409, "email_mismatch");
}

#[test]
fn a_hold_is_live_until_the_millisecond_before_it_expires() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    let [early, late] = ["early@example.com", "late@example.com"].map(|e| sell(&server, event, e));
    clock.advance(299_999);
    assert_eq!(get_ticket(&server, &late)["status"], "reserved");
    confirm(&server, &early, Some("{}")).expect_status(200);
    clock.advance(1);
    assert_eq!(get_ticket(&server, &late)["status"], "cancelled");
    assert_problem(&confirm(&server, &late, Some("{}")), 410, "hold_expired");
    confirm(&server, &early, Some("{}")).expect_status(200);
    server.assert_invariants();
}

#[test]
fn an_expired_hold_is_told_the_same_way_swept_or_not() {
    let (clock, unswept) = frozen(&[]);
    let event = unswept.create_event("Harbour walk", 5);
    let ticket = sell(&unswept, event, "ada@example.com");
    let created = clock.now_ms();
    clock.advance(400_000);
    let expected = json!({
        "ticket_id": ticket,
        "event_id": event,
        "email": "ada@example.com",
        "spots": 1,
        "status": "cancelled",
        "cancel_reason": "expired",
        "created_at": rfc3339(created),
        "cancelled_at": rfc3339(created + 300_000),
    });
    assert_eq!(get_ticket(&unswept, &ticket), expected);
    assert_problem(&confirm(&unswept, &ticket, Some("{}")), 410, "hold_expired");
    assert_eq!(get_ticket(&unswept, &ticket), expected);
    unswept.sigterm();
    assert!(unswept.wait(PATIENCE).success());

    // The same file under a server that sweeps.
    let swept = Server::builder().rate_limit_off().db(unswept.db_path());
    let swept = swept.args(clock.flags()).args(["--sweep", "100ms"]).start();
    let is_swept = || {
        let sql = "SELECT status = 'cancelled' FROM tickets";
        swept.db().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(wait_until(PATIENCE, is_swept));
    assert_eq!(get_ticket(&swept, &ticket), expected);
    assert_problem(&confirm(&swept, &ticket, Some("{}")), 410, "hold_expired");
    swept.assert_invariants();
}

#[test]
fn a_hold_that_gave_way_to_another_sale_stays_expired() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 1);
    let first = sell(&server, event, "ada@example.com");
    clock.advance(300_000);
    let second = sell(&server, event, "ada@example.com");
    assert_problem(&confirm(&server, &first, Some("{}")), 410, "hold_expired");
    confirm(&server, &second, Some("{}")).expect_status(200);
    assert_eq!(get_ticket(&server, &first)["cancel_reason"], "expired");
    server.assert_invariants();
}

#[test]
fn a_cancelled_ticket_cannot_be_confirmed() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Harbour walk", 5);
    for (reason, confirm_first) in [("holder", false), ("organizer", true)] {
        let ticket = sell(&server, event, &format!("{reason}@example.com"));
        if confirm_first {
            confirm(&server, &ticket, Some("{}")).expect_status(200);
        }
        let cancelled_at = clock.now_ms() + 7;
        server.change_by_hand(&format!(
            "UPDATE tickets SET status = 'cancelled', cancelled_at = {cancelled_at},
             cancel_reason = '{reason}' WHERE ticket_id = {}",
            server.literal(&ticket)
        ));
        clock.advance(1_000_000);
        assert_problem(
            &confirm(&server, &ticket, Some("{}")),
            409,
            "ticket_cancelled",
        );
        let shown = get_ticket(&server, &ticket);
        assert_eq!(shown["status"], "cancelled");
        assert_eq!(shown["cancel_reason"], reason);
        assert_eq!(shown["cancelled_at"], rfc3339(cancelled_at));
    }
}

#[test]
fn a_ticket_that_is_not_there_is_not_found() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let shorter = &ticket[..35];
    let braced = format!("{{{ticket}}}");
    let bare = ticket.replace('-', "");
    let ids = [
        NO_TICKET,
        "1",
        "abc",
        shorter,
        &braced,
        &bare,
        "%",
        "%00",
        "null",
        "gggggggg-0000-4000-8000-000000000000",
        "' OR '1'='1",
    ];
    for id in ids.map(|id| id.replace(' ', "%20")) {
        let shown = send(&server, "GET", &format!("/tickets/{id}"), &[USER], None);
        assert_problem(&shown, 404, "ticket_not_found");
        assert_problem(&confirm(&server, &id, Some("{}")), 404, "ticket_not_found");
    }
    assert_eq!(get_ticket(&server, &ticket)["status"], "reserved");
}

#[test]
fn a_bad_body_does_not_confirm_and_is_named() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let bad = [
        (r#"{"email":"ada"}"#, "email"),
        (r#"{"email":null}"#, "email"),
        (r#"{"email":["ada@example.com"]}"#, "email"),
        (r#"{"status":"confirmed"}"#, "status"),
        (r#"{"idempotency_key":"k"}"#, "idempotency_key"),
    ];
    for (body, member) in bad {
        let response = confirm(&server, &ticket, Some(body));
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, member);
    }
    assert_eq!(get_ticket(&server, &ticket)["status"], "reserved");
}
