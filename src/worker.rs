//! The workers: a fixed pool of threads that takes requests from a channel, decides what is to be
//! done about each, and commits what has to be written. And [`Dispatcher`], which a connection's
//! thread calls with a request and which waits there for the response.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::Level;

use crate::api::{self, Context, Outcome, Route, State, Work};
use crate::error::Error;
use crate::logging;
use crate::message::{ClientAddress, Field, Problem, Request, Response, Service};
use crate::metrics::METRICS;
use crate::model::Timestamp;
use crate::store::{Db, Job, Scope, Tx};

/// Requests that wait for a worker; beyond that, their connections' threads wait.
const WAITING_MAX: usize = 4_096;
/// A worker takes so many requests at most before it sees to the commit queue: the more of them are
/// taken together, the more share a snapshot and an fsync.
const TAKEN_TOGETHER_MAX: usize = 32;

type Result<T> = std::result::Result<T, Problem>;

/// A request on its way to a worker.
struct Pending {
    request: Request,
    reply: Reply,
}

/// A response is looked for so many times before its connection's thread sleeps. With 8 it takes two
/// thirds of the processor time that it takes with 0, and a channel (which spins) a fifth more.
const LOOKS: usize = 8;

/// Where a connection's thread waits for the response to one request at a time.
struct Slot {
    response: Mutex<Option<Result<Response>>>,
    waits: Thread,
}

impl Slot {
    /// Lets others run for a moment before it sleeps: most responses are there by then, and to be
    /// woken takes longer than to make one.
    fn wait(&self) -> Result<Response> {
        let mut looks = 0;
        loop {
            let response = self.response.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(response) = { response }.take() {
                return response;
            }
            match looks < LOOKS {
                true => std::thread::yield_now(),
                false => std::thread::park(),
            }
            looks += 1;
        }
    }
}

/// The other end of a slot. It is sent something in any case.
struct Reply(Option<Arc<Slot>>);

impl Reply {
    fn send(mut self, response: Result<Response>) {
        self.put(response);
    }

    fn put(&mut self, response: Result<Response>) {
        if let Some(slot) = self.0.take() {
            *slot.response.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
            slot.waits.unpark();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.0.is_some() {
            let lost = Error::Internal("a request was lost on its way".into());
            self.put(Err(lost.into()));
        }
    }
}

thread_local! {
    static SLOT: Arc<Slot> = Arc::new(Slot {
        response: Mutex::new(None),
        waits: std::thread::current(),
    });
}

/// Counts requests against the rate limit, has the workers answer them, counts and logs responses.
pub struct Dispatcher {
    state: Arc<State>,
    waiting: Sender<Pending>,
    stopping: AtomicBool,
}

impl Dispatcher {
    /// From now on requests are refused; those that are waiting for their response get it.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Errors, in this order: what the head alone showed, `rate_limited`, `shutting_down`, and what
    /// the API refuses.
    fn decide(&self, mut request: Request, limited: Option<api::Standing>) -> Result<Response> {
        if let Some(problem) = request.refusal.take() {
            return Err(problem);
        }
        if let Some(standing) = limited.filter(|standing| !standing.admitted) {
            METRICS.rate_limited.inc();
            return Err(standing.refusal());
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Error::ShuttingDown.into());
        }
        SLOT.with(|slot| {
            let reply = Reply(Some(slot.clone()));
            // If all workers are gone, it is dropped, and with it the reply.
            let _ = self.waiting.send(Pending { request, reply });
            slot.wait()
        })
    }
}

impl Service for Dispatcher {
    fn respond(&self, request: Request) -> Response {
        let seen = Seen::of(&request, &self.state);
        let settings = &self.state.settings;
        let is_counted = seen.route.is_none_or(|route| route.is_limited)
            && !settings.cors.is_preflight(&request);
        let standing = match is_counted {
            true => api::admit(&self.state, &request.head.headers, seen.client),
            false => None,
        };
        let mut response = match self.decide(request, standing) {
            Ok(response) => response,
            Err(problem) => {
                if let Some(cause) = &problem.cause {
                    log::error!(request_id = seen.id.as_str(), code = problem.code.as_str(); "{cause}");
                }
                if seen.route.is_none_or(|route| route.is_limited) {
                    METRICS.count_unavailable(problem.code.as_str());
                }
                problem.into_response(&seen.id, settings.base_path)
            }
        };
        if let Some(standing) = standing {
            response = standing.add_to(response);
        }
        response = api::complete(settings, seen.route, seen.origin.as_deref(), response);
        response.closes |= self.stopping.load(Ordering::Acquire);
        seen.record(response.status);
        response.header("X-Request-Id", &seen.id)
    }
}

/// What is counted and logged of a request.
struct Seen {
    id: String,
    client: ClientAddress,
    method: &'static str,
    route: Option<&'static Route>,
    path: String,
    origin: Option<String>,
    /// W3C Trace Context, if it is well-formed.
    traceparent: Option<String>,
    received: std::time::Instant,
}

impl Seen {
    fn of(request: &Request, state: &State) -> Seen {
        let forwarded_for = request.head.headers.all("X-Forwarded-For");
        let trusted = &state.settings.trusted_proxies;
        let whole = request.path();
        let (route, path) = api::locate(&whole, state.settings.base_path);
        Seen {
            id: request.id.clone(),
            client: ClientAddress::find(request.peer, forwarded_for, trusted),
            method: request.head.method,
            route,
            path: api::path_for_log(route, path).to_owned(),
            origin: api::origin(&request.head.headers).map(str::to_owned),
            traceparent: request.head.headers.traceparent().map(str::to_owned),
            received: request.received,
        }
    }

