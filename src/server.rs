//! Starts the parts in order, waits for the end, stops them in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};

use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::http::{Intake, Listening, Settings};
use crate::logging;
use crate::reaper::Reaper;
use crate::store::{Db, Durable, OpenError};

/// A stop takes 5 seconds at most, the end of the process included.
const STOP_WITHIN: Duration = Duration::from_millis(4_800);

/// Why the server could not start, for the person who typed the command.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {0}: {1}")]
    Listen(String, String),
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
    /// Something was left undone, or the intake died.
    Abandoned,
}

/// Serves until SIGINT or SIGTERM.
///
/// Errors, in this order: `Listen`, `Database` (the file is untouched), `Signals`, `Threads`.
pub fn run(config: &Config) -> Result<End, StartError> {
    logging::start(config.log_level);
    let clock = match &config.test_hooks {
        Some(folder) if folder.join("clock").exists() => Clock::File(folder.join("clock")),
        _ => Clock::system(),
    };
    let listening = listen(&config.listen)?;
    // The first to open makes the file and its schema.
    let writer = open(config)?
        .with_large_cache()
        .map_err(|e| cannot_open(config, e))?;
    let durable = Durable::new(&config.db, config.durability.into())?;
    let readers = (0..config.workers())
        .map(|_| open(config))
        .collect::<Result<_, _>>()?;
    let housekeeper = open(config)?;
    let signals = catch_signals()?;
    let reaper_runs = Arc::new(AtomicBool::new(false));
    let intake = Intake::start(
        listening,
        settings(config),
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
    announce(config, &intake.url());

    let asked = wait_for_end(&signals, intake.died());
    let deadline = Instant::now() + STOP_WITHIN;
    exit_at(deadline);
    let done = stop(config, intake, reaper, deadline);
    log::info!("stopped");
    log::logger().flush();
    Ok(if asked && done {
        End::Clean
    } else {
        End::Abandoned
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        rate_limit: config.rate_limit.0,
        trusted_proxies: config.trusted_proxy.clone(),
        hold_ms_default: config.hold.as_millis() as i64,
        queue_jobs_max: config.commit_queue,
        batch_jobs_max: config.commit_batch,
        test_hooks: config.test_hooks.is_some(),
    }
}

fn listen(address: &Listen) -> Result<Listening, StartError> {
    let listening = match address {
        Listen::Tcp(address) => Listening::tcp(*address),
        Listen::Unix(path) => Listening::unix(path),
    };
    listening.map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there; stop it or give another --listen".to_owned()
            }
            _ => format!("{e}; give another --listen"),
        };
        StartError::Listen(address.to_string(), why)
    })
}

fn open(config: &Config) -> Result<Db, StartError> {
    Db::open(&config.db).map_err(|e| cannot_open(config, e))
}

fn cannot_open(config: &Config, why: OpenError) -> StartError {
    StartError::Database(config.db.display().to_string(), why)
}

/// Sends once for each SIGINT or SIGTERM; the second one ends the program on the spot.
fn catch_signals() -> Result<Receiver<()>, ctrlc::Error> {
    let (send, signals) = bounded(1);
    let count = AtomicUsize::new(0);
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            log::warn!("asked twice to stop: stopping at once");
            std::process::exit(1);
        }
        let _ = send.try_send(());
    })?;
    Ok(signals)
}

/// One line for a person or a script on standard output; the log has the rest.
fn announce(config: &Config, url: &str) {
    let db = config.db.display();
    println!("listening on {url} (database {db})");
    log::info!(address = url, workers = config.workers(); "listening");
}

/// True if somebody asked for it.
fn wait_for_end(signals: &Receiver<()>, died: &Receiver<String>) -> bool {
    select! {
        recv(signals) -> _ => {
            log::info!("stopping");
            true
        }
        recv(died) -> why => {
            log::error!("the intake died: {}", why.unwrap_or_default());
            false
        }
    }
}

/// Whatever holds up the stop (a lock of another program, a disk that does not answer): at the
/// deadline it is left behind.
fn exit_at(deadline: Instant) {
    std::thread::spawn(move || {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        log::error!("the stop took too long: what was left is abandoned, and rolls back by itself");
        log::logger().flush();
        std::process::exit(1);
    });
}

/// False if something was left behind at the deadline.
fn stop(config: &Config, mut intake: Intake, reaper: Reaper, deadline: Instant) -> bool {
    if !intake.stop(deadline) {
        log::error!("requests were left unanswered");
        return false;
    }
    reaper.stop();
    // The last connection to close would do it too, but not say so.
    if let Err(e) = open(config).map(|db| db.checkpoint_and_truncate()) {
        log::warn!("the WAL was not checkpointed: {e}");
    }
    true
}
