//! `/metrics`: well-formed by Prometheus's text format 0.0.4, true to the number, and bounded
//! whatever clients ask for.

use super::contract_support::{frozen, sell, send, unlimited};
use crate::support::{Client, PATIENCE, Server, Usage, fresh_source, signal, wait_until};
use std::collections::{BTreeMap, BTreeSet};

/// Each sample's value, by its name and labels as written.
type Samples = BTreeMap<String, f64>;

fn scrape(server: &Server) -> Samples {
    let response = send(server, "GET", "/metrics", &[], None).expect_status(200);
    let content_type = response.header("Content-Type");
    assert_eq!(
        content_type,
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    parse(&response.body)
}

fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(word)
}

/// Reads the format strictly: for each family one HELP, one TYPE, then all of its samples; every
/// sample once, with a number.
fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line is not ended");
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let (mut family, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            (family, kind) = (help.split_once(' ').expect("a help text").0, "");
            let ours = ["lastseat_", "process_"];
            let is_ours = ours.iter().any(|prefix| family.starts_with(prefix));
            assert!(is_name(family) && is_ours, "{line}");
            assert!(families.insert(family), "a second family: {line}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, of_type) = typed.split_once(' ').expect("a type");
            assert_eq!((name, kind), (family, ""), "{line}");
            assert!(
                ["counter", "gauge", "histogram"].contains(&of_type),
                "{line}"
            );
            assert_eq!(name.ends_with("_total"), of_type == "counter", "{line}");
            kind = of_type;
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = sample.split('{').next().unwrap();
            let suffix = name
                .strip_prefix(family)
                .unwrap_or_else(|| panic!("{line}"));
            let known: &[&str] = match kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(known.contains(&suffix), "{line}");
            assert_labels(&sample[name.len()..]);
            let value = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(
                samples.insert(sample.to_owned(), value).is_none(),
                "twice: {line}"
            );
        }
    }
    assert_histograms(&samples);
    samples
}

/// `{name="value",...}` without anything in a value that would need an escape.
#[track_caller]
fn assert_labels(text: &str) {
    if text.is_empty() {
        return;
    }
    let inside = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inside = inside.unwrap_or_else(|| panic!("no labels: {text}"));
    // Routes hold braces, but no label holds a comma.
    for label in inside.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{text}"));
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        assert!(
            is_name(name) && value.is_some_and(|v| !v.contains(['"', '\\'])),
            "{text}"
        );
    }
}

/// Buckets count upwards, and the last one counts all.
fn assert_histograms(samples: &Samples) {
    for (sample, &count) in samples.iter().filter(|(name, _)| name.contains("_count")) {
        let buckets = sample.replace("_count", "_bucket");
        let start = buckets.trim_end_matches('}');
        let of_it = |name: &str| name.starts_with(start) && name.contains("le=\"");
        let mut values: Vec<(f64, f64)> = samples
            .iter()
            .filter(|(name, _)| of_it(name))
            .map(|(name, &value)| {
                let le = name.split("le=\"").nth(1).unwrap();
                let le = le.split('"').next().unwrap();
                (le.replace("+Inf", "inf").parse().unwrap(), value)
            })
            .collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            values.is_sorted_by_key(|(_, value)| *value),
            "{sample}: {values:?}"
        );
        assert_eq!(values.last(), Some(&(f64::INFINITY, count)), "{sample}");
    }
}

/// How often this was answered.
fn answers(samples: &Samples, method: &str, route: &str, status: u16) -> f64 {
    let name = format!(
        "lastseat_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
    );
    samples.get(&name).copied().unwrap_or(0.0)
}

#[test]
fn requests_are_counted_by_route_and_status() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 2);
    for buyer in ["ada", "bob", "eve"] {
        server.register(event, &format!("{buyer}@example.com"));
    }
    send(&server, "HEAD", "/events", &[], None).expect_status(200);
    let samples = scrape(&server);
    assert_eq!(answers(&samples, "POST", "/events", 201), 1.0);
    assert_eq!(answers(&samples, "POST", "/events/{id}/register", 201), 2.0);
    assert_eq!(answers(&samples, "POST", "/events/{id}/register", 409), 1.0);
    assert_eq!(answers(&samples, "HEAD", "/events", 200), 1.0);
    let timed = "lastseat_http_request_duration_seconds_count{route=\"/events/{id}/register\"}";
    assert_eq!(samples[timed], 3.0);
    assert_eq!(answers(&scrape(&server), "GET", "/metrics", 200), 1.0);
}

