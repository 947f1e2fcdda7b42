//! The command line: what it takes, and one clear line for everything that it doesn't.

use super::contract_support::{Run, run};
use crate::support::{Client, PATIENCE, Server, signal, wait_until};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// Every flag that `--help` tells of, with its variable.
const FLAGS: [(&str, &str); 15] = [
    ("--listen", "LASTSEAT_LISTEN"),
    ("--db", "LASTSEAT_DB"),
    ("--workers", "LASTSEAT_WORKERS"),
    ("--hold", "LASTSEAT_HOLD"),
    ("--sweep", "LASTSEAT_SWEEP"),
    ("--rate-limit", "LASTSEAT_RATE_LIMIT"),
    ("--trusted-proxy", "LASTSEAT_TRUSTED_PROXY"),
    ("--durability", "LASTSEAT_DURABILITY"),
    ("--log-level", "LASTSEAT_LOG_LEVEL"),
    ("--auth", "LASTSEAT_AUTH"),
    ("--trust-x-role", "LASTSEAT_TRUST_X_ROLE"),
    ("--commit-batch", "LASTSEAT_COMMIT_BATCH"),
    ("--commit-queue", "LASTSEAT_COMMIT_QUEUE"),
    ("--streams-max", "LASTSEAT_STREAMS_MAX"),
    ("--verify-on-start", "LASTSEAT_VERIFY_ON_START"),
];

/// Values that make no sense, for each flag that takes one.
const NONSENSE: [(&str, &[&str]); 13] = [
    (
        "--listen",
        &[
            "nonsense",
            "127.0.0.1",
            ":8080",
            "127.0.0.1:99999",
            "127.0.0.1:x",
            "unix:",
            "",
        ],
    ),
    ("--db", &[""]),
    (
        "--workers",
        &[
            "0",
            "65",
            "-1",
            "+2",
            "two",
            "1.5",
            "",
            "99999999999999999999",
        ],
    ),
    (
        "--hold",
        &[
            "0s", "999ms", "500ms", "61m", "2h", "3601s", "5", "s", "5 m", "-1s", "5d", "5M", "",
        ],
    ),
    (
        "--sweep",
        &[
            "0ms",
            "99ms",
            "2h",
            "3601s",
            "10",
            "ten seconds",
            "99999999999999999999h",
            "",
        ],
    ),
    (
        "--rate-limit",
        &[
            "0/10s", "5/0s", "5", "5/10", "/10s", "5/", "-5/10s", "5/10s/1", "on", "",
        ],
    ),
    (
        "--trusted-proxy",
        &[
            "300.1.1.1",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "proxy.local",
            "10/8",
        ],
    ),
    ("--durability", &["maybe", "FULL!", "0", ""]),
    ("--log-level", &["loud", "7", ""]),
    ("--auth", &["none", "keys", "role,key", ""]),
    ("--commit-batch", &["0", "4097", "-1", "many", ""]),
    ("--commit-queue", &["0", "65537", "-1", "many", ""]),
    ("--streams-max", &["65537", "-1", "many", ""]),
];

fn variable_of(flag: &str) -> &'static str {
    FLAGS
        .iter()
        .find(|(name, _)| *name == flag)
        .expect("a known flag")
        .1
}

/// One line, from this program, that names what is wrong.
#[track_caller]
fn assert_usage_error(run: &Run, names: &str) {
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    assert_eq!(run.stdout, "", "{run:?}");
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
    assert!(run.stderr.starts_with("lastseat: "), "{run:?}");
    assert!(run.stderr.contains(names), "{names} is not named: {run:?}");
}

#[test]
fn a_nonsensical_value_is_named_with_its_flag() {
    for (flag, values) in NONSENSE {
        for value in values {
            let given = format!("{flag}={value}");
            assert_usage_error(&run(&[&given], &[]), flag);
            assert_usage_error(&run(&["serve", flag, value], &[]), flag);
        }
    }
}

#[test]
fn a_nonsensical_variable_is_refused_like_its_flag() {
    for (flag, values) in NONSENSE {
        let run = run(&[], &[(variable_of(flag), values[0])]);
        if values[0].is_empty() {
            assert_eq!(run.status.code(), Some(2), "{flag}: {run:?}");
        } else {
            assert_usage_error(&run, flag);
        }
    }
}

#[test]
fn what_is_unknown_or_incomplete_is_a_usage_error() {
    assert_usage_error(&run(&["--port", "80"], &[]), "--port");
    assert_usage_error(&run(&["sell"], &[]), "sell");
    assert_usage_error(&run(&["serve", "now"], &[]), "now");
    assert_usage_error(&run(&["--workers"], &[]), "--workers");
    assert_usage_error(
        &run(&["--workers", "2", "--workers", "3"], &[]),
        "--workers",
    );
}

#[test]
fn help_tells_of_every_flag_variable_and_default() {
    for args in [&["--help"][..], &["-h"], &["serve", "--help"]] {
        let run = run(args, &[]);
        assert!(run.status.success(), "{run:?}");
        assert_eq!(run.stderr, "");
        for (flag, _) in FLAGS {
            assert!(
                run.stdout.contains(flag),
                "{args:?} does not tell of {flag}"
            );
        }
        assert!(
            !run.stdout.contains("--test-hooks"),
            "a hidden flag is shown"
        );
    }
    let help = run(&["--help"], &[]).stdout;
    for (_, variable) in FLAGS {
        assert!(
            help.contains(variable),
            "--help does not tell of {variable}"
        );
    }
    for default in [
        "127.0.0.1:8080",
        "events.db",
        "5m",
        "10s",
        "5/10s",
        "full",
        "info",
    ] {
        assert!(help.contains(default), "--help does not tell of {default}");
    }
}

