//! Whether each line was served in its order, and at once, at every step of the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::findings::{Check, Findings};
use crate::error::Error;
use crate::model::{LedgerKind, is_sales_open};
use crate::store::engine::{Row, Statement};
use crate::store::{Audit, get, parsed};

struct Step {
    event_id: i64,
    n: i64,
    at: i64,
    kind: LedgerKind,
    ticket_seq: i64,
    spots: i64,
    available_spots: i64,
    party: i64,
    window: Option<Window>,
}

type Window = (Option<i64>, Option<i64>);

fn step(row: &dyn Row) -> Result<Step, Error> {
    let window = match get::<Option<i64>>(row, 8)? {
        Some(_) => Some((get(row, 9)?, get(row, 10)?)),
        None => None,
    };
    Ok(Step {
        event_id: get(row, 0)?,
        n: get(row, 1)?,
        at: get(row, 2)?,
        kind: parsed(row, 3, LedgerKind::parse)?,
        ticket_seq: get::<Option<i64>>(row, 4)?.unwrap_or(0),
        spots: get(row, 5)?,
        available_spots: get(row, 6)?,
        party: get::<Option<i64>>(row, 7)?.unwrap_or(0),
        window,
    })
}

/// Reads the ledgers once; keeps the line of one event at a time.
pub(super) fn check(audit: &dyn Audit, findings: &mut Findings) -> Result<(), Error> {
    const STATEMENT: Statement = Statement::new(include_str!("../../sql/audit_line.sql"), &[]);
    let mut line = Line::default();
    audit.query(&STATEMENT, &[], &mut |row| {
        let step = step(row)?;
        if step.event_id != line.event_id {
            line.judge(None, findings);
            line = Line {
                event_id: step.event_id,
                ..Line::default()
            };
        }
        line.judge(Some(&step), findings);
        line.take(step);
        Ok(())
    })?;
    line.judge(None, findings);
    Ok(())
}

/// An event's line after a step.
#[derive(Default)]
struct Line {
    event_id: i64,
    /// Of each ticket in line: when it joined, and its spots.
    entries: HashMap<i64, (i64, i64)>,
    /// By their spots, and then by when they joined.
    sizes: BTreeMap<i64, BTreeSet<(i64, i64)>>,
    window: Window,
    available_spots: i64,
    is_cancelled: bool,
    last: Option<(i64, i64, LedgerKind)>,
}

impl Line {
    /// The ticket of the first who fits into what is free.
    fn first_that_fits(&self) -> Option<i64> {
        let fitting = self.sizes.range(..=self.available_spots);
        let first = fitting.filter_map(|(_, entries)| entries.first()).min();
        first.map(|(_, ticket_seq)| *ticket_seq)
    }

    /// Whether the next step is what had to follow.
    fn judge(&self, next: Option<&Step>, findings: &mut Findings) {
        let Some((n, at, kind)) = self.last else {
            return;
        };
        let (first, event_id) = (self.first_that_fits(), self.event_id);
        match next {
            Some(next) if next.kind == LedgerKind::Offered => {
                if first != Some(next.ticket_seq) {
                    findings.add(Check::Line, format_args!(
                        "ledger row {} of event {event_id} offers ticket {} spots out of its turn",
                        next.n, next.ticket_seq
                    ));
                }
                return;
            }
            // Holds that end together are written down together.
            Some(next)
                if (next.kind, kind, next.at) == (LedgerKind::Expired, LedgerKind::Expired, at) =>
            {
                return;
            }
            _ => {}
        }
        let (open, close) = self.window;
        let is_open = !self.is_cancelled && is_sales_open(open, close, at);
        if let Some(ticket_seq) = first.filter(|_| is_open) {
            findings.add(Check::Line, format_args!(
                "after ledger row {n} of event {event_id} ticket {ticket_seq} is in line and fits into {} free spots",
                self.available_spots
            ));
        }
    }

    fn take(&mut self, step: Step) {
        let ticket_seq = step.ticket_seq;
        match step.kind {
            LedgerKind::Waiting => self.enter(ticket_seq, step.n, step.party),
            LedgerKind::Offered => drop(self.leave(ticket_seq)),
            LedgerKind::Cancelled if step.spots == 0 => drop(self.leave(ticket_seq)),
            LedgerKind::Reduced if step.spots == 0 => {
                if let Some((joined, spots)) = self.leave(ticket_seq) {
                    self.enter(ticket_seq, joined, spots - step.party);
                }
            }
            LedgerKind::EventCancelled => self.is_cancelled = true,
            _ => {}
        }
        self.window = step.window.unwrap_or(self.window);
        self.available_spots = step.available_spots;
        self.last = Some((step.n, step.at, step.kind));
    }

    fn enter(&mut self, ticket_seq: i64, joined: i64, spots: i64) {
        self.entries.insert(ticket_seq, (joined, spots));
        self.sizes
            .entry(spots)
            .or_default()
            .insert((joined, ticket_seq));
    }

    fn leave(&mut self, ticket_seq: i64) -> Option<(i64, i64)> {
        let (joined, spots) = self.entries.remove(&ticket_seq)?;
        if let Some(entries) = self.sizes.get_mut(&spots) {
            entries.remove(&(joined, ticket_seq));
        }
        Some((joined, spots))
    }
}
