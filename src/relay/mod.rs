//! Follows what happens to events at a server, and tells a receiver of it (Standard Webhooks 1.0):
//! each change at least once, and those of an event in order.
//!
//! A change counts as told once the receiver has answered 2xx, and that is written down, on disk,
//! before the next one is sent. So whenever this ends, however it ends, the next relay with the same
//! position goes on with the first change that may not have been told.

mod backoff;
mod position;
mod receiver;
mod source;
mod status;
mod tls;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver as End, Sender, bounded, unbounded};

use backoff::Backoff;
use position::Positions;
pub use receiver::Secret;
use receiver::{Receiver, Told};
pub use source::Url;
use source::{Change, Seen, Source, Trouble};
use status::Status;
pub use tls::Authorities;

/// So many events are followed at a time; of more, each in its turn.
const FOLLOWED_MAX: usize = 64;
/// New events are looked for as often: two requests or so in a rate limiter's window.
const DISCOVER_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);
const SOURCE_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A server that is asked too much says when to come back, and is believed as far as this.
const RECEIVER_BACKOFF_MAX: Duration = Duration::from_secs(3_600);

/// What is relayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Events {
    One(i64),
    /// All that the key reaches, those to come among them.
    All,
}

pub struct Plan {
    pub from: Url,
    /// None: the server believes `X-Role`.
    pub key: Option<String>,
    pub events: Events,
    pub to: Url,
    /// Each signs.
    pub secrets: Vec<Secret>,
    pub position: PathBuf,
    pub metrics_file: Option<PathBuf>,
    /// Who vouches for both. None: those whom browsers know.
    pub authorities: Option<Authorities>,
}

struct Relay {
    source: Source,
    receiver: Receiver,
    positions: Positions,
    status: Status,
    /// Events that nobody follows just now. Each is here or with one who follows it.
    waiting: (Sender<i64>, End<i64>),
    end: Sender<String>,
}

/// Relays until told to stop.
///
/// Errors: why there is no going on, for the person who started it.
pub fn run(plan: Plan, stops: &End<()>) -> Result<(), String> {
    let (end, ends) = bounded(1);
    let relay = Arc::new(Relay {
        positions: Positions::read(plan.position)?,
        source: Source::new(plan.from, plan.key, plan.authorities.as_ref()),
        receiver: Receiver::new(plan.to, plan.secrets, plan.authorities.as_ref()),
        status: Status::new(plan.metrics_file),
        waiting: unbounded(),
        end,
    });
    let followers = match plan.events {
        Events::One(_) => 1,
        Events::All => FOLLOWED_MAX,
    };
    for _ in 0..followers {
        relay.start(Relay::follow_in_turn)?;
    }
    match plan.events {
        Events::One(id) => relay.wait_for(id),
        Events::All => relay.start(Relay::discover)?,
    }
    loop {
        crossbeam_channel::select! {
            recv(stops) -> _ => break,
            recv(ends) -> why => return Err(why.unwrap_or_default()),
            default(TICK) => relay.status.report()?,
        }
    }
    relay.status.report()
}

impl Relay {
    fn start(self: &Arc<Relay>, work: fn(&Relay) -> Result<(), String>) -> Result<(), String> {
        let relay = self.clone();
        let thread = std::thread::Builder::new().name("relay".into());
        let spawned = thread.spawn(move || {
            if let Err(why) = work(&relay) {
                let _ = relay.end.try_send(why);
            }
        });
        spawned.map(drop).map_err(|e| format!("no thread: {e}"))
    }

    fn wait_for(&self, event_id: i64) {
        let _ = self.waiting.0.send(event_id);
    }

    /// Finds new events.
    fn discover(&self) -> Result<(), String> {
        let mut known = HashSet::new();
        let mut backoff = Backoff::new(SOURCE_BACKOFF_MAX);
        loop {
            match self.source.events() {
                Ok(events) => {
                    backoff.reset();
                    let new = events.into_iter().filter(|id| known.insert(*id));
                    new.for_each(|id| self.wait_for(id));
                    std::thread::sleep(DISCOVER_EVERY);
                }
                Err(trouble) => self.wait_out(trouble, &mut backoff)?,
            }
        }
    }

    fn follow_in_turn(&self) -> Result<(), String> {
        let mut backoff = Backoff::new(SOURCE_BACKOFF_MAX);
        while let Ok(event_id) = self.waiting.1.recv() {
            let followed = self.follow(event_id, &mut backoff);
            self.status.follows(-1);
            match followed {
                Ok(()) => {}
                Err(Stop::Source(trouble)) => self.wait_out(trouble, &mut backoff)?,
                Err(Stop::ForGood(why)) => return Err(why),
            }
            self.wait_for(event_id);
        }
        Ok(())
    }

    /// Tells of an event's changes until something is in the way, or others wait for their turn.
    fn follow(&self, event_id: i64, backoff: &mut Backoff) -> Result<(), Stop> {
        let mut last = self.positions.of(event_id);
        self.status.follows(1);
        let has_time = self.waiting.1.is_empty();
        for seen in self.source.follow(event_id, last, has_time)? {
            let change = match seen? {
                Seen::Change(change) => change,
                Seen::Nothing if self.waiting.1.is_empty() => continue,
                Seen::Nothing | Seen::Enough => return Ok(()),
            };
            if change.n != last + 1 {
                let why = format!(
                    "event {event_id} goes on with {}, not {}",
                    change.n,
                    last + 1
                );
                return Err(Stop::Source(Trouble::Passing(why, None)));
            }
            backoff.reset();
            self.tell(event_id, &change)?;
            last = change.n;
            self.positions.set(event_id, last).map_err(Stop::ForGood)?;
            self.status.told(event_id);
        }
        Err(Trouble::Passing("it has ended the stream".to_owned(), None).into())
    }

    /// Tells the receiver of a change until it takes it.
    fn tell(&self, event_id: i64, change: &Change) -> Result<(), Stop> {
        let message = change.message(event_id);
        let mut backoff = Backoff::new(RECEIVER_BACKOFF_MAX);
        self.status.tells(event_id, change.at);
        loop {
            let (why, retry_after) = match self.receiver.tell(&message) {
                Told::Taken => return Ok(()),
                Told::Gone => {
                    let why = "the receiver has answered 410: it wants to be told no more";
                    return Err(Stop::ForGood(why.to_owned()));
                }
                Told::NotTaken(why, retry_after) => (why, retry_after),
            };
            let pause = backoff.next(retry_after);
            self.status.failed();
            log::warn!(event = event_id, n = change.n, retry_in_ms = pause.as_millis() as u64;
                "the receiver did not take a change: {why}");
            std::thread::sleep(pause);
        }
    }

    /// Errors: it will not pass.
    fn wait_out(&self, trouble: Trouble, backoff: &mut Backoff) -> Result<(), String> {
        match trouble {
            Trouble::Lasting(why) => Err(why),
            Trouble::Passing(why, retry_after) => {
                let pause = backoff.next(retry_after);
                log::warn!(retry_in_ms = pause.as_millis() as u64; "cannot follow the server: {why}");
                std::thread::sleep(pause);
                Ok(())
            }
        }
    }
}

/// Why an event is not followed any more.
enum Stop {
    Source(Trouble),
    ForGood(String),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Source(trouble)
    }
}
