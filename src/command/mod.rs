//! What can be typed: the command line, one file a command.

mod backup;
mod completions;
mod copy;
mod demo;
mod help;
mod key;
#[cfg(feature = "relay")]
mod relay;
mod report;
mod serve;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::Error;
use crate::store::{Db, Location, OpenError};
use backup::Backup;
use completions::Completions;
use copy::Copy;
use demo::Demo;
use help::Help;
use key::Key;
#[cfg(feature = "relay")]
use relay::Relay;
use report::Report;
use verify::Verify;

/// What `--help` tells beside the flags.
const MANUAL: &str = include_str!("manual.txt");

#[derive(Parser, Debug)]
#[command(
    name = "lastseat",
    version,
    about = "Event registration and ticketing that sells the last seat exactly once.",
    long_about = "Event registration and ticketing that sells the last seat exactly once.\n\n\
        Without a command it serves: on 127.0.0.1:8080, with the database events.db in the \
        current folder, which it creates. Stop it with Ctrl-C or SIGTERM.",
    after_help = "lastseat help tells more; lastseat demo shows it.",
    after_long_help = MANUAL,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server (what lastseat does without a command)
    #[command(after_long_help = MANUAL)]
    Serve(Box<Config>),
    /// Show a flash sale on a temporary database: what to run first
    Demo(Demo),
    /// Make, list and revoke the keys of --auth key
    Key(Key),
    /// Prove from the ledger that a database never oversold (reads only, also while it is in use)
    Verify(Verify),
    /// Picture a sale on a page to look at, from its ledger (reads only, also while it is in use)
    Report(Report),
    /// Tell another program what happens, by webhooks
    #[cfg(feature = "relay")]
    Relay(Relay),
    /// Copy the database to a new file, also while it is in use
    Backup(Backup),
    /// Copy a sale from a file to PostgreSQL, or back
    Copy(Copy),
    /// Print a script that completes lastseat's commands and flags in a shell
    Completions(Completions),
    /// Read the manual, a topic at a time; or what a command takes
    Help(Help),
}

/// Why a command did not do what it was asked, for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It makes no sense.
    #[error("{0} (see lastseat help)")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
}

impl Cli {
    /// Does what the command says, to its end.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            None => serve::run(&self.config),
            Some(Command::Serve(config)) => serve::run(&config),
            Some(Command::Demo(demo)) => demo.run(),
            Some(Command::Key(key)) => key.run(),
            Some(Command::Verify(verify)) => verify.run(),
            Some(Command::Report(report)) => report.run(),
            #[cfg(feature = "relay")]
            Some(Command::Relay(relay)) => relay.run(),
            Some(Command::Backup(backup)) => backup.run(),
            Some(Command::Copy(copy)) => copy.run(),
            Some(Command::Completions(completions)) => completions.run(),
            Some(Command::Help(help)) => help.run(),
        }
    }
}

/// The database, made if there is none.
fn open(location: &Location) -> Result<Db, Failure> {
    Db::open(location).map_err(|e| cannot_open(location, &e))
}

fn open_existing(location: &Location) -> Result<Db, Failure> {
    Db::open_existing(location).map_err(|e| cannot_open(location, &e))
}

fn cannot_open(location: &Location, why: &OpenError) -> Failure {
    Failure::Failed(format!("cannot open the database {location}: {why}"))
}

fn failed(why: Error) -> Failure {
    Failure::Failed(why.to_string())
}

/// To standard output. Whoever has stopped reading there (`| head`) is no failure.
fn print(text: &[u8]) {
    let _ = std::io::stdout().write_all(text);
}

impl From<clap::Error> for Failure {
    /// clap explains in paragraphs; the first says what is wrong.
    fn from(error: clap::Error) -> Failure {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or(&text);
        let line: Vec<&str> = first.split_whitespace().collect();
        Failure::Usage(line.join(" ").trim_start_matches("error: ").to_owned())
    }
}
