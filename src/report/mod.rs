//! `lastseat report`: what became of a sale, as a page to look at. It reads the ledger of one
//! snapshot, like `verify`, and the page needs nothing but itself.

mod crowd;
mod page;
mod picture;
mod sums;
mod text;
mod time;

pub use crowd::{Answer, Crowd};

use crate::error::Error;
use crate::model::Timestamp;
use crate::store::{Location, OpenError, open_audit};
use page::Page;
use sums::{Course, Sums};

/// A page with more events than that is no longer looked at.
const EVENTS_MAX: i64 = 20;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("there is no event {0}")]
    NoEvent(i64),
    #[error("{0}")]
    Read(#[from] Error),
}

pub struct Report {
    pub html: String,
    /// Events that the page has, and those that were to be reported on.
    pub shown: usize,
    pub events: i64,
}

/// Reports on one event, or on those that most has happened to. `crowd` is what the clients of the
/// sale know, if they are ours.
///
/// Errors: those of opening the database; `NoEvent`; `Read`.
pub fn report(
    database: &Location,
    only: Option<i64>,
    now: Timestamp,
    crowd: Option<&Crowd>,
) -> Result<Report, ReportError> {
    let audit = open_audit(database)?;
    let (events, in_all) = sums::events(&*audit, only, EVENTS_MAX)?;
    if let Some(id) = only.filter(|_| events.is_empty()) {
        return Err(ReportError::NoEvent(id));
    }
    let left_out = in_all - events.len() as i64;
    let whole = database.to_string();
    let name = whole.rsplit('/').next().unwrap_or_default();
    let mut page = Page::begin(name, now, in_all, left_out);
    for event in &events {
        let sums = Sums::read(&*audit, event.id, now)?;
        let course = Course::read(&*audit, event.id, now, &sums)?;
        page.event(event, &sums, course.as_ref());
    }
    if let Some(crowd) = crowd {
        page.crowd(crowd);
    }
    Ok(Report {
        html: page.end(),
        shown: events.len(),
        events: in_all,
    })
}
