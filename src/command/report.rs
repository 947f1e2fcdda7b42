//! `lastseat report`: a page to look at after a sale.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tempfile::Builder;

use super::{Failure, print};
use crate::clock::Clock;
use crate::config::Database;
use crate::report::report;

/// How a page begins, and nothing that ought to be kept.
const PAGE: &[u8] = b"<!doctype html>";

#[derive(Args, Debug)]
#[command(
    after_help = "The page needs no network and no scripts. It has no addresses, keys or ticket \
    ids. Without --event it shows the 20 events that most has happened to. A page that is there is \
    replaced; any other file is not."
)]
pub struct Report {
    /// The page, or - for standard output
    #[arg(value_name = "FILE.html")]
    page: PathBuf,

    /// This event alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    event: Option<i64>,

    #[command(flatten)]
    database: Database,
}

impl Report {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let database = &self.database.db;
        let is_output = self.page == Path::new("-");
        if !is_output {
            refuse_other(&self.page)?;
        }
        let now = Clock::system().now();
        let report = report(&self.database.db, self.event, now, None)
            .map_err(|e| Failure::Failed(format!("cannot report on {database}: {e}")))?;
        if is_output {
            print(report.html.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
        write(&self.page, &report.html)?;
        let (page, shown, events) = (self.page.display(), report.shown, report.events);
        print(format!("{page} shows {shown} of {events} events of {database}\n").as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}

fn cannot_write(page: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot write {}: {why}", page.display()))
}

/// Whoever types the database in the page's place shall not lose it.
pub(super) fn refuse_other(page: &Path) -> Result<(), Failure> {
    let begin = match fs::metadata(page) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot_write(page, e)),
        Ok(found) if !found.is_file() => {
            return Err(cannot_write(
                page,
                "it is there and no file; - is standard output",
            ));
        }
        Ok(_) => {
            let mut begin = Vec::new();
            let file = File::open(page).map_err(|e| cannot_write(page, e))?;
            let read = file.take(PAGE.len() as u64).read_to_end(&mut begin);
            read.map_err(|e| cannot_write(page, e))?;
            begin
        }
    };
    match begin.is_empty() || begin.eq_ignore_ascii_case(PAGE) {
        true => Ok(()),
        false => Err(cannot_write(
            page,
            "there is a file that is no page; give another name",
        )),
    }
}

/// The whole page, or what was there before.
pub(super) fn write(page: &Path, html: &str) -> Result<(), Failure> {
    refuse_other(page)?;
    // Through a symlink, not in its place.
    let target = page.canonicalize().unwrap_or_else(|_| page.to_owned());
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = Builder::new()
        .prefix(".lastseat-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .and_then(|mut file| {
            file.write_all(html.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&target).map_err(|e| e.error)
        });
    written.map(drop).map_err(|e| cannot_write(page, e))
}
