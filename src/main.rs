//! The command line: parse, run, exit code. 0 is a clean end, 1 anything that went wrong, 2 a
//! command that makes no sense.

use std::process::ExitCode;

use clap::Parser;
use lastseat::config::{Cli, Command, Config};
use lastseat::server::{self, End};

/// Requests are allocated on one thread and freed on another, for which this is quicker than the
/// C library's allocator (much quicker than musl's).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() => return usage(&one_line(&e.to_string())),
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let config = match cli.command {
        Some(Command::Serve(config)) => config,
        None => cli.config,
    };
    serve(&config)
}

fn serve(config: &Config) -> ExitCode {
    if let Err(why) = config.check() {
        return usage(&why);
    }
    match server::run(config) {
        Ok(End::Clean) => ExitCode::SUCCESS,
        Ok(End::Abandoned) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("lastseat: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage(why: &str) -> ExitCode {
    eprintln!("lastseat: {why} (see lastseat --help)");
    ExitCode::from(2)
}

/// clap explains in paragraphs; the first says what is wrong.
fn one_line(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text);
    let line: Vec<&str> = first.split_whitespace().collect();
    line.join(" ").trim_start_matches("error: ").to_owned()
}
