//! The pages for people: who gets them, what their browsers are told, and that each needs nothing
//! but itself. What they do is tried in a browser, by `make pages`.

use super::contract_support::{
    JSON, ORGANIZER, assert_problem, cancel_ticket, change_event, check_in, frozen, list, sell,
    sell_for_good, send, unlimited,
};
use super::keys::add;
use crate::support::{Client, Response, Server, fresh_source};
use base64::Engine as _;
use sha2::{Digest, Sha256};

/// As Chromium sends it when somebody types an address.
const BROWSER: (&str, &str) = (
    "Accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
);
const PAGES: [&str; 3] = ["/events/1", "/organizer", "/door"];
/// A little more than each has in German, the longer of the two.
const PAGE_BYTES_MAX: [usize; 3] = [23_500, 22_500, 16_500];

fn browse(server: &Server, path: &str, language: &str) -> Response {
    let headers = [BROWSER, ("Accept-Language", language)];
    send(server, "GET", path, &headers, None)
}

fn inside<'p>(page: &'p str, tag: &str) -> Vec<&'p str> {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = page.split(&begin).skip(1);
    parts.map(|part| part.split(&end).next().unwrap()).collect()
}

#[test]
fn a_browser_gets_a_page_and_a_program_json() {
    let server = unlimited();
    server.create_event("Walk", 5);
    let path = "/events/1";
    let page = browse(&server, path, "en").expect_status(200);
    assert_eq!(
        page.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    for accept in [
        "*/*",
        "application/json",
        "text/plain",
        "text/html;q=0.5, application/json",
    ] {
        let answer = send(&server, "GET", path, &[("Accept", accept)], None).expect_status(200);
        assert_eq!(answer.json()["name"], "Walk", "{accept}");
        let vary = list(&answer, "Vary");
        assert!(vary.contains("Accept"), "{vary:?}");
    }
    assert_eq!(server.get(path).json()["name"], "Walk", "without Accept");
    let head = send(&server, "HEAD", path, &[BROWSER], None).expect_status(200);
    assert_eq!(head.header("ETag"), page.header("ETag"));
    assert_eq!(head.body, "");
}

#[test]
fn where_there_is_no_event_the_page_says_so() {
    let server = unlimited();
    for path in ["/events/7", "/events/x", "/events/07"] {
        let page = browse(&server, path, "en").expect_status(404);
        assert_eq!(
            page.header("Content-Type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(page.header("Cache-Control"), Some("no-store"));
    }
}

#[test]
fn a_page_runs_its_own_script_and_nothing_else() {
    let server = unlimited();
    server.create_event("Walk", 5);
    for path in PAGES {
        for language in ["en", "de"] {
            let page = browse(&server, path, language).expect_status(200);
            let policy = page.header("Content-Security-Policy").expect("a policy");
            for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
                let found = inside(&page.body, tag);
                assert_eq!(found.len(), 1, "{path}: <{tag}>");
                let hash =
                    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(found[0]));
                let rule = format!("{directive} 'sha256-{hash}';");
                assert!(policy.contains(&rule), "{path}: {rule} in {policy}");
            }
            assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
            // No handler and no style in an attribute, which the policy would keep from working.
            assert!(!page.body.contains(" style=\"") && !page.body.contains(" onclick="));
            assert_eq!(page.header("Referrer-Policy"), Some("no-referrer"));
            assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(page.header("Cache-Control"), Some("no-cache"));
        }
    }
}

#[test]
fn a_page_is_small_whole_and_its_own() {
    let server = unlimited();
    server.create_event("Walk", 5);
    for (path, bytes_max) in PAGES.into_iter().zip(PAGE_BYTES_MAX) {
        for language in ["en", "de"] {
            let page = browse(&server, path, language).body;
            assert!(page.len() <= bytes_max, "{path}: {} bytes", page.len());
            for elsewhere in ["http://", "https://", "src=", "@import", ":url("] {
                assert!(!page.contains(elsewhere), "{path} has {elsewhere}");
            }
            assert!(!page.contains("{{"), "{path}: a place without a text");
        }
    }
}

#[test]
fn a_page_speaks_the_readers_language() {
    let server = unlimited();
    server.create_event("Walk", 5);
    let preferred = [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr,de;q=0.3", "de"),
        ("fr", "en"),
        ("*", "en"),
        ("de;q=0", "en"),
        ("", "en"),
        ("de;q=x", "en"),
    ];
    for path in PAGES {
        let mut etags = std::collections::BTreeSet::new();
        for (asked, language) in preferred {
            let page = browse(&server, path, asked);
            assert_eq!(page.header("Content-Language"), Some(language), "{asked}");
            assert!(
                page.body.contains(&format!("<html lang=\"{language}\"")),
                "{asked}"
            );
            assert!(list(&page, "Vary").contains("Accept-Language"));
            etags.insert(page.header("ETag").expect("an ETag").to_owned());
        }
        assert_eq!(etags.len(), 2, "{path}");
    }
}

#[test]
fn an_event_names_where_to_pay() {
    let server = unlimited();
    let url = "https://pay.example/?for={ticket_id}";
    let body = format!(r#"{{"name":"Walk","total_spots":5,"payment_url":"{url}"}}"#);
    let made = send(&server, "POST", "/events", &[ORGANIZER, JSON], Some(&body));
    assert_eq!(made.expect_status(201).json()["payment_url"], url);
    assert_eq!(server.get("/events/1").json()["payment_url"], url);
    let taken_away = change_event(&server, 1, r#"{"payment_url":null}"#).expect_status(200);
    assert!(taken_away.json()["payment_url"].is_null());
}

/// Whoever buys without a key gets the picture without one.
#[test]
fn the_picture_of_a_public_sale_takes_no_key() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    change_event(&server, event, r#"{"public_sale":true}"#).expect_status(200);
    let path = format!(
        "/tickets/{}/qr.svg",
        sell_for_good(&server, event, "ada@example.com")
    );
    send(&server, "GET", &path, &[], None).expect_status(200);
}

/// Every text is there in every language.
#[test]
fn no_text_is_left_untranslated() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/pages/texts.json");
    let text = std::fs::read_to_string(file).unwrap();
    let texts: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (page, texts) in texts.as_object().unwrap() {
        for (name, text) in texts.as_object().unwrap() {
            let languages: Vec<&String> = text.as_object().unwrap().keys().collect();
            assert_eq!(languages, ["de", "en"], "{page}: {name}");
        }
    }
}

/// Every text has its place in a page, or a name that the page's script says or puts together.
#[test]
fn no_text_is_left_unused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/pages/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let texts: serde_json::Value = serde_json::from_str(&read("texts.json")).unwrap();
    let scripts = read("common.js") + &read("follow.js");
    let put_together = ["_title", "_text", "_one", "refused_", "field_", "kind_"];
    for (page, texts) in texts.as_object().unwrap() {
        let pages = match page.as_str() {
            "common" => ["buyer", "organizer", "door"].as_slice(),
            page => &[page],
        };
        let pages = pages.iter().map(|page| read(&format!("{page}.html")));
        let source: String = pages.chain([scripts.clone()]).collect();
        for name in texts.as_object().unwrap().keys() {
            let is_said = ["{{NAME}}", "\"NAME\"", "texts.NAME"]
                .iter()
                .any(|form| source.contains(&form.replace("NAME", name)));
            let is_built = put_together.iter().any(|part| name.contains(part));
            assert!(is_said || is_built, "{page}: {name}");
        }
    }
}

#[test]
fn pages_are_where_a_proxy_mounts_the_server() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--base-path", "/tickets"])
        .start();
    server.create_event("Walk", 5);
    for path in PAGES {
        for path in [path.to_owned(), format!("/tickets{path}")] {
            let page = browse(&server, &path, "en").expect_status(200);
            assert!(
                page.body.contains("data-root=\"."),
                "{path} finds the API by its own path"
            );
        }
    }
}

