//! `lastseat verify`: proves from the ledger that a file never oversold, and that what it says now
//! is what came of it.
//!
//! The ledger is replayed from its first row ([`replay`]); then every event, ticket and key is
//! compared with what the replay says of it. It only reads, so it may be run on a live file. It
//! takes about 400 bytes of memory a ticket.

mod findings;
mod replay;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use findings::Findings;
pub use findings::{Check, Violation};
use replay::Books;

use crate::error::Error;
use crate::store::{Audit, OpenError, Unreadable};

/// What was looked at, and what is wrong.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub ok: bool,
    pub events: u64,
    pub tickets: u64,
    pub ledger_rows: u64,
    pub keys: u64,
    pub seconds: f64,
    pub rows_per_second: u64,
    pub violations_total: u64,
    /// In the order in which they were found; not all, if there are very many.
    pub violations: Vec<Violation>,
}

impl Report {
    pub fn rows(&self) -> u64 {
        self.events + self.tickets + self.ledger_rows + self.keys
    }
}

/// Verifies the file as it is at this moment. `progress` is told what is being done and how many
/// rows have been read, now and then.
///
/// Errors: those of opening it. Whatever is wrong inside is a violation in the report.
pub fn verify(path: &Path, progress: &mut dyn FnMut(&str, u64)) -> Result<Report, OpenError> {
    let started = Instant::now();
    let audit = Audit::open(path)?;
    let mut run = Run {
        findings: Findings::default(),
        progress: Progress::new(progress),
    };
    // SQLite's own checks take as long as all the rest, so they have a thread of their own.
    let (mut findings, report) = std::thread::scope(|scope| {
        let structure = scope.spawn(|| check_structure(path));
        let report = run.replay_and_compare(&audit);
        (run.progress.tell)("the file's structure", report.rows());
        (structure.join().expect("only reads"), report)
    });
    findings.append(run.findings);
    let seconds = started.elapsed().as_secs_f64();
    Ok(Report {
        ok: findings.total == 0,
        seconds,
        rows_per_second: (report.rows() as f64 / seconds.max(1e-6)) as u64,
        violations_total: findings.total,
        violations: findings.first,
        ..report
    })
}

fn check_structure(path: &Path) -> Findings {
    let mut findings = Findings::default();
    let audit = match Audit::open(path) {
        Ok(audit) => audit,
        Err(e) => {
            findings.add(Check::Unreadable, e);
            return findings;
        }
    };
    let mut all = |check, sentences: Result<Vec<String>, Error>| match sentences {
        Ok(sentences) => sentences.into_iter().for_each(|s| findings.add(check, s)),
        Err(e) => findings.add(Check::Unreadable, e),
    };
    all(Check::Schema, audit.schema_differences());
    all(Check::Integrity, audit.integrity_check());
    all(Check::ForeignKeys, audit.foreign_key_check());
    findings
}

struct Run<'p> {
    findings: Findings,
    progress: Progress<'p>,
}

impl Run<'_> {
    fn replay_and_compare(&mut self, audit: &Audit) -> Report {
        let mut books = Books::default();
        let ledger_rows = self.walk("the ledger", |run, count| {
            audit.ledger(|row| run.row("ledger", row, count, |f, row| books.enter(&row, f)))
        });
        let tickets = self.walk("the tickets", |run, count| {
            audit.tickets(|row| run.row("tickets", row, count, |f, t| books.compare_ticket(&t, f)))
        });
        let events = self.walk("the events", |run, count| {
            audit.events(|row| run.row("events", row, count, |f, e| books.compare_event(&e, f)))
        });
        let keys = self.walk("the keys", |run, count| {
            let name = "idempotency_keys";
            audit.keys(|row| {
                let number = *count + 1;
                run.row(name, row, count, |f, k| books.compare_key(k, number, f));
            })
        });
        books.close(&mut self.findings);
        Report {
            events,
            tickets,
            ledger_rows,
            keys,
            ..Report::default()
        }
    }

    /// Returns how many rows were walked over.
    fn walk(
        &mut self,
        what: &'static str,
        rows: impl FnOnce(&mut Self, &mut u64) -> Result<(), Error>,
    ) -> u64 {
        self.progress.doing = what;
        let mut count = 0;
        if let Err(e) = rows(self, &mut count) {
            let after = format!("{what} after row {count}: {e}");
            self.findings.add(Check::Unreadable, after);
        }
        count
    }

    fn row<T>(
        &mut self,
        table: &str,
        row: Result<T, Unreadable>,
        count: &mut u64,
        see: impl FnOnce(&mut Findings, T),
    ) {
        *count += 1;
        self.progress.one_more();
        match row {
            Ok(row) => see(&mut self.findings, row),
            Err((number, e)) => {
                let what = format!("{table}, row number {number}: {e}");
                self.findings.add(Check::Unreadable, what);
            }
        }
    }
}

struct Progress<'p> {
    tell: &'p mut dyn FnMut(&str, u64),
    doing: &'static str,
    rows: u64,
    next: Instant,
}

impl<'p> Progress<'p> {
    fn new(tell: &'p mut dyn FnMut(&str, u64)) -> Progress<'p> {
        Progress {
            tell,
            doing: "",
            rows: 0,
            next: Instant::now(),
        }
    }

    fn one_more(&mut self) {
        self.rows += 1;
        // The clock costs more than the row.
        if self.rows.is_multiple_of(1_024) && Instant::now() >= self.next {
            self.next = Instant::now() + Duration::from_millis(100);
            (self.tell)(self.doing, self.rows);
        }
    }
}
