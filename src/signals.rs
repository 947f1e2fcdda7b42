//! SIGINT, SIGTERM and SIGHUP: somebody wants the program to stop. Others are none of its business.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::signal::{SigHandler, Signal, signal};

/// A request to stop, for whoever waits at the other end. Asking again changes nothing.
pub fn stop_requests() -> (Sender<()>, Receiver<()>) {
    bounded(1)
}

/// The first signal asks to `stop`; the second one ends the program on the spot. SIGHUP is left
/// ignored if it was (nohup(1)); SIGUSR1, SIGUSR2 and SIGQUIT, which would end it, are ignored.
pub fn catch(stop: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    let hangup_before = handle(Signal::SIGHUP, SigHandler::SigIgn);
    let count = AtomicUsize::new(0);
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            exit_at_once("asked twice to stop: stopping at once");
        }
        stop();
    })?;
    if matches!(hangup_before, Some(SigHandler::SigIgn)) {
        handle(Signal::SIGHUP, SigHandler::SigIgn);
    }
    for useless in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT] {
        handle(useless, SigHandler::SigIgn);
    }
    Ok(())
}

/// Returns what was done about the signal before.
fn handle(which: Signal, handler: SigHandler) -> Option<SigHandler> {
    // SAFETY: to ignore a signal runs no code at all.
    unsafe { signal(which, handler) }.ok()
}

pub fn exit_at_once(why: &str) -> ! {
    log::warn!("{why}");
    log::logger().flush();
    std::process::exit(1);
}
