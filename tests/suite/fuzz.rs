//! Whatever a client writes where it may write: an answer, never a 500, and the server lives.
//! `SEED=n` repeats a run, `CASES=n` makes it longer.

use crate::support::random::Random;
use crate::support::{Server, request_text};
use clap::Parser;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn runner(what: &str, cases: u32) -> TestRunner {
    let (mut random, _) = Random::announced(what);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&random.next().to_le_bytes());
    let cases = std::env::var("CASES").map_or(cases, |n| n.parse().expect("CASES is a number"));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// What ends a line would make another request of it, and tiny_http hangs up on what is not ASCII.
const HEADER: &str = "[ -~\t]{0,60}";
const TARGET: &str = "[!-~]{0,40}";

fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        "\"[ -~\u{80}-\u{2fff}]{0,40}\"",
        "-?[0-9]{1,30}(\\.[0-9]{1,9})?(e[0-9]{1,5})?",
        "[\\[{]{1,200}",
        "\"a@b\"|\"2026-11-23T09:30:00Z\"|\"[0-9T:Z+-]{1,30}\"|null|true|[1-9][0-9]{0,6}",
    ];
    let name =
        "name|total_spots|email|idempotency_key|hold_seconds|sales_open_at|starts_at|[ -~]{0,9}";
    let object = proptest::collection::vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(n, v)| format!("\"{n}\":{v}"))
            .collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    });
    let bytes = proptest::collection::vec(any::<u8>(), 0..1_000);
    prop_oneof![3 => object, 1 => bytes].prop_map(|mut body| {
        body.truncate(1_024);
        body
    })
}

#[test]
fn no_request_is_answered_with_a_500() {
    let server = Server::builder()
        .rate_limit_off()
        .args(["--trusted-proxy", "127.0.0.0/8"])
        .start();
    server.create_event("Fuzz", 5);
    let call = prop_oneof![
        Just(("POST", "/events")),
        Just(("PATCH", "/events/1")),
        Just(("POST", "/events/1/register")),
        Just(("GET", "/events")),
        Just(("GET", "/events/1/tickets")),
        Just(("GET", "/events/")),
        Just(("POST", "/tickets/")),
    ];
    let query = prop_oneof![
        "(limit|after|status)=[!-~]{0,30}",
        "after=[et][0-9]{0,30}",
        TARGET
    ];
    let key = prop_oneof![3 => "\"?[!-~]{0,300}\"?", 1 => HEADER];
    let forwarded = prop_oneof!["[0-9a-f:., \\[\\]]{0,80}", HEADER];
    let request = (call, query, key, forwarded, HEADER, body());
    let outcome = runner("fuzz", 600).run(
        &request,
        |((method, path), query, key, forwarded, any, body)| {
            let target = match path.ends_with('/') {
                true => format!("{path}{query}"),
                false => format!("{path}?{query}"),
            };
            let length = body.len().to_string();
            let headers = [
                ("X-Role", "admin"),
                ("Connection", "close"),
                ("Content-Length", length.as_str()),
                ("Idempotency-Key", &key),
                ("X-Forwarded-For", &forwarded),
                ("Accept", &any),
                ("X-Request-Id", &any),
            ];
            let mut client = server.client();
            let mut request = request_text(method, &target, &headers, None).into_bytes();
            request.extend(&body);
            client.send_raw(&request);
            let answer = client.try_read_response();
            let answer = answer.map_err(|e| TestCaseError::fail(format!("no answer: {e}")))?;
            prop_assert!(answer.status < 500, "{:?}", answer);
            Ok(())
        },
    );
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.get("/readyz").expect_status(200);
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn no_flag_makes_the_program_panic() {
    let flag = "--(rate-limit|hold|sweep|listen|trusted-proxy|workers|commit-batch)";
    let value = prop_oneof![
        "[0-9]{0,25}(ms|s|m|h|/|/10s|/[0-9]{1,25}h)?",
        "[0-9a-f:./\\[\\]]{0,50}",
        "\\PC{0,30}"
    ];
    let outcome = runner("flags", 3_000).run(&(flag, value), |(flag, value)| {
        let flag = flag.replace(['(', ')'], "");
        let _ = lastseat::command::Cli::try_parse_from(["lastseat", &flag, &value]);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