    fn record(&self, status: u16) {
        let took = self.received.elapsed();
        api::count(self.route, self.method, status, took);
        let level = match status {
            500.. => Level::Error,
            _ => Level::Info,
        };
        if level <= log::max_level() {
            self.log(level, status, took);
        }
    }

    fn log(&self, level: Level, status: u16, took: Duration) {
        let Seen {
            id,
            client,
            method,
            path,
            traceparent,
            ..
        } = self;
        let trace = traceparent
            .as_ref()
            .map(|value| format!(",\"traceparent\":\"{value}\""));
        let trace = trace.unwrap_or_default();
        let duration_us = took.as_micros() as u64;
        // None of these can hold a character that JSON would have escaped.
        log::log!(
            target: logging::RENDERED,
            level,
            "\"message\":\"request\",\"request_id\":\"{id}\",\"method\":\"{method}\",\
             \"path\":\"{path}\",\"status\":{status},\"duration_us\":{duration_us},\
             \"client\":\"{client}\"{trace}"
        );
    }
}

/// The running threads. They end when the dispatcher is gone and all it was given is answered.
pub struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// One for each of `readers`, whose connection it reads from.
    pub fn start(readers: Vec<Db>, state: &Arc<State>) -> io::Result<(Workers, Dispatcher)> {
        let (waiting, requests) = bounded(WAITING_MAX);
        let start = |(n, db): (usize, Db)| {
            let (state, requests) = (state.clone(), requests.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{n}"));
            thread.spawn(move || {
                let worker = Worker {
                    db,
                    state,
                    requests,
                };
                // A panic outside of a handler or a job is a bug in this file. It costs the requests
                // that met it, not the worker.
                while catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {}
            })
        };
        let threads = readers.into_iter().enumerate().map(start);
        let workers = Workers(threads.collect::<io::Result<_>>()?);
        let dispatcher = Dispatcher {
            state: state.clone(),
            waiting,
            stopping: AtomicBool::new(false),
        };
        Ok((workers, dispatcher))
    }

    /// Waits for their end.
    pub fn join(self) {
        self.0.into_iter().for_each(|thread| drop(thread.join()));
    }
}

struct Worker {
    db: Db,
    state: Arc<State>,
    requests: Receiver<Pending>,
}

impl Worker {
    fn run(&self) {
        let mut taken = Vec::with_capacity(TAKEN_TOGETHER_MAX);
        // After a panic, nobody else may come for what is queued.
        self.state.commits.lead();
        while let Ok(first) = self.requests.recv() {
            taken.push(first);
            taken.extend(self.requests.try_iter().take(TAKEN_TOGETHER_MAX - 1));
            self.serve(&mut taken);
            self.state.commits.lead();
        }
    }

    /// All of them read from one snapshot, which is as good as one each: it is younger than the
    /// youngest of them.
    fn serve(&self, taken: &mut Vec<Pending>) {
        let mut decided = Vec::with_capacity(taken.len());
        let mut decide_all = || {
            for pending in taken.drain(..) {
                let outcome = self.decide(&pending.request);
                decided.push((pending, outcome));
            }
        };
        let snapshot = self.db.read(|_| {
            decide_all();
            Ok(())
        });
        if let Err(e) = snapshot {
            log::error!("no snapshot for all requests: {e}");
            decide_all();
        }
        for (pending, outcome) in decided {
            self.act(pending, outcome);
        }
    }

    fn decide(&self, request: &Request) -> Result<Outcome> {
        logging::set_current_request(&request.id);
        let context = Context {
            db: &self.db,
            state: &self.state,
        };
        api::decide(&context, request)
    }

    fn act(&self, Pending { request, reply }: Pending, outcome: Result<Outcome>) {
        let work = match outcome {
            Ok(Outcome::Commit(work)) => work,
            Ok(Outcome::Respond(response)) => return reply.send(Ok(response)),
            Err(problem) => return reply.send(Err(problem)),
        };
        let job = Box::new(PendingJob {
            panics: match request.head.headers.one("X-Test-Panic") {
                Field::Once(place) if self.state.settings.test_hooks => place.to_owned(),
                _ => String::new(),
            },
            request_id: request.id,
            work,
            reply,
            state: self.state.clone(),
        });
        if let Err(job) = self.state.commits.submit(job) {
            job.finish(Err(Error::Overloaded));
        }
    }
}

/// A write that waits for its commit.
struct PendingJob {
    request_id: String,
    work: Box<dyn Work>,
    reply: Reply,
    state: Arc<State>,
    /// Where X-Test-Panic asks for a panic.
    panics: String,
}

impl Job for PendingJob {
    fn run(&mut self, tx: &Tx, now: Timestamp) -> std::result::Result<(), Error> {
        logging::set_current_request(&self.request_id);
        self.work.run(tx, now)?;
        assert!(self.panics != "job", "asked for by X-Test-Panic");
        Ok(())
    }

    fn scope(&self) -> Scope<'_> {
        self.work.scope()
    }

    fn finish(self: Box<Self>, outcome: std::result::Result<(), Error>) {
        logging::set_current_request(&self.request_id);
        // A full queue or a bug says nothing of the disk.
        if matches!(
            outcome,
            Ok(())
                | Err(Error::StorageUnavailable(_)
                    | Error::DiskFailed(_)
                    | Error::OutcomeUnknown(_))
        ) {
            let now_ns = self.state.clock.monotonic_ns();
            self.state.readiness.note(now_ns, &outcome);
        }
        assert!(self.panics != "finish", "asked for by X-Test-Panic");
        let result = match outcome {
            Ok(()) => self.work.respond(),
            Err(failure) => Err(failure.into()),
        };
        self.reply.send(result);
    }
}
