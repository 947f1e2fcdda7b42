//! While anybody watches, one thread looks at what they watch. It asks the database, not the commit
//! queue, because others commit too: a second server on the file, a command, a shell. That the queue
//! has committed something only makes it look sooner. So a rush of commits wakes nobody more often
//! than a few times a second, and what is shown has been read back.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::handlers::event_in_stream;
use super::state::State;
use super::watch::{Subject, Watched};
use crate::box_office;
use crate::error::Error;
use crate::metrics::METRICS;

/// So often it is looked for what this process has committed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// And for what others have, or what the time has changed: a hold has ended.
const LOOK_AT_ALL_EVERY: Duration = Duration::from_millis(500);

/// Starts the thread. It ends after [`Watch::stop`](super::Watch::stop).
pub fn start_looking(state: &Arc<State>) -> io::Result<JoinHandle<()>> {
    let state = state.clone();
    let thread = std::thread::Builder::new().name("watch".into());
    thread.spawn(move || keep_looking(&state))
}

fn keep_looking(state: &State) {
    let (mut looked_at_all, mut committed) = (None, 0);
    let mut trouble = false;
    while let Some(watched) = state.watch.wait_for_watchers() {
        let now = Instant::now();
        let is_due = |at: Instant| now - at >= LOOK_AT_ALL_EVERY;
        let at_all = looked_at_all.is_none_or(is_due);
        let commits = METRICS.commits.get();
        if at_all || commits != committed {
            committed = commits;
            looked_at_all = if at_all { Some(now) } else { looked_at_all };
            let looked = look(state, &watched, at_all);
            if let (false, Err(e)) = (trouble, &looked) {
                log::error!("what is watched cannot be read: {e}");
            }
            trouble = looked.is_err();
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// On one snapshot. The numbers of events are left out unless all is to be looked at.
fn look(state: &State, watched: &[(Subject, Arc<Watched>)], at_all: bool) -> Result<(), Error> {
    let now = state.clock.now();
    state.read_for_export(|db| {
        db.read(|tx| {
            for (subject, watched) in watched {
                let (event_id, text) = match *subject {
                    Subject::Changes(id) => (id, None),
                    Subject::Numbers(_) if !at_all => continue,
                    Subject::Numbers(id) => (id, Some(box_office::show_event(tx, now, id)?)),
                };
                let text = text.map(|event| event_in_stream(&event));
                let n = box_office::last_change(tx, event_id)?;
                watched.change(|sight| {
                    let is_new = (sight.n, sight.text.as_deref()) != (n, text.as_deref());
                    (sight.n, sight.text) = (n, text.map(Arc::from));
                    is_new
                });
            }
            Ok(())
        })
    })
}
