//! `GET /events`: order, pages, and that a bad `limit` or `after` is never page one.

use super::contract_support::{assert_names, assert_problem, media_type, send, unlimited};
use crate::support::{Client, Response, Server};
use serde_json::json;

fn create_events(server: &Server, count: usize) -> Vec<i64> {
    let mut client = Client::connect(server.addr());
    let create = |n: usize| {
        let body = json!({"name": format!("Walk {n}"), "total_spots": 5}).to_string();
        let response = client
            .post("/events", "organizer", &body)
            .expect_status(201);
        response.json()["id"].as_i64().unwrap()
    };
    (0..count).map(create).collect()
}

fn ids(response: &Response) -> Vec<i64> {
    let list = response.json();
    let events = list.as_array().expect("an array");
    events.iter().map(|e| e["id"].as_i64().unwrap()).collect()
}

/// The path of the next page, from `Link: <...>; rel="next"`.
fn next(response: &Response) -> Option<String> {
    let link = response.header("Link")?;
    let rest = link.strip_prefix('<').expect("a bracket");
    let (target, rel) = rest.split_once('>').expect("a bracket");
    assert_eq!(rel.trim_start_matches([';', ' ']), r#"rel="next""#);
    Some(target.to_owned())
}

/// Follows the links from `path` to the end.
fn pages(server: &Server, path: &str) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut path = Some(path.to_owned());
    while let Some(here) = path {
        let response = server.get(&here).expect_status(200);
        pages.push(ids(&response));
        path = next(&response);
        assert!(pages.len() < 100, "links without end");
    }
    pages
}

#[test]
fn an_empty_list_is_an_empty_array() {
    let server = unlimited();
    let response = server.get("/events").expect_status(200);
    assert_eq!(media_type(&response), "application/json");
    assert_eq!(response.json(), json!([]));
    assert_eq!(next(&response), None);
}

#[test]
fn events_come_oldest_first_and_just_as_they_come_alone() {
    let server = unlimited();
    let created = create_events(&server, 3);
    let response = server.get("/events").expect_status(200);
    assert_eq!(ids(&response), created);
    for (event, id) in response.json().as_array().unwrap().iter().zip(created) {
        assert_eq!(*event, server.event(id));
    }
}

#[test]
fn pages_hold_every_event_once_whatever_the_limit() {
    let server = unlimited();
    let created = create_events(&server, 7);
    for limit in [1, 2, 3, 6, 7, 8, 100] {
        let pages = pages(&server, &format!("/events?limit={limit}"));
        let longest = pages.iter().map(Vec::len).max().unwrap();
        assert!(longest <= limit, "limit {limit}: {pages:?}");
        assert_eq!(pages.concat(), created, "limit {limit}");
        assert_eq!(
            pages.len(),
            7_usize.div_ceil(limit),
            "limit {limit}: {pages:?}"
        );
    }
}

#[test]
fn without_a_limit_a_page_has_fifty() {
    let server = unlimited();
    let created = create_events(&server, 101);
    let lengths = |path| {
        pages(&server, path)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths("/events"), [50, 50, 1]);
    assert_eq!(lengths("/events?limit=100"), [100, 1]);
    assert_eq!(pages(&server, "/events").concat(), created);
}

#[test]
fn an_event_created_between_two_pages_neither_repeats_nor_hides_another() {
    let server = unlimited();
    let mut created = create_events(&server, 4);
    let first = server.get("/events?limit=2").expect_status(200);
    created.extend(create_events(&server, 1));
    let rest = pages(&server, &next(&first).expect("a second page"));
    assert_eq!([ids(&first), rest.concat()].concat(), created);
}

#[test]
fn a_bad_limit_is_refused_and_named() {
    let server = unlimited();
    create_events(&server, 2);
    let bad = [
        "0",
        "101",
        "-1",
        "",
        "abc",
        "1.5",
        "1e1",
        "%20",
        "99999999999999999999",
        "1%00",
    ];
    for limit in bad {
        let response = server.get(&format!("/events?limit={limit}"));
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "limit");
    }
}

#[test]
fn a_bad_cursor_is_refused_and_named() {
    let server = unlimited();
    create_events(&server, 3);
    let first = server.get("/events?limit=1").expect_status(200);
    let good = next(&first).expect("a second page");
    let (_, cursor) = good.split_once("after=").expect("a cursor");
    let cursor = cursor.split('&').next().unwrap();
    let mangled = [
        String::new(),
        "garbage!".to_owned(),
        "-1".to_owned(),
        "%FF%FE".to_owned(),
        "1.5".to_owned(),
        "'%20OR%201=1--".to_owned(),
        "x".repeat(500),
        format!("{cursor}!"),
        format!("!{cursor}"),
    ];
    for after in mangled {
        let response = server.get(&format!("/events?after={after}"));
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, "after");
    }
}

#[test]
fn unknown_query_parameters_are_ignored() {
    let server = unlimited();
    let created = create_events(&server, 2);
    for query in [
        "?",
        "?colour=red",
        "?x",
        "?&&",
        "?limit=2&colour=%zz",
        "?LIMIT=0",
    ] {
        let response = server.get(&format!("/events{query}")).expect_status(200);
        assert_eq!(ids(&response), created, "{query}");
    }
}

#[test]
fn head_tells_of_the_next_page_too() {
    let server = unlimited();
    create_events(&server, 3);
    let get = send(&server, "GET", "/events?limit=2", &[], None);
    let head = send(&server, "HEAD", "/events?limit=2", &[], None).expect_status(200);
    assert_eq!(next(&head), next(&get));
    assert!(next(&head).is_some());
}
