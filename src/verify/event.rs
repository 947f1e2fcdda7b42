//! The same proof for the rows of one event, for its organizer.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::{Check, Findings, Violation};
use super::{AUDITS, look};
use crate::store::engine::Statement;
use crate::store::{Location, get, open_audit_of_event};

/// The first audits; the others are about rows of all events.
const AUDITS_OF_AN_EVENT: usize = 4;
const COUNTS: Statement = Statement::new(include_str!("../../sql/audit_event_counts.sql"), &[]);

/// What was looked at of an event, and what is wrong.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct EventReport {
    /// Its ledger shows that it never oversold, and what it says now is what came of it.
    pub ok: bool,
    pub tickets: i64,
    /// Also the number of its last change.
    pub ledger_rows: i64,
    /// Spots that are confirmed.
    pub sold_spots: i64,
    pub seconds: f64,
    pub violations_total: u64,
    /// In the order in which they were found; not all, if there are very many.
    pub violations: Vec<Violation>,
}

/// Verifies one event as it is at this moment. Whatever is in the way is a violation in the report.
pub fn verify_event(database: &Location, event_id: i64) -> EventReport {
    let started = Instant::now();
    let mut findings = Findings::default();
    let mut report = EventReport::default();
    match open_audit_of_event(database, event_id) {
        Ok(audit) => {
            let counted = audit.query(&COUNTS, &[], &mut |row| {
                report.tickets = get(row, 0)?;
                report.ledger_rows = get(row, 1)?;
                report.sold_spots = get(row, 2)?;
                Ok(())
            });
            if let Err(e) = counted {
                findings.add(Check::Unreadable, e);
            }
            for (what, sql) in &AUDITS[..AUDITS_OF_AN_EVENT] {
                look(&*audit, what, sql, &mut findings);
            }
        }
        Err(e) => findings.add(Check::Unreadable, e),
    }
    EventReport {
        ok: findings.total == 0,
        seconds: started.elapsed().as_secs_f64(),
        violations_total: findings.total,
        violations: findings.first,
        ..report
    }
}
