//! Starts the parts in order, waits for the end, stops them in order.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use crate::config::Config;
use crate::hooks::Hooks;
use crate::http::{Address, Intake, Listening, STREAMS_MAX, Settings};
use crate::keeper;
use crate::logging;
use crate::metrics::METRICS;
use crate::process::{self, Usage};
use crate::reaper::Reaper;
use crate::signals;
use crate::store::{Db, Durable, OpenError};
use crate::verify::verify;

/// A stop takes 5 seconds at most, the end of the process included.
const STOP_WITHIN: Duration = Duration::from_millis(4_800);
/// Below what the system allows: to accept when none is left ends tiny_http's intake.
const DESCRIPTORS_SPARE: u64 = 32;
/// Clients wait for the next server meanwhile.
const TAKE_OVER_WITHIN: Duration = Duration::from_millis(2_000);
/// For the connection that does all the writing: every sale touches a page of the index of
/// addresses that no sale before it has touched lately.
const WRITER_CACHE_KIB: u32 = 24 * 1_024;
/// A whole list is read once from front to back; what has been read is not needed again.
const STREAM_CACHE_KIB: u32 = 128;

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
    logging::start(config.log_level);
    METRICS.recycles.inc_by(config.predecessors());
    let (stop_by_signal, stops) = signals::stop_requests();
    if config.kept.is_some() {
        keeper::obey(stop_by_signal.clone());
    }
    let limits = limits(config)?;
    let hooks = Hooks(config.test_hooks.clone());
    let clock = hooks.clock();
    // The first to open makes the file and its schema.
    let writer = open_with_cache(config, WRITER_CACHE_KIB)?;
    writer.empty_wal().map_err(|e| cannot_open(config, e))?;
    let sound = !config.verify_on_start || is_sound(config)?;
    let durable = Durable::new(&config.db, &writer, config.durability.into(), hooks.clone())?;
    let streams = (0..STREAMS_MAX).map(|_| open_with_cache(config, STREAM_CACHE_KIB));
    let readers = streams.chain((0..config.workers()).map(|_| open(config)));
    let readers = readers.collect::<Result<_, _>>()?;
    let housekeeper = open(config)?;
    signals::catch(stop_by_signal)?;
    let reaper_runs = Arc::new(AtomicBool::new(false));
    let intake = Intake::start(
        listening,
        settings(config, sound, limits, hooks),
        clock.clone(),
        writer,
        durable,
        readers,
        reaper_runs.clone(),
    )?;
    let reaper = Reaper::start(
        housekeeper,
        intake.commits(),
        clock,
        config.sweep,
        reaper_runs,
    )?;
    announce(config);

    let end = wait_for_end(&stops, intake.retires());
    let within = match end {
        End::TakeOver => TAKE_OVER_WITHIN,
        _ => STOP_WITHIN,
    };
    let deadline = Instant::now() + within;
    exit_at(deadline, end);
    let done = stop(intake, reaper, deadline);
    log::info!("stopped");
    log::logger().flush();
    Ok(match (end, done) {
        (End::Clean, false) => End::Abandoned,
        (end, _) => end,
    })
}

fn settings(config: &Config, sound: bool, limits: Usage, hooks: Hooks) -> Settings {
    Settings {
        auth: config.auth.into(),
        rate_limit: config.rate_limit.0,
        trusted_proxies: config.trusted_proxy.clone(),
        hold_ms_default: config.hold.as_millis() as i64,
        queue_jobs_max: config.commit_queue,
        batch_jobs_max: config.commit_batch,
        sound,
        limits,
        hooks,
    }
}

/// An unsound file is served all the same, but not as ready: whoever runs the server decides.
fn is_sound(config: &Config) -> Result<bool, StartError> {
    let report = verify(&config.db, &mut |_, _| {}).map_err(|e| cannot_open(config, e))?;
    let violations = report.violations_total;
    match report.violations.first() {
        None => log::info!(rows = report.rows(), seconds = report.seconds; "verified"),
        Some(first) => log::error!(violations = violations; "the database is not sound: {first}"),
    }
    Ok(report.ok)
}

fn limits(config: &Config) -> io::Result<Usage> {
    let descriptors = process::raise_descriptor_limit()?;
    if let Err(e) = Usage::now() {
        log::warn!("the limits of memory, threads and descriptors are not watched: {e}");
    }
    let limits = Usage {
        memory_mib: config.memory_mib_max as u64,
        threads: config.threads_max as u64,
        descriptors: config
            .descriptors_max
            .map_or(descriptors.saturating_sub(DESCRIPTORS_SPARE), |n| n as u64),
    };
    Ok(limits)
}

fn open_with_cache(config: &Config, kib: u32) -> Result<Db, StartError> {
    let db = open(config)?.with_cache_kib(kib);
    db.map_err(|e| cannot_open(config, e))
}

fn open(config: &Config) -> Result<Db, StartError> {
    Db::open(&config.db).map_err(|e| cannot_open(config, e))
}

fn cannot_open(config: &Config, why: OpenError) -> StartError {
    StartError::Database(config.db.display().to_string(), why)
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
        let _ = writeln!(
            io::stdout(),
            "listening on {url} (database {})",
            config.db.display()
        );
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

/// False if something was left behind at the deadline.
fn stop(mut intake: Intake, reaper: Reaper, deadline: Instant) -> bool {
    if !intake.stop(deadline) {
        log::error!("requests were left unanswered");
        return false;
    }
    reaper.stop();
    // The last connection to close would do it too, but not say so.
    if let Err(e) = intake.commits().close() {
        log::warn!("the WAL was not checkpointed: {e}");
    }
    true
}
