//! One ticket for a party: all of its spots or none, given back in parts, and each lets in once.

use super::contract_support::{
    JSON, ORGANIZER, assert_names, assert_problem, get_ticket, ledger, send, unlimited,
};
use crate::support::stampede::{Order, rush};
use crate::support::{Response, Server, assert_sound};
use serde_json::json;
use std::sync::Barrier;

fn register(server: &Server, event: i64, name: &str, spots: i64) -> Response {
    let body = json!({"email": format!("{name}@example.com"), "spots": spots});
    let path = format!("/events/{event}/register");
    server.post(&path, "user", &body.to_string())
}

fn sell(server: &Server, event: i64, name: &str, spots: i64) -> String {
    let sold = register(server, event, name, spots).expect_status(201);
    assert_eq!(sold.json()["spots"], spots);
    sold.text("ticket_id")
}

fn post(server: &Server, ticket: &str, what: &str, spots: Option<i64>) -> Response {
    let role = if what == "check-in" {
        "organizer"
    } else {
        "user"
    };
    let body = spots.map_or(json!({}), |spots| json!({"spots": spots}));
    server.post(
        &format!("/tickets/{ticket}/{what}"),
        role,
        &body.to_string(),
    )
}

#[test]
fn a_party_is_sold_all_of_its_spots_or_none() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada", 3);
    let refused = register(&server, event, "bob", 3);
    assert_problem(&refused, 409, "sold_out");
    assert_eq!(refused.json()["available_spots"], 2);
    sell(&server, event, "bob", 2);
    assert_eq!(server.event(event)["available_spots"], 0);
    post(&server, &ticket, "cancel", None).expect_status(200);
    assert_eq!(server.event(event)["available_spots"], 3);
    server.assert_invariants();
}

#[test]
fn a_party_may_be_as_large_as_the_event_lets_it() {
    let server = unlimited();
    let event = server.create_event("Walk", 500);
    for spots in [0, 101] {
        let refused = register(&server, event, "ada", spots);
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, "spots");
    }
    let refused = register(&server, event, "ada", 11);
    assert_problem(&refused, 400, "invalid_request");
    assert_names(&refused, "spots");
    sell(&server, event, "ada", 10);
    let change = |body| {
        let path = format!("/events/{event}");
        send(&server, "PATCH", &path, &[ORGANIZER, JSON], Some(body)).expect_status(200)
    };
    change(r#"{"party_max":100}"#);
    sell(&server, event, "bob", 100);
    change(r#"{"party_max":1}"#);
    assert_problem(&register(&server, event, "eve", 2), 400, "invalid_request");
    sell(&server, event, "eve", 1);
    assert_sound(server.db_path());
}

#[test]
fn part_of_a_party_is_given_back_and_the_ticket_stays() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada", 4);
    let smaller = post(&server, &ticket, "cancel", Some(1)).expect_status(200);
    assert_eq!(
        (smaller.json()["spots"].as_i64(), smaller.text("status")),
        (Some(3), "reserved".into())
    );
    server.confirm(&ticket).expect_status(200);
    post(&server, &ticket, "cancel", Some(2)).expect_status(200);
    assert_eq!(get_ticket(&server, &ticket)["spots"], 1);
    assert_eq!(server.event(event)["available_spots"], 4);
    for spots in [1, 2] {
        let refused = post(&server, &ticket, "cancel", Some(spots));
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, "spots");
    }
    post(&server, &ticket, "cancel", None).expect_status(200);
    let told = [
        "created",
        "reserved",
        "reduced",
        "confirmed",
        "reduced",
        "cancelled",
    ];
    let spots = [5, -4, 1, 0, 2, 1];
    let expected = told.iter().map(|kind| kind.to_string()).zip(spots);
    assert_eq!(ledger(&server, event), expected.collect::<Vec<_>>());
    assert_sound(server.db_path());
}

#[test]
fn exactly_as_many_are_let_in_as_the_party_has_however_many_doors() {
    let server = unlimited();
    let event = server.create_event("Walk", 10);
    let ticket = sell(&server, event, "ada", 7);
    server.confirm(&ticket).expect_status(200);
    let start_line = Barrier::new(12);
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let doors: Vec<_> = (0..12)
            .map(|door| {
                let (server, ticket, start_line) = (&server, &ticket, &start_line);
                scope.spawn(move || {
                    start_line.wait();
                    post(server, ticket, "check-in", Some(1 + door % 2))
                })
            })
            .collect();
        doors.into_iter().map(|door| door.join().unwrap()).collect()
    });
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_problem(refused, 409, "already_checked_in");
        assert_eq!(refused.json()["spots"], 7);
    }
    let came = get_ticket(&server, &ticket)["checked_in_spots"].as_i64();
    assert!(came >= Some(6), "{came:?}");
    post(&server, &ticket, "check-in", None);
    assert_eq!(get_ticket(&server, &ticket)["checked_in_spots"], 7);
    let refused = post(&server, &ticket, "check-in", None);
    assert_problem(&refused, 409, "already_checked_in");
    assert_eq!(refused.json()["checked_in_spots"], 7);
    let sql = "SELECT sum(party) FROM ledger WHERE kind = 'checked_in'";
    let told: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(told, 7);
    assert_problem(
        &post(&server, &ticket, "cancel", Some(1)),
        409,
        "already_checked_in",
    );
    assert_sound(server.db_path());
}

#[test]
fn more_than_the_party_has_are_not_let_in_at_all() {
    let server = unlimited();
    let event = server.create_event("Walk", 10);
    let ticket = sell(&server, event, "ada", 2);
    server.confirm(&ticket).expect_status(200);
    let refused = post(&server, &ticket, "check-in", Some(3));
    assert_problem(&refused, 409, "already_checked_in");
    let told = refused.json();
    assert_eq!(
        (&told["spots"], &told["checked_in_spots"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(told["checked_in_at"], json!(null));
    assert!(get_ticket(&server, &ticket).get("checked_in_at").is_none());
}

#[test]
fn a_crowd_of_parties_is_sold_what_there_is_and_not_one_spot_more() {
    let server = unlimited();
    let event = server.create_event("Walk", 60);
    let order = |n: i64| {
        let order = Order::by(format!("party-{n}@example.com"));
        order.for_spots(1 + n % 10)
    };
    let outcomes = rush(&[server.addr()], event, (0..80).map(order).collect());
    let sold: Vec<i64> = (0..80_i64)
        .zip(&outcomes)
        .filter_map(|(n, outcome)| outcome.is_sale().then_some(1 + n % 10))
        .collect();
    let left = server.event(event)["available_spots"].as_i64().unwrap();
    assert_eq!(sold.iter().sum::<i64>() + left, 60);
    assert!(outcomes.iter().all(|o| o.is_sale() || o.is_sold_out()));
    if left > 0 {
        sell(&server, event, "last", left);
    }
    assert_problem(&register(&server, event, "late", 1), 409, "sold_out");
    assert_sound(server.db_path());
}
