//! Two processes: the keeper holds the socket, the server serves. Whichever of them dies, and
//! however, the service is back, or gone for good.

use crate::support::sale::Sale;
use crate::support::stampede::Order;
use crate::support::{PATIENCE, Server, is_alive, pause_for_arrival, signal, wait_until};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The promise is one second; the rest is for a busy machine.
const BACK_WITHIN: Duration = Duration::from_millis(2_500);

/// Waits until another process serves.
#[track_caller]
fn successor_of(server: &Server, killed: u32) -> u32 {
    let mut successor = None;
    wait_until(PATIENCE, || {
        successor = server.try_server_pid().filter(|pid| *pid != killed);
        successor.is_some()
    });
    successor.unwrap_or_else(|| panic!("no other server: {}", server.log()))
}

#[test]
fn a_server_that_is_killed_is_back_on_its_socket_with_what_it_had_sold() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Interrupted", 3);
    let ticket = server.register(event, "a@example.com").expect_status(201);
    for signal_name in ["KILL", "ABRT", "KILL"] {
        let pid = server.server_pid();
        let start = Instant::now();
        signal(pid, signal_name);
        assert!(wait_until(PATIENCE, || !is_alive(pid)));
        // Who comes while there is nobody waits in the backlog, and is not refused.
        server.get("/healthz").expect_status(200);
        let took = start.elapsed();
        assert!(took < BACK_WITHIN, "{took:?} after SIG{signal_name}");
        successor_of(&server, pid);
    }
    let path = format!("/tickets/{}", ticket.text("ticket_id"));
    server.get(&path).expect_status(200);
    assert_eq!(server.event(event)["available_spots"], 2);
    assert_eq!(server.more_stdout(), [""; 0], "it is announced once");
    server.assert_invariants();
}

#[test]
fn a_sale_goes_on_while_servers_are_killed() {
    let server = Server::start(&["--rate-limit", "off"]);
    let sale = Sale::of(&server, server.addr(), 600);
    sale.run(&server, 32, || {
        for sold in [100, 200, 300] {
            sale.release(150);
            assert!(wait_until(PATIENCE, || sale.sold() >= sold));
            let pid = server.server_pid();
            signal(pid, "KILL");
            successor_of(&server, pid);
        }
    });
}

#[test]
fn a_server_whose_keeper_is_killed_stops_and_frees_the_port() {
    let server = Server::start(&["--rate-limit", "off"]);
    let mut idle = server.client();
    idle.get("/events").expect_status(200);
    let (pid, address) = (server.server_pid(), server.addr().to_string());
    let start = Instant::now();
    signal(server.pid(), "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    let took = start.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");
    let next = Server::builder().listen(&address).db(server.db_path());
    next.start().get("/healthz").expect_status(200);
}

#[test]
fn a_server_whose_keeper_is_killed_stops_even_while_a_commit_hangs() {
    let server = Server::start(&["--rate-limit", "off"]);
    let event = server.create_event("Locked", 1);
    let other_program = server.db();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut buyer = server.client();
    let order = Order::by("buyer@example.com").json();
    buyer.send_raw(post(event, &order).as_bytes());
    pause_for_arrival();
    let pid = server.server_pid();
    signal(server.pid(), "KILL");
    let start = Instant::now();
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    let took = start.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");
}

fn post(event: i64, order: &str) -> String {
    let path = format!("/events/{event}/register");
    crate::support::request_text("POST", &path, &[("X-Role", "user")], Some(order))
}

#[test]
fn a_call_to_stop_stops_both_whichever_it_reaches() {
    let reached: [fn(&Server) -> u32; 2] = [Server::pid, Server::server_pid];
    for pid_of in reached {
        for signal_name in ["TERM", "INT", "HUP"] {
            let server = Server::start(&[]);
            let serving = server.server_pid();
            signal(pid_of(&server), signal_name);
            let status = server.wait(PATIENCE);
            assert_eq!(status.code(), Some(0), "{signal_name}: {}", server.log());
            assert!(!is_alive(serving), "{signal_name}");
        }
    }
}

#[test]
fn both_may_be_called_to_stop_at_once() {
    let server = Server::start(&[]);
    let both = format!("{} {}", server.pid(), server.server_pid());
    let kill = format!("kill -TERM {both}");
    Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
}

