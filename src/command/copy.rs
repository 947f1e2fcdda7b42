//! `lastseat copy`: a sale from one database into another, as from a file to PostgreSQL.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, print};
use crate::config::location;
use crate::store::{self, Location};

#[derive(Args, Debug)]
#[command(
    after_help = "The copy is one moment of FROM, whole or not there. Stop the servers on FROM first: \
    what they sell meanwhile is not in it. lastseat verify TO proves it."
)]
pub struct Copy {
    /// The database file, or the postgres:// URL of a database, that has the sale
    #[arg(value_name = "FROM", value_parser = location())]
    from: Location,
    /// The same, for one that has none yet; a file is made
    #[arg(value_name = "TO", value_parser = location())]
    to: Location,
}

impl Copy {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let (from, to) = (&self.from, &self.to);
        let on_terminal = std::io::stderr().is_terminal();
        let mut progress = |table: &str, rows: u64| {
            if on_terminal {
                eprint!("\r\x1b[K{table}, {rows} rows");
                let _ = std::io::stderr().flush();
            }
        };
        let copied = store::copy(from, to, &mut progress);
        if on_terminal {
            eprint!("\r\x1b[K");
        }
        let rows = copied.map_err(|e| Failure::Failed(format!("{from} was not copied: {e}")))?;
        print(format!("{from} is copied to {to} ({rows} rows)\n").as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}
