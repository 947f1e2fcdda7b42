//! `lastseat verify`: proves from the ledger that a file never oversold, and that what it says now
//! is what came of it.
//!
//! Each file of `AUDITS` is one statement that returns what is wrong, a column for each [`Check`].
//! It only reads, so it may be run on a live file. What SQLite has to sort goes to temporary files
//! where it is much.

mod event;
mod findings;
mod line;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

pub use event::{EventReport, verify_event};
use findings::Findings;
pub use findings::{Check, Violation};

use crate::error::Error;
use crate::store::{Audit, Counts, Location, OpenError, open_audit};

/// What is looked at, and the statement that looks.
const AUDITS: [(&str, &str); 9] = [
    ("the ledger", include_str!("../../sql/audit_ledger.sql")),
    ("the events", include_str!("../../sql/audit_events.sql")),
    ("the tickets", include_str!("../../sql/audit_tickets.sql")),
    ("the lines", include_str!("../../sql/audit_line_counts.sql")),
    ("the holders", include_str!("../../sql/audit_holders.sql")),
    ("the ticket ids", include_str!("../../sql/audit_ids.sql")),
    ("the keys", include_str!("../../sql/audit_keys.sql")),
    ("the keys", include_str!("../../sql/audit_keys_twice.sql")),
    ("the keys", include_str!("../../sql/audit_sales_twice.sql")),
];

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

/// Why a server is not ready, while it is not; shared by who verifies and who is asked.
#[derive(Debug, Default)]
pub struct Unready(Mutex<Option<&'static str>>);

impl Unready {
    pub fn set(&self, reason: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub fn reason(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies the file as it is at this moment. `progress` is told what is being looked at, and how
/// many rows there are in all.
///
/// Errors: those of opening it. Whatever is wrong inside is a violation in the report.
pub fn verify(
    database: &Location,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Report, OpenError> {
    let started = Instant::now();
    let audit = open_audit(database)?;
    let mut findings = Findings::default();
    // SQLite's own checks take as long as all the rest, so they have a thread of their own.
    let (structure, report) = std::thread::scope(|scope| {
        let structure = scope.spawn(|| check_structure(database));
        let report = check_contents(&*audit, &mut findings, progress);
        progress("the file's structure", report.rows());
        (structure.join().expect("only reads"), report)
    });
    let findings = structure.and(findings);
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

fn check_structure(database: &Location) -> Findings {
    let mut findings = Findings::default();
    let audit = match open_audit(database) {
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

fn check_contents(
    audit: &dyn Audit,
    findings: &mut Findings,
    progress: &mut dyn FnMut(&str, u64),
) -> Report {
    let counts = audit.counts().unwrap_or_else(|e| {
        findings.add(Check::Unreadable, e);
        Counts::default()
    });
    let report = Report {
        events: counts.events,
        tickets: counts.tickets,
        ledger_rows: counts.ledger_rows,
        keys: counts.keys,
        ..Report::default()
    };
    for (what, sql) in AUDITS {
        progress(what, report.rows());
        look(audit, what, sql, findings);
    }
    progress("the lines", report.rows());
    if let Err(e) = line::check(audit, findings) {
        findings.add(Check::Unreadable, format!("the lines: {e}"));
    }
    report
}

/// Runs one of `AUDITS`.
fn look(audit: &dyn Audit, what: &str, sql: &str, findings: &mut Findings) {
    let found = audit.find(sql, &mut |check, sentence| {
        findings.add(Check::named(check), sentence);
    });
    if let Err(e) = found {
        findings.add(Check::Unreadable, format!("{what}: {e}"));
    }
}
