//! Starts and stops everything between the socket and the box office: tiny_http, the workers, the
//! usher, the pulse.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tiny_http::Server;

use super::access::Auth;
use super::client::Cidr;
use super::lanes::Lanes;
use super::limiter::{Limiter, RateLimit};
use super::listening::Listening;
use super::pulse::Pulse;
use super::sold_out::SoldOut;
use super::stream::{STREAMS_MAX, Streams};
use super::unix_peers::UnixPeers;
use super::usher::Usher;
use super::worker::{self, Context, Shared};
use crate::clock::Clock;
use crate::hooks::Hooks;
use crate::process::Usage;
use crate::store::{CommitQueue, Db, Durable};

/// So long before the end of a stop no answer that is still being sent is waited for any more.
const STREAMS_GIVEN_UP: Duration = Duration::from_secs(1);
const STOP_POLL: Duration = Duration::from_millis(5);

/// What the HTTP side can be told.
pub struct Settings {
    pub auth: Auth,
    pub rate_limit: Option<RateLimit>,
    pub trusted_proxies: Vec<Cidr>,
    pub hold_ms_default: i64,
    pub queue_jobs_max: usize,
    pub batch_jobs_max: usize,
    /// False: the database is known not to be what its ledger says.
    pub sound: bool,
    /// Beyond these the server retires.
    pub limits: Usage,
    pub hooks: Hooks,
}

/// A running intake.
pub struct Intake {
    listening: Listening,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    workers_ended: Receiver<()>,
    attendants: Vec<Attendant>,
    retires: Receiver<String>,
}

impl Intake {
    /// `readers` are connections for reading: `STREAMS_MAX` for streams, the rest one for a worker.
    pub fn start(
        listening: Listening,
        settings: Settings,
        clock: Clock,
        writer: Db,
        durable: Durable,
        mut readers: Vec<Db>,
        reaper_runs: Arc<AtomicBool>,
    ) -> io::Result<Intake> {
        let server = Server::from_listener(listening.tiny_listener()?, None);
        let server = Arc::new(server.map_err(io::Error::other)?);
        let wake = || -> Box<dyn Fn() + Send + Sync> {
            let server = server.clone();
            Box::new(move || server.unblock())
        };
        let (retire, retires) = bounded(1);
        if !settings.hooks.has("no_last_words") {
            hear_last_words(retire.clone());
        }
        let unix_peers = UnixPeers::new(retire.clone());
        let (resume, resumed) = unbounded();
        let shared = Arc::new(Shared {
            commits: Arc::new(CommitQueue::new(
                writer,
                durable,
                settings.queue_jobs_max,
                settings.batch_jobs_max,
                clock.clone(),
                wake(),
                retire.clone(),
            )),
            lanes: Arc::new(Lanes::new(unix_peers, resume, wake())),
            server,
            turnstile: Mutex::new(()),
            clock,
            auth: settings.auth,
            limiter: settings.rate_limit.map(Limiter::new),
            trusted_proxies: settings.trusted_proxies,
            hold_ms_default: settings.hold_ms_default,
            streams: Streams::start(readers.drain(..STREAMS_MAX).collect())?,
            sold_out: SoldOut::new(),
            resumed,
            reaper_runs,
            stopping: AtomicBool::new(false),
            idle_workers: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            retire,
            pulse_path: format!("/.pulse/{}", uuid::Uuid::new_v4()),
            sound: settings.sound,
            test_hooks: settings.hooks.are_given(),
        });
        let (ended, workers_ended) = unbounded();
        let workers = start_workers(&shared, readers, &ended)?;
        let pulse = Pulse {
            target: listening.target(),
            path: shared.pulse_path.clone(),
            is_idle: {
                let shared = shared.clone();
                Box::new(move || shared.idle_workers.load(Ordering::Relaxed) > 0)
            },
            limits: settings.limits,
            retire: shared.retire.clone(),
        };
        let usher = Usher {
            target: listening.target(),
            listener: listening.to_hand_over()?,
            requests: {
                let shared = shared.clone();
                Box::new(move || shared.requests.load(Ordering::Relaxed))
            },
        };
        let mut attendants = vec![Attendant::start("usher", |stop| usher.run(stop))?];
        if !settings.hooks.has("no_pulse") {
            attendants.push(Attendant::start("pulse", |stop| pulse.run(stop))?);
        }
        Ok(Intake {
            listening,
            shared,
            workers,
            workers_ended,
            attendants,
            retires,
        })
    }

    /// For the reaper, which is one more participant.
    pub fn commits(&self) -> Arc<CommitQueue> {
        self.shared.commits.clone()
    }

    /// Says why, should another server have to take over.
    pub fn retires(&self) -> &Receiver<String> {
        &self.retires
    }

    /// Takes no more connections, answers every request that was received, ends the workers. False
    /// if they have not ended by the deadline.
    pub fn stop(&mut self, deadline: Instant) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        self.listening.refuse_more();
        self.attendants.drain(..).for_each(Attendant::stop);
        self.listening.remove_file();
        // Requests that come too late must break off with the process: dropped, they would answer
        // by themselves.
        std::mem::forget(self.shared.clone());
        let mut running = self.workers.len();
        while running > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            // Again and again, because a worker can swallow a call that was meant for another.
            self.shared.server.unblock();
            running -= self.workers_ended.recv_timeout(STOP_POLL).iter().count();
        }
        self.workers
            .drain(..)
            .for_each(|worker| drop(worker.join()));
        // A job that was queued while the last leader was at work.
        self.shared.commits.lead();
        self.finish_streams(deadline - STREAMS_GIVEN_UP);
        self.shared.lanes.unix_peers.finish();
        true
    }

    /// A long answer is finished if its reader is quick; a slow one sees that it breaks off.
    fn finish_streams(&self, deadline: Instant) {
        while self.shared.streams.sending() > 0 && Instant::now() < deadline {
            std::thread::sleep(STOP_POLL);
        }
        match self.shared.streams.sending() {
            0 => {}
            streams => log::warn!(streams = streams; "long answers are broken off"),
        }
    }
}

fn start_workers(
    shared: &Arc<Shared>,
    readers: Vec<Db>,
    ended: &Sender<()>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let start = |(n, db): (usize, Db)| {
        let (context, ended) = (
            Context {
                db,
                shared: shared.clone(),
            },
            ended.clone(),
        );
        std::thread::Builder::new()
            .name(format!("worker-{n}"))
            .spawn(move || {
                // A panic outside of a handler or a job is a bug in this folder. It costs the request
                // that met it, not the worker.
                let serve = || worker::run(&context);
                while std::panic::catch_unwind(std::panic::AssertUnwindSafe(serve)).is_err() {}
                let _ = ended.send(());
            })
    };
    readers.into_iter().enumerate().map(start).collect()
}

/// tiny_http's accepting thread panics if it gets the last descriptor but one, and tells nobody. Only
/// that thread runs this file of it.
fn hear_last_words(retire: Sender<String>) {
    let log = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log(panic);
        let file = panic.location().map(|at| at.file()).unwrap_or_default();
        if file.ends_with("refined_tcp_stream.rs") {
            let _ = retire.try_send("no connection is accepted: its thread panicked".to_owned());
        }
    }));
}

/// A thread that works until it is told to stop.
struct Attendant {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Attendant {
    fn start(
        name: &str,
        work: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> io::Result<Attendant> {
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || work(&stopped))?;
        Ok(Attendant { stop, thread })
    }

    fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}