#[test]
fn commits_and_the_jobs_in_them_are_counted() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 100);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for m in 0..5 {
                    let email = format!("buyer-{n}-{m}@example.com");
                    server.register(event, &email).expect_status(201);
                }
            });
        }
    });
    let samples = scrape(&server);
    assert_eq!(samples["lastseat_commit_jobs_sum"], 41.0);
    let commits = samples["lastseat_commits_total"];
    assert_eq!(samples["lastseat_commit_jobs_count"], commits);
    assert!((1.0..=41.0).contains(&commits), "{commits}");
    assert_eq!(samples["lastseat_commits_failed_total"], 0.0);
    assert_eq!(samples["lastseat_commit_queue_jobs"], 0.0);
    assert_eq!(samples["lastseat_commit_queue_jobs_max"], 4096.0);
    assert!(samples["lastseat_wal_bytes"] > 0.0);
    assert!(samples["lastseat_open_connections"] >= 1.0);
    assert_eq!(samples["lastseat_restarts_total"], 0.0);
}

#[test]
fn released_holds_are_counted_whoever_releases_them() {
    let (clock, server) = frozen(&["--hold", "10s"]);
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "ada@example.com");
    clock.advance(10_000);
    assert_eq!(scrape(&server)["lastseat_holds_released_total"], 0.0);
    sell(&server, event, "bob@example.com");
    assert_eq!(scrape(&server)["lastseat_holds_released_total"], 1.0);

    let server = Server::start(&["--hold", "1s", "--sweep", "100ms"]);
    let event = server.create_event("Harbour walk", 3);
    for buyer in ["ada", "bob", "eve"] {
        sell(&server, event, &format!("{buyer}@example.com"));
    }
    let swept = || scrape(&server)["lastseat_holds_released_total"] == 3.0;
    assert!(wait_until(PATIENCE, swept));
    let samples = scrape(&server);
    assert!(samples["lastseat_reaper_last_run_timestamp_seconds"] > 1.6e9);
    assert_eq!(samples["lastseat_reaper_up"], 1.0);
}

