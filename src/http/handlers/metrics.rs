//! `GET /metrics`: what was counted, and what can be seen now.

use std::collections::HashSet;
use std::fs;

use super::Handled;
use crate::box_office;
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::routes::{Call, Outcome};
use crate::http::worker::Context;
use crate::metrics::{CONTENT_TYPE, METRICS, Reading};
use crate::model::Spots;

/// So many events have gauges of their own, or a monitor's memory would grow with every event.
const EVENTS_MAX: usize = 20;

pub fn show(context: &Context, _: &Call) -> Handled {
    let shared = &context.shared;
    let reaper_runs = shared.reaper_state() == "running";
    let mut readings = vec![
        Reading::one(
            "commit_queue_jobs",
            "Jobs that wait for a transaction.",
            shared.commits.queued(),
        ),
        Reading::one(
            "commit_queue_jobs_max",
            "Beyond so many, clients get a 503.",
            shared.commits.queued_max(),
        ),
        Reading::one("wal_bytes", "Size of the WAL file.", context.db.wal_bytes()),
        Reading::one(
            "reaper_up",
            "1 while the thread that sweeps up is alive.",
            reaper_runs.into(),
        ),
    ];
    if let Some(sockets) = open_sockets() {
        // One of them listens.
        let connections = sockets.saturating_sub(1);
        let help = "Connections, the server's own pulse included.";
        readings.push(Reading::one("open_connections", help, connections));
    }
    // A database in trouble is when the rest is needed most.
    match event_readings(context) {
        Ok(of_events) => readings.extend(of_events),
        Err(e) => log::warn!("metrics without events: {e}"),
    }
    let body = METRICS.render(&readings);
    Ok(Outcome::Answer(Answer::new(200, CONTENT_TYPE, body)))
}

fn event_readings(context: &Context) -> Result<[Reading; 2], Error> {
    let now = context.shared.clock.now();
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
    ])
}

/// None where there is no /proc. A connection has several descriptors, all of one socket.
fn open_sockets() -> Option<i64> {
    let descriptors = fs::read_dir("/proc/self/fd").ok()?;
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let sockets: HashSet<_> = links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .collect();
    Some(sockets.len() as i64)
}
