//! The other files of `tests/front/`, each judged by the program that it is for.

use crate::support::Server;
use std::path::Path;
use std::process::Command;

/// The output, whatever of it there is.
#[track_caller]
fn passes(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e} (make front)"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

#[test]
#[ignore = "needs systemd: make front"]
fn front_systemd_takes_the_units_and_calls_them_safe() {
    let folder = tempfile::tempdir().unwrap();
    let service = include_str!("../../front/lastseat.service");
    let installed = "/usr/local/bin/lastseat";
    assert!(service.contains(installed));
    let service = service.replace(installed, env!("CARGO_BIN_EXE_lastseat"));
    let socket = include_str!("../../front/lastseat.socket");
    std::fs::write(folder.path().join("lastseat.service"), service).unwrap();
    std::fs::write(folder.path().join("lastseat.socket"), socket).unwrap();
    let units = ["./lastseat.service", "./lastseat.socket"];
    let said = passes(
        "systemd-analyze",
        &["verify", units[0], units[1]],
        folder.path(),
    );
    // It passes what it warns of.
    assert_eq!(said, "");
    // In tenths: at most 1.0 of 10.
    let judge = ["security", "--offline=true", "--threshold=10", units[0]];
    passes("systemd-analyze", &judge, folder.path());
}

#[test]
#[ignore = "needs prometheus: make front"]
fn front_prometheus_takes_the_alerts_and_they_wake_somebody() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/front"));
    passes("promtool", &["check", "rules", "alerts.yml"], folder);
    passes("promtool", &["test", "rules", "alerts_test.yml"], folder);
}

#[test]
fn the_alerts_ask_for_metrics_that_there_are_from_the_start() {
    let server = Server::start(&["--rate-limit", "off"]);
    server.get("/events").expect_status(200);
    let metrics = server.get("/metrics").expect_status(200).body;
    let rules = include_str!("../../front/alerts.yml");
    let words = rules.split(|c: char| c != '_' && !c.is_ascii_lowercase());
    let names = words.filter(|word| word.starts_with("lastseat_"));
    // The relay has a file of its own.
    let names: Vec<_> = names
        .filter(|name| !name.starts_with("lastseat_relay_"))
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let lines = &mut metrics.lines();
        let is_of_it = |line: &str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        assert!(lines.any(is_of_it), "no {name} in {metrics}");
    }
}
