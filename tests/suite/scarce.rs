//! A machine that grants little: few descriptors, few threads, also while the keeper has to start
//! the server again. The service is worse then, and never gone.

use crate::support::hostile::cases;
use crate::support::slow_clients::{
    ANSWERED_WITHIN, Attack, Flood, assert_nobody_is_held_up, upload_head,
};
use crate::support::wait_until;
use crate::support::{
    Client, PATIENCE, Server, Usage, fresh_source, is_alive, request_text, signal,
};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// With nobody else on the machine, the keeper has another server serve well before this.
const BACK_WITHIN: Duration = Duration::from_secs(5);

fn with_256_descriptors() -> Server {
    lastseat::process::raise_descriptor_limit().expect("raises the test's own limit");
    Server::builder()
        .rate_limit_off()
        .through(&["sh", "-c", r#"ulimit -n 256; exec "$0" "$@""#])
        .args(["--log-level", "warn"])
        .start()
}

#[test]
fn one_address_cannot_take_all_of_256_descriptors() {
    let server = with_256_descriptors();
    let floods = [
        Flood {
            name: "600 idle connections",
            clients: 1,
            lasts: Duration::from_secs(1),
            attack: |attack| attack.stay(attack.connect_many(600, "")),
        },
        Flood {
            name: "1,500 heads that do not end",
            clients: 1,
            lasts: Duration::from_secs(1),
            attack: |attack| attack.stay(attack.connect_many(1_500, "GET /events HT")),
        },
        Flood {
            name: "bodies that do not come, from 20 sides",
            clients: 20,
            lasts: Duration::from_secs(1),
            attack: |attack| attack.stay(attack.connect_many(50, &upload_head(900))),
        },
    ];
    assert_nobody_is_held_up(&server, &floods);
}

/// Beyond it they are closed, or wait; another address is served at once in either case.
#[test]
fn one_address_holds_at_most_a_quarter_of_the_connections() {
    const CONNECTIONS: usize = 40;
    let server = Server::builder()
        .rate_limit_off()
        .args(["--connections-max", "40", "--log-level", "warn"])
        .start();
    let greedy = fresh_source();
    let request = request_text("GET", "/healthz", &[], None);
    let mut clients: Vec<Client> = (0..CONNECTIONS)
        .map(|_| Client::connect_from(greedy, server.addr()))
        .collect();
    let mut served = 0;
    for client in &mut clients {
        client.wait_at_most(Duration::from_millis(50));
        let asked = client.try_send_raw(request.as_bytes());
        let answer = asked.and_then(|()| client.try_read_response());
        served += usize::from(answer.is_ok_and(|answer| answer.status == 200));
    }
    assert!((1..=CONNECTIONS / 4).contains(&served), "{served} served");

    let start = Instant::now();
    server.get("/healthz").expect_status(200);
    let took = start.elapsed();
    assert!(took < ANSWERED_WITHIN, "another address: {took:?}");

    drop(clients);
    let start = Instant::now();
    let again = || {
        let client = Client::try_connect(server.addr(), Some(greedy));
        let answer = client.and_then(|mut client| client.try_request("GET", "/healthz", &[], None));
        answer.is_ok_and(|answer| answer.status == 200)
    };
    assert!(wait_until(PATIENCE, again), "{}", server.log());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "when it has left: {took:?}");
}

/// From as many addresses as there are connections, so that nothing is left for others.
#[test]
fn a_server_with_256_descriptors_serves_again_after_a_flood_from_everywhere() {
    let server = with_256_descriptors();
    let pid = server.server_pid();
    let event = server.create_event("Between floods", 10);
    let cases = cases();
    for name in ["600 idle connections", "1,500 slow connections"] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        for round in 0..2 {
            drop(case.carry_out_alone(server.addr()));
            let start = Instant::now();
            let order = server.register(event, &format!("{round}@{}.example", name.len()));
            order.expect_status(201);
            let took = start.elapsed();
            assert!(took < ANSWERED_WITHIN, "{name}: {took:?}");
        }
    }
    assert_eq!(server.server_pid(), pid, "{}", server.log());
}

#[test]
fn a_server_that_dies_amid_a_flood_is_started_again_with_256_descriptors() {
    let server = with_256_descriptors();
    let event = server.create_event("Interrupted", 10);
    let is_over = AtomicBool::new(false);
    let attack = Attack::on(server.addr(), &is_over);
    for round in 0..3 {
        let held = attack.connect_many(600, "GET /events HT");
        signal(server.server_pid(), "KILL");
        is_back(&server, event, round);
        drop(held);
    }
}

/// Buys from the server that was started after the last one's end.
#[track_caller]
fn is_back(server: &Server, event: i64, round: usize) {
    let start = Instant::now();
    let path = format!("/events/{event}/register");
    let order = format!(r#"{{"email":"buyer-{round}@example.com","idempotency_key":"{round}"}}"#);
    let is_sold = || {
        let client = Client::try_connect(server.addr(), Some(fresh_source()));
        let answer = client.and_then(|mut client| client.try_post(&path, "user", &order));
        answer.is_ok_and(|answer| answer.status == 201)
    };
    assert!(wait_until(PATIENCE, is_sold), "{}", server.log());
    let took = start.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}: {}", server.log());
    assert!(server.is_running(), "the keeper has ended");
}