#[test]
fn a_page_is_not_sent_again_to_whoever_has_it() {
    let server = unlimited();
    let page = browse(&server, "/door", "en");
    let etag = page.header("ETag").unwrap();
    let headers = [BROWSER, ("If-None-Match", etag)];
    let again = send(&server, "GET", "/door", &headers, None).expect_status(304);
    assert_eq!(again.body, "");
}

/// The code in a picture of it: a digest, because tests read no pictures (the browser's do).
fn door_code(ticket_id: &str, event: i64) -> String {
    let id = u128::from_str_radix(&ticket_id.replace('-', ""), 16)
        .unwrap()
        .to_be_bytes();
    let hash = Sha256::new()
        .chain_update(b"lastseat door code 1")
        .chain_update(id)
        .finalize();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    format!("{event}T{}{}", hex(&id[..6]), hex(&hash[..10]))
}

#[test]
fn a_door_code_lets_in_once_and_does_nothing_else() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell_for_good(&server, event, "ada@example.com");
    let others = sell_for_good(&server, event, "bob@example.com");
    let code = door_code(&ticket, event);
    for act in ["confirm", "cancel"] {
        let refused = server.post(&format!("/tickets/{code}/{act}"), "user", "");
        assert_problem(&refused, 404, "ticket_not_found");
    }
    assert_problem(
        &server.get(&format!("/tickets/{code}")),
        404,
        "ticket_not_found",
    );
    let key = [ORGANIZER, ("Idempotency-Key", "scan-1")];
    let path = format!("/tickets/{code}/check-in");
    let first = send(&server, "POST", &path, &key, None).expect_status(200);
    assert_eq!(first.text("ticket_id"), ticket);
    let again = send(&server, "POST", &path, &key, None).expect_status(200);
    assert_eq!(again.body, first.body);
    assert_problem(&check_in(&server, &code), 409, "already_checked_in");
    assert_problem(&check_in(&server, &ticket), 409, "already_checked_in");
    check_in(&server, &others).expect_status(200);
}

