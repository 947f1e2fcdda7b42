//! `GET /metrics`: what was counted, and what can be seen now.

use super::Handled;
use crate::api::endpoint::{Call, Outcome};
use crate::api::state::Context;
use crate::box_office;
use crate::error::Error;
use crate::message::Response;
use crate::metrics::{CONTENT_TYPE, METRICS, Reading};
use crate::model::Spots;

/// So many events have gauges of their own, or a monitor's memory would grow with every event.
const EVENTS_MAX: usize = 20;

pub fn show(context: &Context, _: &Call) -> Handled {
    let state = context.state;
    let reaper_runs = state.reaper_state() == "running";
    let is_ready = state.settings.unready.reason().is_none() && !state.readiness.has_failed();
    let mut readings = vec![
        Reading::one(
            "commit_queue_jobs",
            "Jobs that wait for a transaction.",
            state.commits.queued(),
        ),
        Reading::one(
            "commit_queue_jobs_max",
            "Beyond so many, clients get a 503.",
            state.commits.queued_max(),
        ),
        Reading::one("wal_bytes", "Size of the WAL file.", context.db.wal_bytes()),
        Reading::one(
            "reaper_up",
            "1 while the thread that sweeps up is alive.",
            reaper_runs.into(),
        ),
        Reading::one(
            "ready",
            "0 if the last commit failed, or the file is not verified.",
            is_ready.into(),
        ),
    ];
    // A database in trouble is when the rest is needed most.
    match event_readings(context) {
        Ok(of_events) => readings.extend(of_events),
        Err(e) => log::warn!("metrics without events: {e}"),
    }
    let body = METRICS.render(&readings);
    Ok(Outcome::Respond(Response::new(200, CONTENT_TYPE, body)))
}

fn event_readings(context: &Context) -> Result<[Reading; 3], Error> {
    let now = context.state.clock.now();
    let events = context
        .db
        .read(|tx| box_office::newest_events(tx, now, EVENTS_MAX))?;
    let reading = |name, help, spots: fn(&Spots) -> i64| Reading {
        name,
        help,
        label: "event",
        values: events
            .iter()
            .map(|e| (e.event_id.to_string(), spots(e)))
            .collect(),
    };
    Ok([
        reading(
            "event_available_spots",
            "Free spots of the 20 newest events on sale.",
            |e| e.available_spots,
        ),
        reading(
            "event_total_spots",
            "All spots of the 20 newest events on sale.",
            |e| e.total_spots,
        ),
        reading(
            "event_waiting",
            "Tickets in line, of the 20 newest events on sale.",
            |e| e.waiting,
        ),
    ])
}
