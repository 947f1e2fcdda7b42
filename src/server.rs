//! Starts the parts in order, waits for the end, stops them in order.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};

use crate::api;
use crate::config::Config;
use crate::hooks::Hooks;
use crate::keeper;
use crate::logging;
use crate::metrics::METRICS;
use crate::process;
use crate::reaper::Reaper;
use crate::signals;
use crate::store::{CommitQueue, Db, OpenError};
use crate::transport::{Address, FDS_OF_A_CONNECTION, Listening, Transport};
use crate::verify::{Unready, verify};
use crate::worker::{Dispatcher, Workers};

/// A stop takes 5 seconds at most, the end of the process included.
const STOP_WITHIN: Duration = Duration::from_millis(4_800);
/// Clients wait for the next server meanwhile.
const TAKE_OVER_WITHIN: Duration = Duration::from_millis(2_000);
/// For the connection that does all the writing: every sale touches a page of the index of
/// addresses that no sale before it has touched lately.
const WRITER_CACHE_KIB: u32 = 24 * 1_024;
/// SQLite's own default.
const READER_CACHE_KIB: u32 = 2 * 1_024;
/// Lists that are sent in pieces take turns at so many connections.
const EXPORT_READERS: usize = 2;
/// Such a list is read once from front to back; what has been read is not needed again.
const EXPORT_CACHE_KIB: u32 = 128;
/// More are not open by default: each takes a thread.
const CONNECTIONS_MAX_DEFAULT: usize = 4_096;
/// Beside the connections', of which each has three: the database's, the log's, the listener's.
const DESCRIPTORS_SPARE: u64 = 64;

/// Why the server could not start, for the person who typed the command.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the database {0}: {1}")]
    Database(String, OpenError),
    #[error("cannot start: {0}")]
    Threads(#[from] io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(#[from] ctrlc::Error),
}

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Asked to, and everything received was answered.
    Clean,
    /// Something was left undone.
    Abandoned,
    /// Everything received was answered, and another server should take over.
    TakeOver,
}

/// Serves until SIGINT or SIGTERM.
///
/// Errors, in this order: `Database` (the file is untouched), `Signals`, `Threads`.
pub fn run(config: &Config, listening: Listening) -> Result<End, StartError> {
    process::note_start();
    logging::start(config.log_level);
    METRICS.restarts.inc_by(config.predecessors());
    let (stop_by_signal, stops) = signals::stop_requests();
    if config.kept.is_some() {
        keeper::obey(stop_by_signal.clone())?;
    }
    let connections_max = connections_max(config)?;
    let hooks = Hooks(config.test_hooks.clone());
    let clock = hooks.clock();
    // The first to open makes the file and its schema.
    let writer = open(config, WRITER_CACHE_KIB)?.with_durability(config.durability.into());
    let writer = writer.map_err(|e| cannot_open(config, e))?;
    let exports = (0..EXPORT_READERS).map(|_| open(config, EXPORT_CACHE_KIB));
    let exports = exports.collect::<Result<_, _>>()?;
    let readers = (0..config.workers()).map(|_| open(config, READER_CACHE_KIB));
    let readers = readers.collect::<Result<_, _>>()?;
    let housekeeper = open(config, READER_CACHE_KIB)?;
    let unready = Arc::new(Unready::default());
    if config.verify_on_start {
        verify_in_background(config, unready.clone())?;
    }
    signals::catch(move || {
        let _ = stop_by_signal.try_send(());
    })?;

    let (retire, retires) = bounded(1);
    let commits = Arc::new(CommitQueue::new(
        writer,
        config.commit_queue,
        config.commit_batch,
        clock.clone(),
        retire,
    ));
    let reaper_runs = Arc::new(AtomicBool::new(false));
    let state = Arc::new(api::State::new(
        settings(config, unready, &hooks),
        clock.clone(),
        commits.clone(),
        exports,
        reaper_runs.clone(),
    ));
    let watching = Watching {
        watch: state.watch.clone(),
        thread: api::start_looking(&state)?,
    };
    let (workers, dispatcher) = Workers::start(readers, &state)?;
    let dispatcher = Arc::new(dispatcher);
    let reaper = Reaper::start(
        housekeeper,
        commits.clone(),
        clock,
        config.sweep,
        reaper_runs,
    )?;
    let proxies = config.trusted_proxy.clone();
    let is_proxy = move |address| proxies.iter().any(|block| block.contains(&address));
    let transport = Transport::start(listening, connections_max, is_proxy, dispatcher.clone())?;
    announce(config);

    let end = wait_for_end(&stops, &retires);
    let within = match end {
        End::TakeOver => TAKE_OVER_WITHIN,
        _ => STOP_WITHIN,
    };
    let deadline = Instant::now() + within;
    exit_at(deadline, end);
    let done = stop(
        transport, dispatcher, watching, workers, reaper, &commits, deadline,
    );
    log::info!("stopped");
    log::logger().flush();
    Ok(match (end, done) {
        (End::Clean, false) => End::Abandoned,
        (end, _) => end,
    })
}