#[test]
fn version_is_told() {
    let run = run(&["--version"], &[]);
    assert!(run.status.success());
    assert_eq!(
        run.stdout.trim(),
        concat!("lastseat ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn others_are_let_in_only_by_explicit_trust() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = run(&["--listen", address], &[]);
        assert_usage_error(&refused, "--listen");
        for way_out in ["--trust-x-role", "--auth key", "only as honest as"] {
            assert!(refused.stderr.contains(way_out), "{refused:?}");
        }
    }
    let server = Server::builder()
        .listen("0.0.0.0:0")
        .arg("--trust-x-role")
        .start();
    assert!(
        server
            .ready_line()
            .starts_with("listening on http://0.0.0.0:")
    );
}

#[test]
fn any_loopback_address_will_do() {
    for address in ["127.0.0.1:0", "127.9.8.7:0"] {
        let server = Server::builder().listen(address).start();
        server.client().get("/events").expect_status(200);
    }
}

#[test]
fn variables_are_heeded_and_flags_beat_them() {
    let event = |server: &Server| {
        let body = r#"{"name":"Walk","total_spots":5}"#;
        server.post("/events", "organizer", body).expect_status(201)
    };
    let with_env = || {
        Server::builder()
            .env("LASTSEAT_HOLD", "90s")
            .env("LASTSEAT_RATE_LIMIT", "7/2m")
    };
    let by_variable = event(&with_env().start());
    assert_eq!(by_variable.json()["hold_seconds"], 90);
    assert_eq!(
        by_variable.header("RateLimit-Policy"),
        Some(r#""default";q=7;w=120"#)
    );
    let by_flag = event(&with_env().args(["--hold", "45s"]).start());
    assert_eq!(by_flag.json()["hold_seconds"], 45);
    assert_eq!(
        by_flag.header("RateLimit-Policy"),
        Some(r#""default";q=7;w=120"#)
    );
}

#[test]
fn without_flags_the_database_is_made_in_the_current_folder() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&[][..], &["serve"]] {
        let server = Server::builder()
            .bare()
            .args(args)
            .env("LASTSEAT_LISTEN", "127.0.0.1:0")
            .current_dir(folder.path())
            .start();
        server.create_event("Harbour walk", 5);
        assert!(folder.path().join("events.db").is_file());
        server.sigterm();
        assert!(server.wait(PATIENCE).success());
    }
}

#[test]
fn values_at_the_edges_of_their_ranges_are_taken() {
    let least = [
        ["--workers", "1"],
        ["--hold", "1s"],
        ["--sweep", "100ms"],
        ["--rate-limit", "1/1s"],
        ["--commit-batch", "1"],
        ["--commit-queue", "1"],
        ["--streams-max", "0"],
        ["--durability", "normal"],
        ["--trusted-proxy", "0.0.0.0/0"],
        ["--log-level", "trace"],
    ];
    let most = [
        ["--workers", "64"],
        ["--hold", "1h"],
        ["--sweep", "60m"],
        ["--rate-limit", "100/1h"],
        ["--commit-batch", "4096"],
        ["--commit-queue", "65536"],
        ["--streams-max", "65536"],
        ["--durability", "full"],
        ["--trusted-proxy", "::1"],
        ["--log-level", "off"],
    ];
    for flags in [least, most] {
        let server = Server::start(&flags.concat());
        let event = server.create_event("Harbour walk", 1);
        server.register(event, "ada@example.com").expect_status(201);
        server.assert_invariants();
    }
}

#[test]
fn who_does_not_take_the_line_on_standard_output_is_served_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut server = Command::new(env!("CARGO_BIN_EXE_lastseat"))
        .args(["--no-keeper", "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(full.expect("a device that is always full"))
        .stderr(Stdio::null())
        .spawn()
        .expect("spawns");
    wait_until(PATIENCE, || UnixStream::connect(&socket).is_ok());
    let mut client = Client::connect_unix(&socket);
    let answered = client.try_request("GET", "/healthz", &[], None);
    signal(server.id(), "TERM");
    let status = server.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "{answered:?}");
    answered.expect("an answer").expect_status(200);
}

#[test]
fn standard_output_has_the_one_line_only() {
    let server = Server::start(&[]);
    let expected = format!(
        "listening on http://{} (database {})",
        server.addr(),
        server.db_path().display()
    );
    assert_eq!(server.ready_line(), expected);
    server.create_event("Harbour walk", 5);
    server.get("/nowhere").expect_status(404);
    server.sigterm();
    assert!(server.wait(PATIENCE).success());
    assert_eq!(server.more_stdout(), [""; 0]);
}

#[test]
fn a_shell_is_given_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let run = run(&["completions", shell], &[]);
        assert!(run.status.success(), "{run:?}");
        for word in ["serve", "trusted-proxy", "completions"] {
            assert!(run.stdout.contains(word), "{shell} is not told of {word}");
        }
    }
    assert_usage_error(&self::run(&["completions", "dos"], &[]), "dos");
}

#[cfg(not(feature = "postgres"))]
#[test]
fn a_program_without_postgresql_says_how_to_get_it() {
    for words in [
        &[
            "--listen",
            "127.0.0.1:0",
            "--db",
            "postgres://localhost/sale",
        ][..],
        &["verify", "postgres://localhost/sale"],
        &["key", "list", "--db", "postgres://me:secret@localhost/sale"],
    ] {
        let refused = run(words, &[]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("--features postgres"),
            "{refused:?}"
        );
        assert!(!refused.stderr.contains("secret"), "{refused:?}");
    }
}
