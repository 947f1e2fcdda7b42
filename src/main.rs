//! The command line: parse, run, exit code. 0 is a clean end, 1 anything that went wrong, 2 a
//! command that makes no sense.

use std::process::ExitCode;

use clap::Parser;
use lastseat::command::{Cli, Failure};

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(e) if e.use_stderr() => Err(e.into()),
        Err(help) => {
            let _ = help.print();
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("lastseat: {failure}");
        match failure {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Failed(_) => ExitCode::FAILURE,
        }
    })
}
