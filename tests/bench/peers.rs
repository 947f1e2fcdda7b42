//! `PEERS=1`: what others do a second when they sell the last seat exactly once, on this machine in
//! this run, taking turns with the server. Each is as it comes from its package, driven by the load
//! program that comes with it, and left out where it is not installed.

mod postgres;
mod redis;

use std::path::PathBuf;
use std::time::Duration;

use super::load::Seen;
use super::scenarios::{self, Scenario};
use super::table;

/// What a peer did in one turn.
#[derive(Clone, Copy)]
pub struct Turn {
    pub per_second: f64,
    pub p99_ms: f64,
    pub errors: u64,
}

pub trait Peer {
    fn name(&self) -> &str;

    /// Lets so many clients buy for about so long.
    fn turn(&mut self, clients: usize, time: Duration) -> Turn;

    /// What is wrong with its books after all turns.
    fn audit(&mut self) -> Option<String>;
}

/// Sells by [`Scenario`], as the others by theirs.
struct Lastseat(Scenario);

impl Peer for Lastseat {
    fn name(&self) -> &str {
        self.0.name
    }

    fn turn(&mut self, clients: usize, time: Duration) -> Turn {
        let seen: Seen = self.0.run(clients, time);
        Turn {
            per_second: seen.per_second(),
            p99_ms: seen.percentile_ms(0.99),
            errors: seen.errors,
        }
    }

    fn audit(&mut self) -> Option<String> {
        None
    }
}

/// Prints a table; returns how many sales failed.
pub fn measure(clients: usize, rounds: usize, time: Duration) -> u64 {
    println!(
        "\npeers: durable sales of one event, {clients} connections, {rounds} rounds in turns"
    );
    let own = |scenario: Scenario| -> Box<dyn Peer> {
        scenario.rest();
        Box::new(Lastseat(scenario))
    };
    let mut all = vec![
        own(scenarios::register("lastseat, register", &[])),
        own(scenarios::register_with_keys("lastseat, with keys")),
    ];
    for (name, start) in [
        ("Redis", redis::start as fn() -> Result<_, String>),
        ("PostgreSQL", postgres::start),
    ] {
        eprint!("\r\x1b[Kstarting {name}");
        let started: Result<Vec<Box<dyn Peer>>, String> = start();
        eprint!("\r\x1b[K");
        match started {
            Ok(peers) => all.extend(peers),
            Err(reason) => println!("{name} is left out: {reason}"),
        }
    }
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); all.len()];
    for round in 1..=rounds {
        for (peer, turns) in all.iter_mut().zip(&mut turns) {
            eprint!("\r\x1b[Kround {round} of {rounds}: {}", peer.name());
            turns.push(peer.turn(clients, time));
        }
    }
    eprint!("\r\x1b[K");
    print(&all, &turns);
    let wrong = all.iter_mut().filter_map(|peer| {
        let wrong = peer.audit()?;
        println!("{}: {wrong}", peer.name());
        Some(1)
    });
    wrong.sum::<u64>() + turns.iter().flatten().map(|turn| turn.errors).sum::<u64>()
}

fn print(all: &[Box<dyn Peer>], turns: &[Vec<Turn>]) {
    println!("ratio: lastseat's to the peer's in the same round, median (min-max); p99 in ms");
    println!(
        "{:<34} {:>8} {:>18} {:>18} {:>7} {:>6}",
        "", "a second", "register / peer", "with keys / peer", "p99", "errors"
    );
    let rates = |turns: &[Turn]| -> Vec<f64> { turns.iter().map(|t| t.per_second).collect() };
    let [register, with_keys] = [rates(&turns[0]), rates(&turns[1])];
    for (peer, turns) in all.iter().zip(turns) {
        let own = rates(turns);
        let ratio = |lastseat: &[f64]| {
            let (ratio, low, high) = table::ratio(lastseat, &own);
            format!("{ratio:.2} {:>11}", format!("{low:.2}-{high:.2}"))
        };
        println!(
            "{:<34} {:>8.0} {:>18} {:>18} {:>7.2} {:>6}",
            peer.name(),
            table::median(own.iter().copied()),
            ratio(&register),
            ratio(&with_keys),
            table::median(turns.iter().map(|t| t.p99_ms)),
            turns.iter().map(|t| t.errors).sum::<u64>()
        );
    }
}

/// A program by its name, on the PATH or in one of these folders.
fn program(name: &str, folders: &[PathBuf]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = folders.iter().cloned().chain(std::env::split_paths(&path));
    places
        .find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
        .ok_or(format!("{name} is not installed"))
}

/// What a program writes to standard output, if it ends well.
fn output(command: &mut std::process::Command) -> Result<String, String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => {
            let errors = String::from_utf8_lossy(&out.stderr);
            Err(format!("{command:?}: {}: {}", out.status, errors.trim()))
        }
    }
}
