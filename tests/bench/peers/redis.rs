//! Raw Redis, no HTTP, every answer on disk (`appendfsync always`): a sale is one call of a script
//! (`sale.lua`), and redis-benchmark makes the calls.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Peer, Turn, output, program};
use crate::bench::process::Ended;
use crate::support::{PATIENCE, wait_until};

const SCRIPT: &str = include_str!("sale.lua");
const SPOTS: i64 = 100_000_000;
/// Of the first turn, whose rate says how many calls fill the time of the others.
const FIRST_CALLS: usize = 30_000;

struct Redis {
    name: String,
    benchmark: PathBuf,
    cli: PathBuf,
    port: u16,
    script_sha1: String,
    calls: usize,
    turns: usize,
    answered: i64,
    _server: Ended,
    _folder: TempDir,
}

pub fn start() -> Result<Vec<Box<dyn Peer>>, String> {
    let server = program("redis-server", &[])?;
    let (benchmark, cli) = (program("redis-benchmark", &[])?, program("redis-cli", &[])?);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = free_port();
    let child = Command::new(&server)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .arg("--dir")
        .arg(folder.path())
        .args([
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        // Nothing is rewritten in the middle of a turn.
        .args(["--auto-aof-rewrite-percentage", "0"])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("{server:?}: {e}"))?;
    let mut redis = Redis {
        name: format!("Redis {}, appendfsync always", version(&server)?),
        benchmark,
        cli,
        port,
        script_sha1: String::new(),
        calls: FIRST_CALLS,
        turns: 0,
        answered: 0,
        _server: Ended::with("TERM", child),
        _folder: folder,
    };
    let is_up = || redis.ask(&["PING"]).is_ok_and(|pong| pong == "PONG");
    assert!(wait_until(PATIENCE, is_up), "redis-server answers");
    redis.script_sha1 = redis.ask(&["SCRIPT", "LOAD", SCRIPT])?;
    redis.ask(&["HSET", "event:1", "available", &SPOTS.to_string()])?;
    Ok(vec![Box::new(redis)])
}

/// Free at this moment, which has to do: redis-server does not tell which one it would take.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}

/// From `Redis server v=7.0.15 sha=...`.
fn version(server: &PathBuf) -> Result<String, String> {
    let line = output(Command::new(server).arg("--version"))?;
    let version = line.split(" v=").nth(1).unwrap_or_default();
    Ok(version.split(' ').next().unwrap_or_default().to_owned())
}

impl Redis {
    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let port = self.port.to_string();
        let mut command = Command::new(&self.cli);
        let answer = output(command.args(["-p", &port]).args(words))?;
        Ok(answer.trim().to_owned())
    }

    fn run(&mut self, clients: usize) -> Result<(f64, f64), String> {
        self.turns += 1;
        let turn = self.turns;
        let csv = output(
            Command::new(&self.benchmark)
                .args(["-p", &self.port.to_string(), "-c", &clients.to_string()])
                .args(["-n", &self.calls.to_string(), "-r", "2000000000"])
                .args(["--csv", "--precision", "3"])
                .args(["EVALSHA", &self.script_sha1, "3"])
                .args(["event:1", "event:1:addresses", "keys"])
                .arg(format!("{turn}-__rand_int__@example.com"))
                .arg(format!("{turn}-__rand_int__-key-as-long-as-uuid"))
                .arg(format!("{turn}-__rand_int__-ticket-like-a-uuid")),
        )?;
        self.answered += self.calls as i64;
        result(&csv).ok_or(format!("redis-benchmark wrote {csv:?}"))
    }
}

/// Calls a second and the p99 in ms, from the last line: "test","rps","avg_latency_ms",
/// "min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms". (Counted
/// from its end, as the test's name is the command and may hold anything.)
fn result(csv: &str) -> Option<(f64, f64)> {
    let line = csv.lines().rfind(|line| !line.is_empty())?;
    let mut from_end = line.rsplit(',').map(|field| field.trim_matches('"'));
    let p99 = from_end.nth(1)?.parse().ok()?;
    Some((from_end.nth(4)?.parse().ok()?, p99))
}

impl Peer for Redis {
    fn name(&self) -> &str {
        &self.name
    }

    fn turn(&mut self, clients: usize, time: Duration) -> Turn {
        if self.turns == 0 {
            let (per_second, _) = self.run(clients).expect("a first turn");
            self.calls = (per_second * time.as_secs_f64()) as usize;
        }
        let (per_second, p99_ms) = self.run(clients).expect("a turn");
        Turn {
            per_second,
            p99_ms,
            errors: 0,
        }
    }

    /// Nearly every call must have sold a ticket: two of the random addresses or keys of a turn may
    /// be the same.
    fn audit(&mut self) -> Option<String> {
        let number = |words: &[&str]| self.ask(words).ok()?.parse::<i64>().ok();
        let sold = number(&["HGET", "event:1", "available"]).map(|left| SPOTS - left);
        let addresses = number(&["HLEN", "event:1:addresses"]);
        let most = self.answered * 999 / 1_000;
        (sold != addresses || sold.is_none_or(|sold| sold < most)).then(|| {
            let answered = self.answered;
            format!("{answered} calls sold {sold:?} tickets to {addresses:?} addresses")
        })
    }
}
