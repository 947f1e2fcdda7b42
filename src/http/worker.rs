//! The worker threads: each takes requests from tiny_http, answers reads from its own connection,
//! and turns writes into jobs for the commit queue, which it commits itself if nobody else does.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use serde_json::json;
use tiny_http::{Request, Server};

use super::answer::Answer;
use super::client::{Cidr, ClientAddress};
use super::exchange::Exchange;
use super::head::{self, Head};
use super::lanes::Lanes;
use super::limiter::{Limiter, Standing};
use super::problem::{Code, Problem};
use super::routes::{self, Call, Outcome};
use super::sold_out::SoldOut;
use crate::box_office::Done;
use crate::clock::Clock;
use crate::error::Error;
use crate::logging;
use crate::model::{Event, Ticket, Timestamp};
use crate::store::{CommitQueue, Db, Job, Tx};

/// What all workers share.
pub struct Shared {
    pub server: Arc<Server>,
    pub commits: Arc<CommitQueue>,
    pub clock: Clock,
    pub limiter: Option<Limiter>,
    pub trusted_proxies: Vec<Cidr>,
    pub hold_ms_default: i64,
    pub sold_out: SoldOut,
    pub lanes: Arc<Lanes>,
    pub resumed: Receiver<Request>,
    pub reaper_runs: Arc<AtomicBool>,
    pub stopping: AtomicBool,
    /// Told when tiny_http takes no more connections.
    pub intake_died: Sender<String>,
    /// The path that the pulse asks, which nobody else can know.
    pub pulse_path: String,
    /// Whether X-Test-Panic is heeded.
    pub test_hooks: bool,
}

impl Shared {
    pub fn reaper_state(&self) -> &'static str {
        if self.reaper_runs.load(Ordering::Relaxed) {
            "running"
        } else {
            "stopped"
        }
    }
}

/// One worker's own: its connection, and what it shares.
pub struct Context {
    pub db: Db,
    pub shared: Arc<Shared>,
}

