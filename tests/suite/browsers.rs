//! Pages of other origins: who may call, and what they may read (CORS, as the Fetch standard has it).

use super::contract_support::{JSON, USER, list, send};
use crate::support::{Client, Response, Server, fresh_source};

const SHOP: &str = "https://shop.example";

fn server(origins: &[&str]) -> Server {
    let flags = origins.iter().flat_map(|origin| ["--cors-origin", origin]);
    Server::builder().rate_limit_off().args(flags).start()
}

fn preflight(server: &Server, origin: &str, path: &str) -> Response {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,x-role,idempotency-key",
        ),
    ];
    send(server, "OPTIONS", path, &headers, None)
}

fn allowed(response: &Response) -> Option<&str> {
    response.header("Access-Control-Allow-Origin")
}

#[test]
fn a_page_of_an_allowed_origin_may_call_and_read() {
    let server = server(&[SHOP, "http://localhost:3000"]);
    server.create_event("Walk", 1);
    for origin in [SHOP, "http://localhost:3000"] {
        let asked = preflight(&server, origin, "/events/1/register").expect_status(204);
        assert_eq!(allowed(&asked), Some(origin));
        assert!(list(&asked, "Access-Control-Allow-Methods").contains("POST"));
        let headers = list(&asked, "Access-Control-Allow-Headers");
        for name in [
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "X-Role",
        ] {
            assert!(headers.contains(name), "{headers:?}");
        }
        assert!(list(&asked, "Vary").contains("Origin"));
    }
    let body = Some(r#"{"email":"ada@example.com"}"#);
    let headers = [USER, JSON, ("Origin", SHOP)];
    for status in [201, 409] {
        let answer = send(&server, "POST", "/events/1/register", &headers, body);
        assert_eq!(allowed(&answer.expect_status(status)), Some(SHOP));
    }
    let exposed = send(&server, "GET", "/events", &[("Origin", SHOP)], None);
    let exposed = list(&exposed, "Access-Control-Expose-Headers");
    for name in [
        "Location",
        "Link",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "ETag",
        "X-Request-Id",
    ] {
        assert!(exposed.contains(name), "{exposed:?}");
    }
}

#[test]
fn a_page_of_another_origin_may_not() {
    for server in [server(&[]), server(&[SHOP])] {
        server.create_event("Walk", 5);
        for origin in [
            "https://evil.example",
            "https://shop.example.evil.example",
            "http://shop.example",
            "null",
            "",
        ] {
            let asked = preflight(&server, origin, "/events/1/register").expect_status(204);
            assert_eq!(allowed(&asked), None, "{origin}");
            assert_eq!(asked.header("Access-Control-Allow-Methods"), None);
            let answer = send(&server, "GET", "/events", &[("Origin", origin)], None);
            assert_eq!(allowed(&answer.expect_status(200)), None, "{origin}");
        }
    }
}

#[test]
fn a_star_lets_every_page_call() {
    let server = server(&["*"]);
    let answer = send(&server, "GET", "/events", &[("Origin", "null")], None);
    assert_eq!(allowed(&answer), Some("*"));
    assert!(
        !list(&answer, "Vary").contains("Origin"),
        "the answer is the same for all"
    );
    let asked = preflight(&server, "https://evil.example", "/events").expect_status(204);
    assert_eq!(allowed(&asked), Some("*"));
}

#[test]
fn preflights_are_not_counted_and_refusals_by_the_limit_can_be_read() {
    let server = Server::start(&["--cors-origin", SHOP]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let asked = [("Origin", SHOP), ("Access-Control-Request-Method", "POST")];
    for _ in 0..20 {
        client
            .request("OPTIONS", "/events", &asked, None)
            .expect_status(204);
    }
    let origin = [("Origin", SHOP)];
    for _ in 0..5 {
        client
            .request("GET", "/events", &origin, None)
            .expect_status(200);
    }
    let refused = client
        .request("GET", "/events", &origin, None)
        .expect_status(429);
    assert_eq!(allowed(&refused), Some(SHOP));
    // Of another origin, it is an ordinary request.
    let asked = [("Origin", "https://evil.example"), asked[1]];
    client
        .request("OPTIONS", "/events", &asked, None)
        .expect_status(429);
}

#[test]
fn an_origin_is_written_as_browsers_write_it() {
    for wrong in [
        "shop.example",
        "https://shop.example/",
        "https://",
        "ftp://shop.example",
        "https://a b",
        "",
    ] {
        let run = super::contract_support::run(&["--cors-origin", wrong], &[]);
        assert_eq!(run.status.code(), Some(2), "{wrong:?}: {run:?}");
        assert!(run.stderr.contains("cors-origin"), "{run:?}");
    }
}