fn settings(config: &Config, unready: Arc<Unready>, hooks: &Hooks) -> api::Settings {
    api::Settings {
        auth: config.auth.into(),
        rate_limit: config.rate_limit.0,
        key_rate_limit: config.key_rate_limit.0,
        trusted_proxies: config.trusted_proxy.clone(),
        hold_ms_default: config.hold.as_millis() as i64,
        base_path: config.base_path.clone().leak(),
        cors: api::Cors(config.cors_origin.clone()),
        db: config.db.clone(),
        streams_max: config.streams_max,
        unready,
        test_hooks: hooks.are_given(),
    }
}

/// Below what the system allows: tiny_http panics if it gets the last descriptor but one.
fn connections_max(config: &Config) -> io::Result<usize> {
    let descriptors = process::raise_descriptor_limit()?;
    let possible = descriptors.saturating_sub(DESCRIPTORS_SPARE) as usize / FDS_OF_A_CONNECTION;
    let wanted = config.connections_max.unwrap_or(CONNECTIONS_MAX_DEFAULT);
    Ok(wanted.min(possible.max(1)))
}

/// Verifies the file while it is served already, so that no start takes long. Until it is done the
/// first server of a keeper is not ready; one that has taken over from another is, or every
/// restart would be an outage. An unsound file is served all the same, but not as ready: whoever
/// runs the server decides.
fn verify_in_background(config: &Config, unready: Arc<Unready>) -> io::Result<()> {
    if config.predecessors() == 0 {
        unready.set(Some("the database is being verified"));
    }
    let db = config.db.clone();
    let work = move || match verify(&db, &mut |_, _| {}) {
        Ok(report) if report.ok => {
            log::info!(rows = report.rows(), seconds = report.seconds; "verified");
            unready.set(None);
        }
        Ok(report) => {
            let first = report.violations.first().map(ToString::to_string);
            log::error!(violations = report.violations_total;
                "the database is not sound: {}", first.unwrap_or_default());
            unready.set(Some(
                "the database failed its verification; see lastseat verify",
            ));
        }
        Err(e) => {
            log::error!("the database could not be verified: {e}");
            unready.set(Some(
                "the database could not be verified; see lastseat verify",
            ));
        }
    };
    let thread = std::thread::Builder::new().name("verify".into());
    thread.spawn(work).map(drop)
}

fn open(config: &Config, cache_kib: u32) -> Result<Db, StartError> {
    Db::open_for_server(&config.db, cache_kib).map_err(|e| cannot_open(config, e))
}

fn cannot_open(config: &Config, why: OpenError) -> StartError {
    StartError::Database(config.db.to_string(), why)
}

/// One line for a person or a script on standard output, once however many servers follow each
/// other; the log has the rest.
fn announce(config: &Config) {
    let url = match &config.listen {
        Address::Tcp(address) => format!("http://{address}"),
        unix => unix.to_string(),
    };
    if config.predecessors() == 0 {
        // Whoever does not take it (`| true`, a full disk) is no reason not to serve.
        let _ = writeln!(io::stdout(), "listening on {url} (database {})", config.db);
    }
    log::info!(address = url.as_str(), workers = config.workers(); "listening");
}

/// How the server is to end, if nothing comes between.
fn wait_for_end(stops: &Receiver<()>, retires: &Receiver<String>) -> End {
    select! {
        recv(stops) -> _ => {
            log::info!("stopping");
            End::Clean
        }
        recv(retires) -> why => {
            log::error!("{}: another server should take over", why.unwrap_or_default());
            End::TakeOver
        }
    }
}

/// Whatever holds up the stop (a lock of another program, a disk that does not answer): at the
/// deadline it is left behind.
fn exit_at(deadline: Instant, end: End) {
    let watch = move || {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        log::error!("the stop took too long: what was left is abandoned, and rolls back by itself");
        log::logger().flush();
        std::process::exit(match end {
            End::TakeOver => keeper::TAKE_OVER.into(),
            _ => 1,
        });
    };
    if let Err(e) = std::thread::Builder::new().spawn(watch) {
        log::warn!("nobody watches that the stop comes to an end: {e}");
    }
}

/// Those who watch what happens, and the thread that looks for them.
struct Watching {
    watch: Arc<api::Watch>,
    thread: JoinHandle<()>,
}

/// False if something was left behind at the deadline.
fn stop(
    transport: Transport,
    dispatcher: Arc<Dispatcher>,
    watching: Watching,
    workers: Workers,
    reaper: Reaper,
    commits: &CommitQueue,
    deadline: Instant,
) -> bool {
    dispatcher.stop();
    watching.watch.stop();
    if !transport.stop(deadline) {
        log::error!("requests were left unanswered");
        return false;
    }
    // The last one who can send them requests.
    drop(dispatcher);
    workers.join();
    let _ = watching.thread.join();
    reaper.stop();
    // The last connection to close would do it too, but not say so.
    if let Err(e) = commits.close() {
        log::warn!("the WAL was not checkpointed: {e}");
    }
    true
}
