//! `lastseat demo`: a sale that adds up, and nothing left behind however it ends.

use super::contract_support::run;
use crate::support::{PATIENCE, signal, wait_until};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[track_caller]
fn assert_row(output: &str, name: &str, value: &str) {
    let row = output.lines().find(|line| line.trim().starts_with(name));
    let row = row.unwrap_or_else(|| panic!("no row {name}: {output}"));
    assert!(
        row.contains(&format!(" {value}")),
        "{name} is not {value}: {row}"
    );
}

#[test]
fn the_demonstration_adds_up_whatever_the_surroundings() {
    let temporary = tempfile::tempdir().unwrap();
    let surroundings = [
        ("TMPDIR", temporary.path().to_str().unwrap()),
        ("LASTSEAT_AUTH", "key"),
        ("LASTSEAT_DB", "/nowhere/events.db"),
        ("LASTSEAT_RATE_LIMIT", "1/1h"),
    ];
    for (spots, people, sold, refused) in [("200", "300", "200", "100"), ("20", "5", "5", "0")] {
        let shown = run(
            &["demo", "--spots", spots, "--people", people],
            &surroundings,
        );
        assert!(shown.status.success(), "{shown:?}");
        assert_row(&shown.stdout, "sold", sold);
        assert_row(&shown.stdout, "refused", refused);
        assert_row(&shown.stdout, "other answers", "0");
        assert_row(&shown.stdout, "verify", "sound");
        let tickets = sold.parse::<u64>().unwrap() + 4;
        assert!(
            shown.stdout.contains(&format!("{tickets} tickets")),
            "{shown:?}"
        );
        let line = "Bo's four: waiting\n  Cy: reserved\n  Di: reserved\n";
        assert!(shown.stdout.contains(line), "{shown:?}");
        assert!(!shown.stdout.contains('\r'), "{shown:?}");
        assert!(is_empty(temporary.path()));
    }
}

#[test]
fn a_demonstration_of_nothing_is_refused() {
    for args in [["--spots", "0"], ["--spots", "1000001"], ["--people", "0"]] {
        let refused = run(&[&["demo"], &args[..]].concat(), &[]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    }
}

/// A demonstration that takes a while, and where its server listens.
fn start(temporary: &Path) -> (Child, SocketAddr) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_lastseat"))
        .args(["demo", "--spots", "1000000", "--people", "1000000"])
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(demo.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap();
    (
        demo,
        address.parse().unwrap_or_else(|e| panic!("{e}: {line}")),
    )
}

fn is_gone(address: SocketAddr) -> bool {
    wait_until(PATIENCE, || TcpStream::connect(address).is_err())
}

#[test]
fn a_demonstration_that_is_broken_off_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut demo, address) = start(temporary.path());
    signal(demo.id(), "INT");
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    assert!(is_gone(address), "its server lives on");
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_demonstration_that_is_killed_takes_its_server_with_it() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut demo, address) = start(temporary.path());
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(is_gone(address), "its server lives on");
}