/// The server as a user who has no other process, whose number may then be limited. None without
/// the right to become another user. Each test has a user of its own.
fn as_user(uid: u32) -> Option<(Server, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    if std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid)).is_err() {
        eprintln!("not tested: it takes root to become another user");
        return None;
    }
    // Where this was built, another user may be unable to look.
    let program = folder.path().join("lastseat");
    std::fs::copy(env!("CARGO_BIN_EXE_lastseat"), &program).unwrap();
    let become_user = become_user(uid);
    let server = Server::builder()
        .binary(program)
        .rate_limit_off()
        .args(["--log-level", "warn"])
        .db(folder.path().join("events.db"))
        .current_dir("/")
        .through(&become_user.each_ref().map(String::as_str))
        .start();
    Some((server, folder))
}

fn become_user(uid: u32) -> [String; 4] {
    let (reuid, regid) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    ["setpriv".into(), reuid, regid, "--clear-groups".into()]
}

/// Lets the user of these processes have so many threads. (The limit is each process's own, and what
/// is counted is the user's.)
#[track_caller]
fn limit_threads(uid: u32, pids: &[u32], threads: u64) {
    let [program, rest @ ..] = become_user(uid);
    for pid in pids {
        let status = Command::new(&program)
            .args(&rest)
            .arg("prlimit")
            .args([format!("--pid={pid}"), format!("--nproc={threads}:")])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

fn threads_of(server: &Server) -> u64 {
    let pids = [server.pid(), server.server_pid()];
    pids.map(|pid| Usage::of(pid).unwrap().threads).iter().sum()
}

#[test]
fn connections_that_get_no_thread_stop_nobody_who_has_one() {
    let Some((server, _folder)) = as_user(64_321) else {
        return;
    };
    let pid = server.server_pid();
    let event = server.create_event("Crowded", 100);
    let path = format!("/events/{event}/register");
    let mut ordinary = server.client();
    ordinary.get("/healthz").expect_status(200);
    let mut uploaders: Vec<Client> = (0..14).map(|_| server.client()).collect();
    for uploader in &mut uploaders {
        uploader.get("/healthz").expect_status(200);
    }
    limit_threads(64_321, &[server.pid(), pid], threads_of(&server) + 2);
    // Bodies to be read away, and newcomers: neither may depend on a thread that is not to be had.
    for uploader in &mut uploaders {
        let _ = uploader.try_send_raw(upload_head(1_000_000).as_bytes());
    }
    let is_over = AtomicBool::new(false);
    let newcomers = Attack::on(server.addr(), &is_over).connect_many(50, "GET /events HT");
    for n in 0..20 {
        let order = format!(r#"{{"email":"ordinary-{n}@example.com"}}"#);
        let start = Instant::now();
        ordinary.post(&path, "user", &order).expect_status(201);
        let took = start.elapsed();
        assert!(took < ANSWERED_WITHIN, "{took:?}");
    }
    drop((newcomers, uploaders));
    // Whoever comes when they have left finds a thread again.
    let start = Instant::now();
    let is_served = || {
        let client = Client::try_connect(server.addr(), Some(fresh_source()));
        let answer = client.and_then(|mut client| client.try_request("GET", "/healthz", &[], None));
        answer.is_ok_and(|answer| answer.status == 200)
    };
    assert!(wait_until(PATIENCE, is_served), "{}", server.log());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(server.try_server_pid(), Some(pid), "{}", server.log());
}

#[test]
fn a_server_that_dies_is_started_again_with_few_threads_to_spare() {
    let Some((server, _folder)) = as_user(64_322) else {
        return;
    };
    let event = server.create_event("Interrupted", 10);
    server.get("/healthz").expect_status(200);
    limit_threads(
        64_322,
        &[server.pid(), server.server_pid()],
        threads_of(&server) + 4,
    );
    let is_over = AtomicBool::new(false);
    let attack = Attack::on(server.addr(), &is_over);
    for round in 0..3 {
        let held = attack.connect_many(50, "GET /events HT");
        let pid = server.server_pid();
        signal(pid, "KILL");
        assert!(wait_until(PATIENCE, || !is_alive(pid)));
        drop(held);
        is_back(&server, event, round);
    }
}

#[test]
fn a_keeper_that_may_start_no_process_waits_until_it_may() {
    let Some((server, _folder)) = as_user(64_323) else {
        return;
    };
    let keeper = server.pid();
    let pid = server.server_pid();
    limit_threads(64_323, &[keeper], 1);
    signal(pid, "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    // Time for several attempts, of which nothing outside need show anything.
    let stays_dead = || server.try_server_pid().is_some() || !server.is_running();
    assert!(!wait_until(Duration::from_secs(2), stays_dead));
    assert!(server.is_running(), "the keeper ended: {}", server.log());
    limit_threads(64_323, &[keeper], 1_000);
    let start = Instant::now();
    server.get("/healthz").expect_status(200);
    let took = start.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");
    assert!(is_alive(keeper));
}
