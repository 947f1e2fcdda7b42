//! `lastseat backup`: a copy of the database, also while it is in use.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, print};
use crate::config::Database;
use crate::store;

#[derive(Args, Debug)]
#[command(
    after_help = "The copy is one moment of the database, whole and on disk when the command \
    ends, or not there. It serves at once: lastseat --db FILE. lastseat verify FILE proves it."
)]
pub struct Backup {
    /// The copy, which must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

impl Backup {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let (from, to) = (&self.database.db, &self.file);
        let bytes = store::backup(from, to)
            .map_err(|e| Failure::Failed(format!("no backup of {from} was made: {e}")))?;
        let to = to.display();
        print(format!("{from} is backed up in {to} ({bytes} bytes)\n").as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}
