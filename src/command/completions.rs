//! `lastseat completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, print};

#[derive(Args, Debug)]
pub struct Completions {
    /// The shell that is to read the script
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "lastseat", &mut script);
        print(&script);
        Ok(ExitCode::SUCCESS)
    }
}
