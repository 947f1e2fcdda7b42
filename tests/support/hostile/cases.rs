//! The table of hostile cases: everything here goes over the wire as it is written.

use super::{Case, Then, case};

fn post(headers: &str, body: &str) -> String {
    let start = "POST /events HTTP/1.1\r\nHost: a\r\nX-Role: organizer\r\n";
    format!("{start}{headers}\r\n{body}")
}

fn json(body: impl Into<Vec<u8>>) -> Vec<u8> {
    let body = body.into();
    let head = post(&format!("Content-Length: {}\r\n", body.len()), "");
    [head.into_bytes(), body].concat()
}

fn get(headers: &str) -> String {
    format!("GET /events HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

/// TE with values that have no order, on which tiny_http's own answer panics.
fn unsortable_te() -> String {
    let value = |n: u32| match n % 3 {
        0 => "a;q=NaN".to_owned(),
        _ => format!("a;q=0.{:02}", n * 7 % 60),
    };
    let values: Vec<String> = (0..60).map(value).collect();
    format!("TE: {}\r\n", values.join(", "))
}

/// Every case, in the order of the tables it comes from.
pub fn cases() -> Vec<Case> {
    [
        lengths(),
        chunks(),
        negotiations(),
        lines(),
        floods(),
        connections(),
        bodies(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn lengths() -> Vec<Case> {
    let values = [
        "1000000000000",
        "1000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-5",
        "abc",
        "5, 5",
        "+5",
        "",
    ];
    let mut cases: Vec<Case> = Vec::new();
    for value in values {
        let name = format!("Content-Length: {value}");
        let request = post(&format!("{name}\r\n"), "{}");
        cases.push(case(name.clone(), request.clone()));
        cases.push(case(name + ", then reset", request).then(Then::Reset));
    }
    let twice = "Content-Length: 2\r\nContent-Length: 40\r\n";
    let te = unsortable_te();
    cases.extend([
        case("lengths that differ", post(twice, "{}")),
        case(
            "5,000, then stall",
            post("Content-Length: 5000\r\n", &"x".repeat(100)),
        )
        .then(Then::Stay),
        case("500, then stall", post("Content-Length: 500\r\n", "{")).then(Then::Stay),
        case("900, dripped", post("Content-Length: 900\r\n", "")).then(Then::Drip),
        case("100,000, dripped", post("Content-Length: 100000\r\n", "")).then(Then::Drip),
        case(
            "10^15 and an unsortable TE",
            post(&format!("Content-Length: 1000000000000000\r\n{te}"), ""),
        ),
        case(
            "5,000 and an unsortable TE",
            post(&format!("Content-Length: 5000\r\n{te}"), ""),
        ),
    ]);
    cases
}

fn chunks() -> Vec<Case> {
    let bodies = [
        ("whole", "2\r\n{}\r\n0\r\n\r\n"),
        ("no size", "\r\n{}\r\n0\r\n\r\n"),
        ("a size that is no number", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a negative size", "-1\r\n{}\r\n0\r\n\r\n"),
        ("a huge size", "ffffffffffffffff\r\n{}"),
        ("a size beyond 64 bits", "fffffffffffffffff\r\n{}"),
        ("no line end after the data", "2\r\n{}0\r\n\r\n"),
        ("bare line feeds", "2\n{}\n0\n\n"),
        ("an extension", "2;a=b\r\n{}\r\n0\r\n\r\n"),
        (
            "trailers",
            "2\r\n{}\r\n0\r\nHost: b\r\nContent-Length: 9\r\n\r\n",
        ),
        (
            "a request behind it",
            "0\r\n\r\nGET /events HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("no end", "2\r\n{}\r\n"),
    ];
    let mut cases = Vec::new();
    for (name, body) in bodies {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n";
        cases.push(case(format!("chunks: {name}"), post(chunked, body)));
        cases.push(case(
            format!("chunks and a length: {name}"),
            post(both, body),
        ));
        cases.push(
            case(format!("chunks: {name}, then stall"), post(chunked, body)).then(Then::Stay),
        );
    }
    for coding in [
        "identity",
        "xchunked",
        "gzip, chunked",
        "chunked, chunked",
        "",
    ] {
        let header = format!("Transfer-Encoding: {coding}\r\n");
        cases.push(case(header.trim(), post(&header, "2\r\n{}\r\n0\r\n\r\n")));
    }
    let endless = post("Transfer-Encoding: chunked\r\n", "");
    cases.push(case("an endless chunk size", endless.clone()).more("1".repeat(65_536), 160));
    cases.push(case("an endless chunk extension", endless + "2;").more("x".repeat(65_536), 160));
    cases
}

fn negotiations() -> Vec<Case> {
    let te = unsortable_te();
    vec![
        case(
            "Expect",
            post("Expect: 100-continue\r\nContent-Length: 2\r\n", ""),
        )
        .then(Then::Stay),
        case(
            "Expect with a large body",
            post("Expect: 100-continue\r\nContent-Length: 5000\r\n", ""),
        ),
        case("Expect something else", post("Expect: tea\r\n", "")),
        case(
            "Upgrade",
            get("Connection: upgrade\r\nUpgrade: websocket\r\n"),
        ),
        case(
            "Upgrade with a body that does not come",
            post(
                "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 900\r\n",
                "",
            ),
        )
        .then(Then::Stay),
        case("an unsortable TE", get(&te)),
        case(
            "an unsortable TE and chunks",
            post(&format!("{te}Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"),
        ),
        case("HTTP/0.9", "GET /events\r\n"),
        case("HTTP/0.9, spelt out", "GET /events HTTP/0.9\r\n\r\n"),
        case("HTTP/2.0", "GET /events HTTP/2.0\r\nHost: a\r\n\r\n"),
        case("HTTP/3.0", "GET /events HTTP/3.0\r\nHost: a\r\n\r\n"),
        case("HTTP/9.9", "GET /events HTTP/9.9\r\nHost: a\r\n\r\n"),
        case(
            "the preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        case("a hello in TLS", {
            let mut hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec();
            hello.resize(517, 0x5a);
            hello
        }),
    ]
}

fn lines() -> Vec<Case> {
    vec![
        case("bare line feeds", "GET /events HTTP/1.1\nHost: a\n\n"),
        case(
            "a line feed in a value",
            get("X-Request-Id: a\nSet-Cookie: b\r\n"),
        ),
        case(
            "a carriage return in a value",
            get("X-Request-Id: a\rb\r\n"),
        ),
        case("a folded line", get("X-Role: user\r\n  admin\r\n")),
        case("a NUL in a value", get("X-Role: us\0er\r\n")),
        case(
            "a NUL in the path",
            "GET /eve\0nts HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        case("a space before the colon", get("Content-Length : 5\r\n")),
        case("a header without a colon", get("nonsense\r\n")),
        case("a header without a name", get(": nonsense\r\n")),
        case(
            "a path that is not ASCII",
            "GET /évents HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        case("a header that is not ASCII", get("X-Role: üser\r\n")),
        case("a header that is not UTF-8", {
            let mut request = get("").into_bytes();
            request.splice(22..22, b"X-Role: \xff\xfe\r\n".iter().copied());
            request
        }),
        case(
            "a path of 100 kB",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000)),
        ),
        case("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        case(
            "an absolute target",
            "GET http://a/events HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        case("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("no Host", "GET /events HTTP/1.1\r\n\r\n"),
        case("two Hosts", get("Host: b\r\n")),
        case(
            "an unknown method",
            "BREW /events HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        case("an empty line", "\r\n\r\n\r\n"),
        case(
            "noise",
            (0..2_000_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect::<Vec<u8>>(),
        ),
    ]
}

fn floods() -> Vec<Case> {
    let requests = get("").repeat(100);
    vec![
        case("a header line of 50 MB", "GET /events HTTP/1.1\r\nX: ").more("x".repeat(65_536), 763),
        case("100,000 headers", "GET /events HTTP/1.1\r\n")
            .more("X-Header: 1\r\n".repeat(1_000), 100),
        case("10,000 requests, no answer read", "")
            .more(requests, 100)
            .then(Then::Stay),
        case("10,000 requests, then reset", "")
            .more(get("").repeat(100), 100)
            .then(Then::Reset),
    ]
}

fn connections() -> Vec<Case> {
    vec![
        case("connections that are reset at once", "")
            .then(Then::Reset)
            .connections(50),
        case("a request, then reset", get(""))
            .then(Then::Reset)
            .connections(50),
        case("an order, then reset", json(r#"{"name":"Walk"}"#))
            .then(Then::Reset)
            .connections(50),
        case("a head that drips", "GET /events HTTP/1.1\r\nX: ").then(Then::Drip),
        case("600 idle connections", "")
            .then(Then::Stay)
            .connections(600),
        case("1,500 slow connections", "GET /events HT")
            .then(Then::Stay)
            .connections(1_500),
    ]
}

fn bodies() -> Vec<Case> {
    let name = |name: &str| format!(r#"{{"name":{name},"total_spots":5}}"#);
    let spots = |spots: &str| format!(r#"{{"name":"Walk","total_spots":{spots}}}"#);
    vec![
        case("a deep body", json("[".repeat(1_000))),
        case("a deep value", json(name(&"[".repeat(900)))),
        case(
            "a huge body",
            json(name(&format!("\"{}\"", "x".repeat(100_000)))),
        ),
        case(
            "a body that is not UTF-8",
            json(b"{\"name\":\"\xff\xfe\"}".to_vec()),
        ),
        case("a lone surrogate", json(name(r#""\ud800""#))),
        case(
            "a member twice",
            json(r#"{"name":"a","name":"b","total_spots":5}"#),
        ),
        case(
            "a number beyond 64 bits",
            json(spots("99999999999999999999")),
        ),
        case("a number beyond all bounds", json(spots("1e999"))),
        case("a negative number", json(spots("-1"))),
        case("an empty body", json("")),
    ]
}