#[test]
fn a_job_that_is_undone_releases_nothing() {
    let (clock, server) = frozen(&["--hold", "10s"]);
    let event = server.create_event("Harbour walk", 1);
    sell(&server, event, "ada@example.com");
    clock.advance(10_000);
    let headers = [("X-Role", "user"), ("X-Test-Panic", "job")];
    let path = format!("/events/{event}/register");
    let body = Some(r#"{"email":"bob@example.com"}"#);
    send(&server, "POST", &path, &headers, body).expect_status(500);
    let samples = scrape(&server);
    assert_eq!(samples["lastseat_holds_released_total"], 0.0);
    assert_eq!(answers(&samples, "POST", "/events/{id}/register", 500), 1.0);
}

#[test]
fn refusals_of_the_rate_limit_are_counted_and_metrics_are_free_of_it() {
    let server = Server::start(&[]);
    let mut client = Client::connect_from(fresh_source(), server.addr());
    for _ in 0..8 {
        client.get("/events");
    }
    for _ in 0..8 {
        let response = client.get("/metrics").expect_status(200);
        assert_eq!(response.header("RateLimit"), None);
    }
    let samples = scrape(&server);
    assert_eq!(samples["lastseat_rate_limited_total"], 3.0);
    assert_eq!(answers(&samples, "GET", "/events", 429), 3.0);
}

#[test]
fn refusals_with_503_are_counted_by_reason_from_zero_on() {
    let server = unlimited();
    let event = server.create_event("Harbour walk", 2);
    let unavailable = |reason: &str| {
        let name = format!("lastseat_unavailable_total{{reason=\"{reason}\"}}");
        scrape(&server)[&name]
    };
    for reason in ["overloaded", "storage_unavailable", "shutting_down"] {
        assert_eq!(unavailable(reason), 0.0, "{reason}");
    }
    assert_eq!(scrape(&server)["lastseat_ready"], 1.0);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = server.register(event, "ada@example.com");
    refused.expect_problem(503, "storage_unavailable");
    // A monitor's question is nobody's order.
    send(&server, "GET", "/readyz", &[], None).expect_status(503);
    assert_eq!(unavailable("storage_unavailable"), 1.0);
    assert_eq!(unavailable("overloaded"), 0.0);
    assert_eq!(scrape(&server)["lastseat_ready"], 0.0);
    other_program.execute_batch("ROLLBACK").unwrap();
    sell(&server, event, "ada@example.com");
    assert_eq!(scrape(&server)["lastseat_ready"], 1.0);
}

#[test]
fn the_build_the_process_and_its_limits_can_be_seen() {
    let before = std::time::SystemTime::now();
    let server = Server::builder()
        .args(["--connections-max", "77"])
        .rate_limit_off()
        .start();
    let samples = scrape(&server);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("lastseat_build_info{{version=\"{version}\"}}");
    assert_eq!(samples[&build], 1.0);
    assert_eq!(samples["lastseat_connections_max"], 77.0);

    let seen = Usage::of(server.server_pid()).unwrap();
    let near = |name: &str, value: u64, by: f64| {
        let is = samples[name];
        assert!((is - value as f64).abs() <= by, "{name} {is}, not {value}");
    };
    let mib = 1_048_576;
    near("process_resident_memory_bytes", seen.memory_mib * mib, 4e6);
    near("process_threads", seen.threads, 3.0);
    near("process_open_fds", seen.descriptors, 6.0);
    let (resident, all) = (
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    );
    assert!(samples[all] > samples[resident]);
    assert!(samples["process_max_fds"] >= samples["process_open_fds"]);
    let before = before.duration_since(std::time::UNIX_EPOCH).unwrap();
    near("process_start_time_seconds", before.as_secs(), 30.0);

    for _ in 0..300 {
        send(&server, "GET", "/events", &[], None).expect_status(200);
    }
    let (cpu, later) = ("process_cpu_seconds_total", scrape(&server));
    let taken = later[cpu] - samples[cpu];
    assert!(taken > 0.0 && taken < 60.0, "{taken} s");
    let started = "process_start_time_seconds";
    assert_eq!(later[started], samples[started]);
}

#[test]
fn clients_cannot_make_labels() {
    let server = unlimited();
    send(&server, "GET", "/metrics", &[], None).expect_status(200);
    let count = || scrape(&server).len();
    send(&server, "BREW", "/pot/0", &[], None).expect_status(404);
    let before = count();
    for n in 1..50 {
        send(&server, "BREW", &format!("/pot/{n}\"}}"), &[], None);
        send(
            &server,
            &format!("BREW{n}"),
            &format!("/pot?{n}"),
            &[],
            None,
        );
    }
    assert_eq!(count(), before);
    assert_eq!(answers(&scrape(&server), "other", "none", 404), 99.0);
}

#[test]
fn only_the_newest_events_on_sale_have_gauges() {
    let server = unlimited();
    let events: Vec<i64> = (0..25)
        .map(|n| server.create_event("Harbour walk", 10 + n))
        .collect();
    let newest = *events.last().unwrap();
    sell(&server, newest, "ada@example.com");
    let cancel = format!("/events/{}/cancel", newest - 1);
    server.post(&cancel, "organizer", "{}").expect_status(200);
    let samples = scrape(&server);
    let gauges = |name: &str| samples.keys().filter(|key| key.starts_with(name)).count();
    assert_eq!(gauges("lastseat_event_available_spots"), 20);
    assert_eq!(gauges("lastseat_event_total_spots"), 20);
    let spots = |what: &str, event: i64| {
        samples.get(&format!("lastseat_event_{what}_spots{{event=\"{event}\"}}"))
    };
    assert_eq!(spots("available", newest), Some(&33.0));
    assert_eq!(spots("total", newest), Some(&34.0));
    assert_eq!(spots("total", newest - 1), None);
    assert_eq!(spots("total", events[0]), None);
}

#[test]
fn a_server_that_was_replaced_is_counted() {
    let server = Server::builder().rate_limit_off().start();
    let before = scrape(&server)["lastseat_restarts_total"];
    signal(server.server_pid(), "KILL");
    let replaced = || {
        Client::try_connect(server.addr(), None)
            .and_then(|mut client| client.try_request("GET", "/metrics", &[], None))
            .is_ok_and(|response| parse(&response.body)["lastseat_restarts_total"] == before + 1.0)
    };
    assert!(wait_until(PATIENCE, replaced));
}
