//! The yardstick: tiny_http as it was last released, answering a registration with a constant, in
//! a process of its own as the server is, and with as many threads as the server's default has
//! workers.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::load::{self, Ask, Target};
use super::process::Ended;
use super::requests::{fresh_email, registration};
use super::scenarios::Scenario;

pub const NAME: &str = "bare tiny_http";

/// The argument that makes the program the yardstick's process.
pub const ARGUMENT: &str = "--bare-tiny-http";

/// What a client of the scenarios sends, to whom the answer is 200.
pub fn ask() -> Ask {
    Ask {
        bytes: registration(1, &fresh_email(), None),
        expected: 200,
    }
}

pub fn start() -> (Target, Ended) {
    let program = std::env::current_exe().expect("this program's path");
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts itself");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a piped stdout");
    BufReader::new(stdout).read_line(&mut line).expect("reads");
    let address: SocketAddr = line.trim().parse().expect("an address");
    let target = Target {
        address,
        pid: child.id(),
    };
    (target, Ended::with("KILL", child))
}

pub fn scenario() -> Scenario {
    let (target, child) = start();
    Scenario::new(NAME, target.pid, move |clients, time| {
        let _lives = &child;
        load::run(target, clients, time, |_| || Some(ask()))
    })
}

/// Serves until standard input ends.
pub fn serve() {
    let tiny = Arc::new(bare_tiny_http::Server::http("127.0.0.1:0").expect("listens"));
    println!("{}", tiny.server_addr());
    let workers = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 16);
    for _ in 0..workers {
        let tiny = tiny.clone();
        std::thread::spawn(move || {
            for request in tiny.incoming_requests() {
                let _ = request.respond(bare_tiny_http::Response::from_string("constant"));
            }
        });
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