#[test]
fn a_code_that_is_not_quite_a_tickets_is_nobodys() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let code = door_code(&sell_for_good(&server, event, "ada@example.com"), event);
    let last = if code.ends_with('0') { "1" } else { "0" };
    let others = [
        format!("{}{last}", &code[..code.len() - 1]),
        code.replacen("1T", "2T", 1),
        code.replacen("1T", "01T", 1),
        code.to_lowercase(),
        format!("{code}0"),
        "1T".to_owned(),
    ];
    for other in others {
        let refused = check_in(&server, &other);
        assert_problem(&refused, 404, "ticket_not_found");
    }
    check_in(&server, &code).expect_status(200);
}

/// Also when many are sold in one millisecond.
#[test]
fn each_ticket_has_a_door_code_of_its_own() {
    let (_clock, server) = frozen(&[]);
    let event = server.create_event("Walk", 50);
    let tickets = (0..20).map(|n| sell_for_good(&server, event, &format!("b{n}@example.com")));
    let tickets: Vec<String> = tickets.collect();
    for ticket in &tickets {
        let admitted = check_in(&server, &door_code(ticket, event)).expect_status(200);
        assert_eq!(&admitted.text("ticket_id"), ticket);
    }
}

#[test]
fn the_picture_is_of_a_confirmed_ticket_only() {
    let server = unlimited();
    let event = server.create_event("Walk", 5);
    let ticket = sell(&server, event, "ada@example.com");
    let path = format!("/tickets/{ticket}/qr.svg");
    let picture = || server.get(&path);
    assert_problem(&picture(), 409, "not_confirmed");
    server.confirm(&ticket).expect_status(200);
    let svg = picture().expect_status(200);
    assert_eq!(svg.header("Content-Type"), Some("image/svg+xml"));
    assert_eq!(svg.header("Cache-Control"), Some("no-store"));
    assert!(
        svg.body.contains("viewBox=\"0 0 33 33\""),
        "version 2 and its margin: {}",
        svg.body
    );
    cancel_ticket(&server, &ticket).expect_status(200);
    assert_problem(&picture(), 409, "not_confirmed");
    let role = send(&server, "GET", &path, &[], None);
    assert_problem(&role, 403, "forbidden");
}

#[test]
fn an_organizers_key_has_a_limit_of_its_own() {
    let server = Server::start(&["--auth", "key", "--key-rate-limit", "8/10s"]);
    let keys = ["organizer", "organizer", "user"].map(|role| add(&server, role));
    let mut client = Client::connect_from(fresh_source(), server.addr());
    let mut ask = |key: &str| {
        let bearer = format!("Bearer {key}");
        client.request("GET", "/events", &[("Authorization", &bearer)], None)
    };
    for key in &keys[..2] {
        for left in (0..8).rev() {
            let answer = ask(key).expect_status(200);
            let standing = answer.header("RateLimit").unwrap();
            assert!(
                standing.starts_with(&format!("\"key\";r={left};")),
                "{standing}"
            );
        }
        assert_problem(&ask(key), 429, "rate_limited");
    }
    // Whoever makes a key up counts for the address, and so does an application.
    let unknown = format!("{}0", &keys[0][..keys[0].len() - 1]);
    let unknown = if unknown == keys[0] {
        format!("{}1", &unknown[..unknown.len() - 1])
    } else {
        unknown
    };
    for _ in 0..3 {
        ask(&unknown).expect_status(401);
    }
    for _ in 0..2 {
        ask(&keys[2]).expect_status(200);
    }
    for key in [&unknown, &keys[2]] {
        assert_problem(&ask(key), 429, "rate_limited");
    }
}

#[test]
fn an_organizer_has_the_proof_of_one_event() {
    let server = unlimited();
    let (event, other) = (
        server.create_event("Walk", 5),
        server.create_event("Run", 5),
    );
    sell_for_good(&server, event, "ada@example.com");
    sell(&server, event, "bob@example.com");
    sell(&server, other, "ada@example.com");
    let verify = |event: i64| {
        send(
            &server,
            "GET",
            &format!("/events/{event}/verify"),
            &[ORGANIZER],
            None,
        )
    };
    let report = verify(event).expect_status(200).json();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(
        (&report["tickets"], &report["ledger_rows"]),
        (&2.into(), &4.into())
    );
    assert_eq!(report["sold_spots"], 1);
    // What is wrong with one event is nothing that another's organizer is told.
    server.change_by_hand(&format!(
        "UPDATE events SET available_spots = available_spots + 1 WHERE id = {other}"
    ));
    assert_eq!(verify(event).json()["ok"], true);
    let report = verify(other).json();
    assert_eq!(report["ok"], false);
    assert_eq!(
        report["violations"][0]["check"], "event_balance",
        "{report}"
    );
    assert_problem(&verify(7), 404, "event_not_found");
    let role = send(&server, "GET", "/events/1/verify", &[JSON], None);
    assert_problem(&role, 403, "forbidden");
}
