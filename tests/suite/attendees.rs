//! `GET /events/{id}/tickets` as pages of JSON: every ticket once, as it is now, to the organizer.

use super::contract_support::{
    ORGANIZER, USER, assert_names, assert_problem, cancel_ticket, fill, frozen, get_ticket,
    media_type, sell, sell_for_good, send, unlimited,
};
use crate::support::{Response, Server};
use serde_json::{Value, json};

fn list(server: &Server, path: &str) -> Response {
    send(server, "GET", path, &[ORGANIZER], None)
}

fn next(response: &Response) -> Option<String> {
    let link = response.header("Link")?;
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.expect("a link to the next page").to_owned())
}

/// Follows the links from `path` to the end.
fn pages(server: &Server, path: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut path = Some(path.to_owned());
    while let Some(here) = path {
        let response = list(server, &here).expect_status(200);
        pages.push(response.json().as_array().unwrap().clone());
        path = next(&response);
        assert!(pages.len() < 100, "links without end");
    }
    pages
}

fn ids(tickets: &[Value]) -> Vec<&str> {
    let ids = tickets.iter().map(|t| t["ticket_id"].as_str());
    ids.map(|id| id.expect("an id")).collect()
}

#[test]
fn tickets_come_in_the_order_of_their_sale_and_just_as_they_come_alone() {
    let server = unlimited();
    let [event, other] = ["Walk", "Talk"].map(|name| server.create_event(name, 9));
    let path = format!("/events/{event}/tickets");
    let empty = list(&server, &path).expect_status(200);
    assert_eq!(media_type(&empty), "application/json");
    assert_eq!((empty.json(), next(&empty)), (json!([]), None));
    let held = sell(&server, event, "ada@example.com");
    sell(&server, other, "ada@example.com");
    let confirmed = sell_for_good(&server, event, "bob@example.com");
    let cancelled = sell(&server, event, "eve@example.com");
    cancel_ticket(&server, &cancelled).expect_status(200);
    let expected = [&held, &confirmed, &cancelled].map(|ticket| get_ticket(&server, ticket));
    let shown = list(&server, &path).expect_status(200);
    assert_eq!(shown.json(), json!(expected));
    assert_eq!(shown.header("Vary"), Some("Accept, X-Role"));
}

#[test]
fn pages_hold_every_ticket_once_whatever_the_limit() {
    let server = unlimited();
    let [event, other] = ["Walk", "Talk"].map(|name| server.create_event(name, 200));
    let mut sold = Vec::new();
    for n in 0..7 {
        sold.push(sell(&server, event, &format!("buyer-{n}@example.com")));
        sell(&server, other, &format!("buyer-{n}@example.com"));
    }
    for limit in [1, 2, 3, 6, 7, 8, 100] {
        let pages = pages(&server, &format!("/events/{event}/tickets?limit={limit}"));
        assert_eq!(pages.len(), 7_usize.div_ceil(limit), "limit {limit}");
        assert_eq!(ids(&pages.concat()), sold, "limit {limit}");
    }
}

#[test]
fn a_ticket_sold_between_two_pages_neither_repeats_nor_hides_another() {
    let server = unlimited();
    let event = server.create_event("Walk", 9);
    let sell = |n: u32| sell(&server, event, &format!("buyer-{n}@example.com"));
    let mut sold: Vec<_> = (0..4).map(sell).collect();
    let first = list(&server, &format!("/events/{event}/tickets?limit=2"));
    cancel_ticket(&server, &sold[1]).expect_status(200);
    sold.push(sell(4));
    let rest = pages(&server, &next(&first).expect("a second page"));
    let first = first.json().as_array().unwrap().clone();
    assert_eq!(ids(&[first, rest.concat()].concat()), sold);
}

#[test]
fn a_filter_holds_on_every_page_and_takes_an_expired_hold_for_cancelled() {
    let (clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 20);
    let mut expected = json!({"reserved": [], "confirmed": [], "cancelled": []});
    let mut note = |status: &str, ticket: String| {
        expected[status].as_array_mut().unwrap().push(json!(ticket));
    };
    for n in 0..3 {
        note(
            "cancelled",
            sell(&server, event, &format!("late-{n}@example.com")),
        );
    }
    clock.advance(300_000);
    for n in 0..3 {
        note(
            "reserved",
            sell(&server, event, &format!("held-{n}@example.com")),
        );
        note(
            "confirmed",
            sell_for_good(&server, event, &format!("guest-{n}@example.com")),
        );
        let given_back = sell(&server, event, &format!("ill-{n}@example.com"));
        cancel_ticket(&server, &given_back).expect_status(200);
        note("cancelled", given_back);
    }
    for status in ["reserved", "confirmed", "cancelled"] {
        let path = format!("/events/{event}/tickets?status={status}&limit=2");
        let tickets = pages(&server, &path).concat();
        assert_eq!(json!(ids(&tickets)), expected[status]);
        assert!(tickets.iter().all(|t| t["status"] == status), "{tickets:?}");
    }
    let sql = "SELECT count(*) FROM ledger WHERE kind = 'expired'";
    let swept: i64 = server.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(swept, 0, "reading must not need a sweep");
}

#[test]
fn without_a_limit_a_page_has_fifty() {
    let server = unlimited();
    let event = server.create_event("Stadium", 1_000);
    fill(&server, event, 120);
    let pages = pages(&server, &format!("/events/{event}/tickets"));
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
}

#[test]
fn a_bad_parameter_is_refused_and_named() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let bad = [
        ("status", "sold"),
        ("status", ""),
        ("status", "RESERVED"),
        ("status", "reserved&status=reserved"),
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "1&limit=1"),
        ("after", ""),
        ("after", "1"),
        ("after", "t-1"),
        // The other list's.
        ("after", "e1"),
        ("after", "t99999999999999999999"),
    ];
    for (name, value) in bad {
        let refused = list(&server, &format!("/events/{event}/tickets?{name}={value}"));
        assert_problem(&refused, 400, "invalid_request");
        assert_names(&refused, name);
    }
    let behind_all = list(
        &server,
        &format!("/events/{event}/tickets?after=t9&colour=red"),
    );
    assert_eq!(behind_all.expect_status(200).json(), json!([]));
    assert_problem(&list(&server, "/events/99/tickets"), 404, "event_not_found");
    let path = format!("/events/{event}/tickets");
    let refused = send(&server, "GET", &path, &[USER], None);
    assert_problem(&refused, 403, "forbidden");
}
