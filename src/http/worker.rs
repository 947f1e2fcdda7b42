//! The worker threads: each takes requests from tiny_http, answers reads from its own connection,
//! and turns writes into jobs for the commit queue, which it commits itself if nobody else does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use serde_json::json;
use tiny_http::{Request, Server};
use uuid::Uuid;

use super::access::{Auth, Caller};
use super::answer::Answer;
use super::client::{Cidr, ClientAddress};
use super::exchange::{Exchange, Known};
use super::head::{self, Head};
use super::lanes::Lanes;
use super::limiter::{Limiter, Standing};
use super::problem::{Code, Problem};
use super::routes::{self, Call, Outcome, Route};
use super::sold_out::SoldOut;
use super::stream::{Stream, Streams};
use super::turnstile::{TAKEN_TOGETHER_MAX, is_end, is_wake_up, take};
use crate::box_office::Done;
use crate::clock::Clock;
use crate::error::Error;
use crate::logging;
use crate::metrics::METRICS;
use crate::model::{Event, Ticket, Timestamp};
use crate::store::{CommitQueue, Db, Job, Tx};

/// What all workers share.
pub struct Shared {
    pub server: Arc<Server>,
    /// Held while a request is taken from the server.
    pub turnstile: Mutex<()>,
    pub commits: Arc<CommitQueue>,
    pub clock: Clock,
    pub auth: Auth,
    pub limiter: Option<Limiter>,
    pub trusted_proxies: Vec<Cidr>,
    pub hold_ms_default: i64,
    pub sold_out: SoldOut,
    pub lanes: Arc<Lanes>,
    pub streams: Streams,
    pub resumed: Receiver<Request>,
    pub reaper_runs: Arc<AtomicBool>,
    pub stopping: AtomicBool,
    /// Workers that wait for a request.
    pub idle_workers: AtomicUsize,
    /// Requests received so far, the pulse's not among them.
    pub requests: AtomicUsize,
    /// Told why another server should take over.
    pub retire: Sender<String>,
    /// The path that the pulse asks, which nobody else can know.
    pub pulse_path: String,
    /// False: the database failed its verification at the start.
    pub sound: bool,
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
    Event(Done<Event>),
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
            Committed::Event(done) => (Answer::json(200, &done.value), done.replayed),
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
    let mut taken = Vec::with_capacity(TAKEN_TOGETHER_MAX);
    loop {
        match take(shared, &mut taken) {
            Ok(()) => {}
            Err(_) if shared.stopping.load(Ordering::Acquire) => break,
            Err(e) if is_wake_up(&e) => {}
            Err(e) => {
                let _ = shared
                    .retire
                    .try_send(format!("no connection is accepted: {e}"));
            }
        }
        serve(context, &mut taken);
        shared.commits.lead();
    }
    turn_away(context, taken);
    shared.commits.lead();
}

/// What came after the stop: nothing of it is begun. The news that nobody accepts any more may come
/// in between.
fn turn_away(context: &Context, mut taken: Vec<Request>) {
    let shared = &context.shared;
    loop {
        let received = take(shared, &mut taken);
        for request in taken.drain(..) {
            let known = Known::of(shared, &request, &Head::read(&request), None);
            exchange(shared, request, known).answer_result(Err(Error::ShuttingDown.into()));
        }
        if received.is_err_and(|e| is_end(&e)) {
            return;
        }
    }
}

/// What is to be done about a request.
struct Decided {
    exchange: Exchange,
    outcome: Result<Outcome, Problem>,
    /// Whether X-Test-Panic asks for its job to panic.
    job_panics: bool,
}

/// All of them read from one snapshot, which is as good as one each: it is younger than the
/// youngest of them. It is given back before anything is answered, because a client that does not
/// read its answer must not keep the WAL from starting over.
fn serve(context: &Context, taken: &mut Vec<Request>) {
    let mut decided = Vec::with_capacity(taken.len());
    let mut decide_all = || {
        for request in taken.drain(..) {
            decided.extend(decide(context, request));
        }
    };
    let snapshot = context.db.read(|_| {
        decide_all();
        Ok(())
    });
    if let Err(e) = snapshot {
        log::error!("no snapshot for all requests: {e}");
        decide_all();
    }
    for one in decided {
        act(&context.shared, one);
    }
}