#[test]
fn a_second_call_stops_both_at_once() {
    let reached: [fn(&Server) -> u32; 2] = [Server::pid, Server::server_pid];
    for pid_of in reached {
        let server = Server::start(&["--rate-limit", "off"]);
        let event = server.create_event("Locked", 1);
        let (serving, reached) = (server.server_pid(), pid_of(&server));
        let other_program = server.db();
        other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut buyer = server.client();
        let order = Order::by("buyer@example.com").json();
        buyer.send_raw(post(event, &order).as_bytes());
        pause_for_arrival();
        signal(reached, "TERM");
        pause_for_arrival();
        assert!(server.is_running(), "nothing held up the stop");
        signal(reached, "TERM");
        assert_eq!(server.wait(BACK_WITHIN).code(), Some(1));
        assert!(wait_until(BACK_WITHIN, || !is_alive(serving)));
    }
}

#[test]
fn a_server_that_cannot_start_again_is_tried_again_and_again_but_not_in_a_hurry() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().db(&db).rate_limit_off().start();
    let hidden = folder.path().join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        std::fs::rename(folder.path().join(file), hidden.join(file)).unwrap();
    }
    std::fs::create_dir(&db).unwrap();
    let pid = server.server_pid();
    signal(pid, "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    let attempts = || server.log().matches("starting another").count();
    let start = Instant::now();
    assert!(wait_until(PATIENCE, || attempts() >= 5));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200), "5 attempts in {took:?}");
    std::fs::remove_dir(&db).unwrap();
    server.get("/healthz").expect_status(200);
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
}

#[test]
fn a_call_to_stop_is_heard_while_no_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let server = Server::builder().db(&db).start();
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    std::fs::create_dir(&db).unwrap();
    signal(server.server_pid(), "KILL");
    assert!(wait_until(PATIENCE, || server
        .log()
        .matches("starting another")
        .count()
        >= 5));
    server.sigterm();
    server.wait(PATIENCE);
    assert_eq!(server.try_server_pid(), None);
}

#[test]
fn without_a_keeper_there_is_one_process() {
    let server = Server::builder().no_keeper().start();
    server.get("/healthz").expect_status(200);
    signal(server.pid(), "KILL");
    assert_eq!(server.wait(PATIENCE).code(), None);
    let server = Server::builder().no_keeper().start();
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn a_killed_server_is_back_on_a_unix_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lastseat.sock");
    let listen = format!("unix:{}", socket.display());
    let server = Server::builder().listen(&listen).start();
    let pid = server.server_pid();
    signal(pid, "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    // A connection that the dying process has just taken breaks; the next one does not.
    let answers = || {
        let asked = server.client().try_request("GET", "/healthz", &[], None);
        asked.is_ok_and(|answer| answer.status == 200)
    };
    assert!(wait_until(PATIENCE, answers));
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());
    assert!(!socket.exists(), "the socket's file is left behind");
}

/// A program that holds a socket and starts lastseat with it, as systemd does.
struct Activated {
    child: Child,
    socket: TcpListener,
}

impl Activated {
    fn start(socket: TcpListener, db: &Path, flags: &[&str]) -> Activated {
        use command_fds::{CommandFdExt, FdMapping};
        let mut command = Command::new(env!("CARGO_BIN_EXE_lastseat"));
        let at_three = FdMapping {
            parent_fd: socket.try_clone().unwrap().into(),
            child_fd: 3,
        };
        command
            .args(flags)
            .arg("--db")
            .arg(db)
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(vec![at_three])
            .unwrap();
        Activated {
            child: command.spawn().expect("spawns"),
            socket,
        }
    }

    fn stop(mut self) -> TcpListener {
        signal(self.child.id(), "TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.socket
    }
}

#[test]
fn a_socket_that_was_handed_over_is_served_and_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    let mut socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    for flags in [&[][..], &["--no-keeper"]] {
        let waiting = std::thread::spawn(move || {
            let mut client = crate::support::Client::connect(address);
            client.get("/healthz").status
        });
        // It connected while nobody served.
        let activated = Activated::start(socket, &db, flags);
        assert_eq!(waiting.join().unwrap(), 200, "{flags:?}");
        socket = activated.stop();
    }
}

#[test]
fn a_socket_open_to_others_is_refused_however_it_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut activated = Activated::start(socket, &folder.path().join("events.db"), &[]);
    assert_eq!(activated.child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_program_that_is_away_for_a_moment_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (program, next) = (folder.path().join("lastseat"), folder.path().join("next"));
    std::fs::copy(env!("CARGO_BIN_EXE_lastseat"), &program).unwrap();
    let server = Server::builder().binary(&program).listen_apart().start();
    std::fs::remove_file(&program).unwrap();
    signal(server.server_pid(), "KILL");
    wait_until(PATIENCE, || server.log().contains("cannot start another"));
    std::fs::copy(env!("CARGO_BIN_EXE_lastseat"), &next).unwrap();
    std::fs::rename(&next, &program).unwrap();
    server.get("/events").expect_status(200);
}