/// What has been committed, not yet put into words.
pub enum Committed {
    NewEvent(Done<Event>),
    Registration(Done<Ticket>),
    Ticket(Done<Ticket>),
    Ready { reaper: &'static str },
}

/// May run more than once, see [`Job::run`].
pub type Work = Box<dyn FnMut(&Tx, Timestamp) -> Result<Committed, Error> + Send>;

impl Committed {
    pub fn into_answer(self) -> Answer {
        let (answer, replayed) = match self {
            Committed::NewEvent(done) => {
                let location = format!("/events/{}", done.value.id);
                (
                    Answer::json(201, &done.value).header("Location", location),
                    done.replayed,
                )
            }
            Committed::Registration(done) => {
                let location = format!("/tickets/{}", done.value.ticket_id.as_str());
                (
                    Answer::json(201, &done.value).header("Location", location),
                    done.replayed,
                )
            }
            Committed::Ticket(done) => (Answer::json(200, &done.value), done.replayed),
            Committed::Ready { reaper } => (
                Answer::json(200, &json!({"status": "ready", "reaper": reaper})),
                false,
            ),
        };
        if replayed {
            answer.header("Idempotent-Replayed", "true")
        } else {
            answer
        }
    }
}

/// Serves until told to stop; then answers what has been received and returns.
pub fn run(context: &Context) {
    let shared = &context.shared;
    loop {
        let resumed = shared.resumed.try_recv().ok();
        let had_resumed = resumed.is_some();
        if let Some(request) = resumed {
            handle(context, request);
        }
        // A client that pipelines gets every other turn, not all of them.
        let received = if had_resumed {
            shared.server.try_recv()
        } else {
            shared.server.recv().map(Some)
        };
        match received {
            Ok(Some(request)) => {
                if let Some(request) = shared.lanes.enter(request) {
                    handle(context, request);
                }
            }
            Ok(None) => {}
            Err(_) if shared.stopping.load(Ordering::Acquire) => break,
            Err(e) if is_wake_up(&e) => {}
            Err(e) => {
                let _ = shared.intake_died.try_send(e.to_string());
            }
        }
        shared.commits.lead();
    }
    turn_away(context);
    shared.commits.lead();
}

/// Another thread's `unblock()`: there is something to look after that is no request.
fn is_wake_up(error: &std::io::Error) -> bool {
    error.to_string() == "thread unblocked"
}

/// What came after the stop: nothing of it is begun.
fn turn_away(context: &Context) {
    let shared = &context.shared;
    while let Ok(Some(request)) = shared.server.try_recv() {
        let Some(request) = shared.lanes.enter(request) else {
            continue;
        };
        let exchange = open(shared, request, None);
        exchange.answer_result(Err(Error::ShuttingDown.into()));
    }
}

fn handle(context: &Context, mut request: Request) {
    let shared = &context.shared;
    if request.url() == shared.pulse_path {
        let exchange = open(shared, request, None);
        return exchange.answer_unseen(Answer::no_content());
    }
    let body = read_body(&mut request);
    let standing = admit(shared, &request);
    let exchange = open(shared, request, standing);
    logging::set_current_request(&exchange.request_id);
    // Pure code only: a tiny_http request that is dropped by a panic answers by itself.
    let decided = catch_unwind(AssertUnwindSafe(|| decide(context, &exchange, &body)));
    let decided = decided
        .unwrap_or_else(|_| Err(Error::Internal("the request's handler panicked".into()).into()));
    match decided {
        Ok(Outcome::Answer(answer)) => exchange.answer(answer),
        Err(problem) => exchange.answer_result(Err(problem)),
        Ok(Outcome::Commit(work)) => {
            let panics = shared.test_hooks && test_panic(&exchange.request) == Some("job");
            let job = Box::new(PendingJob {
                exchange,
                work,
                done: None,
                panics,
            });
            if let Err(job) = shared.commits.submit(job) {
                job.finish(Err(Error::Overloaded));
            }
        }
    }
}

/// Only a body that tiny_http has read already, so that nobody can make a worker wait.
fn read_body(request: &mut Request) -> Vec<u8> {
    let mut body = Vec::new();
    let length = request.body_length().unwrap_or(0);
    let refused = head::has_unread_body(request) || Head::read(request).refusal(request).is_some();
    if length > 0 && !refused {
        let _ = request
            .as_reader()
            .take(length as u64)
            .read_to_end(&mut body);
    }
    body
}

fn admit(shared: &Shared, request: &Request) -> Option<Standing> {
    let limiter = shared.limiter.as_ref()?;
    let (path, _) = split_target(request.url());
    if routes::find(path).is_some_and(|(route, _)| !route.limited) {
        return None;
    }
    let client = client_of(shared, request, &Head::read(request));
    Some(limiter.admit(client.limited_as(), &shared.clock))
}

fn client_of(shared: &Shared, request: &Request, head: &Head) -> ClientAddress {
    let peer = request.remote_addr().map(|a| a.ip());
    ClientAddress::find(peer, &head.forwarded_for, &shared.trusted_proxies)
}

fn open(shared: &Shared, request: Request, standing: Option<Standing>) -> Exchange {
    let head = Head::read(&request);
    let request_id = match head.request_id {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    let (path, _) = split_target(request.url());
    let path = match routes::find(path) {
        Some((route, _)) if route.path.starts_with("/tickets") => route.path.to_owned(),
        Some(_) => path.to_owned(),
        None => "-".to_owned(),
    };
    let (closes, keeps_alive) = (head.closes, head.keeps_alive);
    let client = client_of(shared, &request, &head);
    let (started, lanes) = (Instant::now(), shared.lanes.clone());
    Exchange {
        request_id,
        client,
        path,
        started,
        standing,
        closes,
        keeps_alive,
        lanes,
        request,
    }
}

/// The refusals that come before a handler's, in the contract's order.
fn decide(context: &Context, exchange: &Exchange, body: &[u8]) -> Result<Outcome, Problem> {
    let request = &exchange.request;
    let head = Head::read(request);
    if context.shared.test_hooks && test_panic(request) == Some("request") {
        panic!("asked for by X-Test-Panic");
    }
    if let Some(problem) = head.refusal(request) {
        return Err(problem);
    }
    if let Some(standing) = exchange.standing.filter(|s| !s.admitted) {
        return Err(Problem::rate_limited(standing));
    }
    let (path, query) = split_target(request.url());
    let (route, id) = routes::find(path)
        .ok_or_else(|| Problem::new(Code::RouteNotFound, "there is nothing at this path"))?;
    let call = Call {
        head: &head,
        id,
        query,
        body,
    };
    routes::dispatch(route, request.method().as_str(), context, &call)
}

/// The path and the query of a request's target, which may be absolute (RFC 9112, 3.2.2).
fn split_target(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

fn test_panic(request: &Request) -> Option<&str> {
    let header = request
        .headers()
        .iter()
        .find(|h| h.field.equiv("X-Test-Panic"));
    header.map(|h| h.value.as_str())
}

/// A write that waits for its commit, and the client that waits for it.
struct PendingJob {
    exchange: Exchange,
    work: Work,
    done: Option<Result<Committed, Error>>,
    panics: bool,
}

impl Job for PendingJob {
    fn run(&mut self, tx: &Tx, now: Timestamp) -> Result<(), Error> {
        logging::set_current_request(&self.exchange.request_id);
        let done = (self.work)(tx, now);
        if self.panics {
            panic!("asked for by X-Test-Panic");
        }
        match done {
            Err(failure) if failure.is_failure() => Err(failure),
            done => {
                self.done = Some(done);
                Ok(())
            }
        }
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let unfinished = || {
            Err(Error::Internal(
                "a job was committed without a result".into(),
            ))
        };
        let PendingJob { exchange, done, .. } = *self;
        let done = outcome.and_then(|()| done.unwrap_or_else(unfinished));
        exchange.answer_result(done.map(Committed::into_answer).map_err(Problem::from));
    }
}
