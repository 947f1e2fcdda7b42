//! `lastseat verify`: 0 if the file is what its ledger says, 1 if not.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, print};
use crate::config::location;
use crate::store::Location;
use crate::verify::{Report, verify};

/// A person wants to know what is wrong, not all of it.
const SHOWN_MAX: usize = 20;

#[derive(Args, Debug)]
pub struct Verify {
    /// The database file, or the postgres:// URL of a database
    #[arg(env = "LASTSEAT_DB", default_value = "events.db", value_name = "FILE", value_parser = location())]
    database: Location,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let on_terminal = std::io::stderr().is_terminal();
        let mut progress = |doing: &str, rows: u64| {
            if on_terminal {
                eprint!("\r\x1b[K{doing}, {rows} rows read");
                let _ = std::io::stderr().flush();
            }
        };
        let report = verify(&self.database, &mut progress);
        if on_terminal {
            eprint!("\r\x1b[K");
        }
        let name = &self.database;
        let report = report.map_err(|e| Failure::Failed(format!("cannot verify {name}: {e}")))?;
        match self.json {
            true => {
                let json = serde_json::to_string(&report);
                print(format!("{}\n", json.expect("plain data has a JSON form")).as_bytes());
            }
            false => print(in_words(&report).as_bytes()),
        }
        match report.violations.first() {
            None => Ok(ExitCode::SUCCESS),
            Some(first) => Err(Failure::Failed(format!("{name} is not sound: {first}"))),
        }
    }
}

fn in_words(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |what: &str, count: u64| text.push_str(&format!("  {what:<18} {count:>12}\n"));
    line("events", report.events);
    line("tickets", report.tickets);
    line("ledger rows", report.ledger_rows);
    line("idempotency keys", report.keys);
    line("rows a second", report.rows_per_second);
    line("violations", report.violations_total);
    for violation in report.violations.iter().take(SHOWN_MAX) {
        text.push_str(&format!("  {violation}\n"));
    }
    let more = report.violations_total.saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    let verdict = match report.ok {
        true => "sound: at no moment was a spot sold twice, and everything is as the ledger says",
        false => "NOT SOUND",
    };
    text.push_str(&format!("{verdict} ({:.1} s)\n", report.seconds));
    text
}
