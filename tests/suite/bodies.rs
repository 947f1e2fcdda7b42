//! What a body may be: its size, its declared type, its JSON. The members themselves are in
//! `events`, `register` and `tickets`.

use super::contract_support::{
    JSON, ORGANIZER, USER, assert_names, assert_problem, sell, send, unlimited,
};
use crate::support::{Client, Response, Server};

const EVENT: &str = r#"{"name":"Walk","total_spots":5}"#;

fn create(server: &Server, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = [&[ORGANIZER], headers].concat();
    send(server, "POST", "/events", &headers, Some(body))
}

fn padded(body: &str, length: usize) -> String {
    format!("{body:<length$}")
}

#[test]
fn a_body_may_have_1024_bytes_and_not_one_more() {
    let server = unlimited();
    create(&server, &[JSON], &padded(EVENT, 1_024)).expect_status(201);
    for length in [1_025, 2_000, 8_000] {
        let response = create(&server, &[JSON], &padded(EVENT, length));
        assert_problem(&response, 413, "body_too_large");
    }
    assert_eq!(server.get("/events").json().as_array().unwrap().len(), 1);
}

/// Not every client heeds "close" when another value of Connection comes before it.
#[test]
fn who_sends_all_of_a_body_too_large_gets_to_read_why_it_is_refused() {
    let server = unlimited();
    for length in [1_025, 2_000, 60_000] {
        let mut client = Client::connect(server.addr());
        let head = "POST /events HTTP/1.1\r\nHost: a\r\nX-Role: organizer\r\nContent-Length:";
        client.send_raw(format!("{head} {length}\r\n\r\n{}", padded(EVENT, length)).as_bytes());
        assert_problem(&client.read_response(), 413, "body_too_large");
        assert!(client.is_closed_by_server());
    }
}

#[test]
fn the_limit_holds_on_every_route_and_method() {
    let server = unlimited();
    for (method, path) in [
        ("POST", "/events/1/register"),
        ("POST", "/tickets/x/confirm"),
        ("GET", "/events"),
        ("DELETE", "/events"),
        ("GET", "/nowhere"),
        ("GET", "/healthz"),
    ] {
        let headers = [USER, ("Content-Length", "1025")];
        let response = send(&server, method, path, &headers, None);
        assert_problem(&response, 413, "body_too_large");
    }
}

#[test]
fn a_body_that_is_not_declared_json_is_refused() {
    let server = unlimited();
    let refused = [
        "text/plain",
        "text/plain; charset=utf-8",
        "text/json",
        "application/xml",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "json",
        "text/html;application/json",
    ];
    for media_type in refused {
        let response = create(&server, &[("Content-Type", media_type)], EVENT);
        assert_problem(&response, 415, "unsupported_media_type");
    }
    let response = create(&server, &[("Content-Type", "text/plain")], "{");
    assert_problem(&response, 415, "unsupported_media_type");
}

#[test]
fn json_is_taken_however_it_is_declared_or_not_at_all() {
    let server = unlimited();
    let taken = [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/json ; charset=utf-8",
    ];
    for media_type in taken {
        create(&server, &[("Content-Type", media_type)], EVENT).expect_status(201);
    }
    create(&server, &[], EVENT).expect_status(201);
}

#[test]
fn what_curl_calls_a_form_is_taken_if_it_is_json() {
    let server = unlimited();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    create(&server, &form, EVENT).expect_status(201);
    let response = create(&server, &form, r#"{"name":"Walk"}"#);
    assert_problem(&response, 400, "invalid_request");
    // JSON of a wrong shape is JSON.
    for body in ["[]", "5", r#"{"name":"a","name":"b","total_spots":5}"#] {
        assert_problem(&create(&server, &form, body), 400, "invalid_request");
    }
    let response = create(&server, &form, "name=Walk&total_spots=5");
    assert_problem(&response, 415, "unsupported_media_type");
}

#[test]
fn what_is_no_json_is_refused_as_such() {
    let server = unlimited();
    let deep = "[".repeat(1_000);
    let deep_object = r#"{"a":"#.repeat(200);
    let bodies = [
        "",
        " ",
        "{",
        "}",
        "nonsense",
        r#"{"name":"Walk","total_spots":5,}"#,
        r#"{"name":"Walk","total_spots":5} x"#,
        r#"{"name":"Walk","total_spots":5}{}"#,
        r#"{"name":"Walk","total_spots":05}"#,
        r#"{"name":"Walk","total_spots":NaN}"#,
        r#"{"name":"Walk" "total_spots":5}"#,
        r#"{name:"Walk","total_spots":5}"#,
        r#"{'name':'Walk','total_spots':5}"#,
        "{\"name\":\"a\nb\",\"total_spots\":5}",
        r#"{"name":"\ud800","total_spots":5}"#,
        r#"{"name":"\x41","total_spots":5}"#,
        r#"{"name":"Walk","total_spots":5"#,
        r#"{"name":"Walk","total_spots":+5}"#,
        &deep,
        &deep_object,
    ];
    for body in bodies {
        let response = create(&server, &[JSON], body);
        assert_problem(&response, 400, "invalid_json");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_no_json() {
    let server = unlimited();
    let mut client = Client::connect(server.addr());
    let mut request = b"POST /events HTTP/1.1\r\nHost: a\r\nX-Role: organizer\r\n".to_vec();
    let body = b"{\"name\":\"W\xe4lk\",\"total_spots\":5}";
    request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
    request.extend(body);
    client.send_raw(&request);
    assert_problem(&client.read_response(), 400, "invalid_json");
}

#[test]
fn json_that_is_no_object_is_the_wrong_type() {
    let server = unlimited();
    for body in ["[]", "null", "7", "true", "\"Walk\"", r#"["Walk",5]"#] {
        let response = create(&server, &[JSON], body);
        assert_problem(&response, 400, "invalid_request");
    }
}

#[test]
fn a_member_given_twice_is_refused_and_named() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let register = format!("/events/{event}/register");
    let confirm = format!("/tickets/{ticket}/confirm");
    let twice = [
        (
            "/events",
            ORGANIZER,
            r#"{"name":"a","name":"b","total_spots":5}"#,
            "name",
        ),
        (
            "/events",
            ORGANIZER,
            r#"{"name":"a","total_spots":5,"total_spots":5}"#,
            "total_spots",
        ),
        (&register, USER, r#"{"email":"c@d","email":"e@f"}"#, "email"),
        (
            &register,
            USER,
            r#"{"email":"c@d","e\u006dail":"c@d"}"#,
            "email",
        ),
        (
            &confirm,
            USER,
            r#"{"email":"ada@example.com","email":"ada@example.com"}"#,
            "email",
        ),
    ];
    for (path, role, body, member) in twice {
        let response = send(&server, "POST", path, &[role, JSON], Some(body));
        assert_problem(&response, 400, "invalid_request");
        assert_names(&response, member);
    }
    assert_eq!(server.event(event)["available_spots"], 4);
}

#[test]
fn escapes_and_white_space_are_json_as_ever() {
    let server = unlimited();
    let body = "\r\n\t {\"n\\u0061me\" : \"\\ud83c\\udf9f\\u00e9\" , \"total_spots\":5 }\n";
    let event = create(&server, &[JSON], body).expect_status(201).json();
    assert_eq!(event["name"], "🎟é");
}
