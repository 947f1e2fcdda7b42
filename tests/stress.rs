//! `make stress`: a hundred buyers, five spots, one moment, over real HTTP, against the real
//! binary with its default configuration (the rate limiter on). Ends with a failure unless
//! exactly five of them hold a ticket and all others were told `sold_out`.
//!
//! `ROUNDS=n` repeats it on the same server, each time with a fresh event.

mod support;

use std::process::ExitCode;
use support::{Server, stampede};

const BUYERS: usize = 100;
const SPOTS: usize = 5;

fn main() -> ExitCode {
    let rounds = match std::env::var("ROUNDS").map(|rounds| rounds.parse::<usize>()) {
        Err(_) => 1,
        Ok(Ok(rounds)) if rounds > 0 => rounds,
        Ok(_) => {
            eprintln!("ROUNDS must be a number, 1 or more");
            return ExitCode::from(2);
        }
    };
    let server = Server::start(&[]);
    println!("{}", server.ready_line());
    for number in 1..=rounds {
        let round = stampede::run_round(&server, BUYERS, SPOTS);
        println!("round {number} of {rounds}: {BUYERS} buyers, {SPOTS} spots");
        print!("{round}");
        if let Err(reason) = round.verdict() {
            println!("FAILED: {reason}");
            return ExitCode::FAILURE;
        }
    }
    println!(
        "passed: {SPOTS} sold, {} refused, every time",
        BUYERS - SPOTS
    );
    ExitCode::SUCCESS
}