/// None: it has been answered already.
fn decide(context: &Context, mut request: Request) -> Option<Decided> {
    let shared = &context.shared;
    let started = Instant::now();
    let body = head::read_body(&mut request);
    let head = Head::read(&request);
    let (path, query) = split_target(request.url());
    if path == shared.pulse_path {
        let known = Known::of(shared, &request, &head, None);
        exchange(shared, request, known).answer_unseen(Answer::no_content());
        return None;
    }
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let found = routes::find(path);
    let mut known = Known::of(shared, &request, &head, found);
    known.started = started;
    let limited = found.is_none_or(|(route, _)| route.limited);
    let limiter = shared.limiter.as_ref().filter(|_| limited);
    known.standing = limiter.map(|l| l.admit(known.client.limited_as(), &shared.clock));
    logging::set_current_request(&known.request_id);
    let refusal = head.refusal(&request);
    known.ends_in_doubt = refusal.is_some();
    let panics = shared.test_hooks.then(|| test_panic(&request)).flatten();
    // Pure code only: a tiny_http request that is dropped by a panic answers by itself.
    let decided = catch_unwind(AssertUnwindSafe(|| {
        assert!(panics != Some("request"), "asked for by X-Test-Panic");
        refuse_early(refusal, known.standing)?;
        let (route, id) = found
            .ok_or_else(|| Problem::new(Code::RouteNotFound, "there is nothing at this path"))?;
        let call = Call {
            head: &head,
            id,
            query,
            body: &body,
            caller: Caller::default(),
        };
        routes::dispatch(route, request.method().as_str(), context, call)
    }));
    let panicked = |_| Err(Error::Internal("the request's handler panicked".into()).into());
    let job_panics = panics == Some("job");
    Some(Decided {
        outcome: decided.unwrap_or_else(panicked),
        exchange: exchange(shared, request, known),
        job_panics,
    })
}

fn act(shared: &Shared, decided: Decided) {
    let exchange = decided.exchange;
    match decided.outcome {
        Ok(Outcome::Answer(answer)) => exchange.answer(answer),
        Err(problem) => exchange.answer_result(Err(problem)),
        Ok(Outcome::Stream(answer, pieces)) => shared.streams.send(Stream {
            exchange,
            answer,
            pieces,
        }),
        Ok(Outcome::Commit(work)) => {
            let job = Box::new(PendingJob {
                exchange,
                work,
                done: None,
                panics: decided.job_panics,
            });
            if let Err(job) = shared.commits.submit(job) {
                job.finish(Err(Error::Overloaded));
            }
        }
    }
}

/// What comes before the route, in the contract's order.
fn refuse_early(refusal: Option<Problem>, standing: Option<Standing>) -> Result<(), Problem> {
    if let Some(problem) = refusal {
        return Err(problem);
    }
    match standing {
        Some(standing) if !standing.admitted => {
            METRICS.rate_limited.inc();
            Err(Problem::rate_limited(standing))
        }
        _ => Ok(()),
    }
}

impl Known {
    fn of(
        shared: &Shared,
        request: &Request,
        head: &Head,
        found: Option<(&'static Route, &str)>,
    ) -> Known {
        let peer = request.remote_addr().map(|a| a.ip());
        let path = match found {
            Some((_, id)) if id.bytes().all(|b| b.is_ascii_digit()) => {
                split_target(request.url()).0
            }
            Some((route, _)) => route.path,
            None => "-",
        };
        Known {
            request_id: head
                .request_id
                .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
            client: ClientAddress::find(peer, &head.forwarded_for, &shared.trusted_proxies),
            path: path.to_owned(),
            route: found.map(|(route, _)| route),
            started: Instant::now(),
            standing: None,
            closes: head.closes,
            ends_in_doubt: false,
            keeps_alive: head.keeps_alive,
        }
    }
}

fn exchange(shared: &Shared, request: Request, known: Known) -> Exchange {
    Exchange {
        request,
        known,
        lanes: shared.lanes.clone(),
    }
}

/// The path and the query of a request's target, which may be absolute (RFC 9112, 3.2.2). An empty
/// path is the same as "/", and the scheme has no case (RFC 9110, 4.2.3).
fn split_target(target: &str) -> (&str, &str) {
    let is_ours = |scheme: &str| {
        ["http", "https"]
            .iter()
            .any(|s| scheme.eq_ignore_ascii_case(s))
    };
    let path = match target.split_once("://") {
        Some((scheme, rest)) if is_ours(scheme) => {
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => target,
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (if path.is_empty() { "/" } else { path }, query)
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
        logging::set_current_request(&self.exchange.known.request_id);
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
