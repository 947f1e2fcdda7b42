//! SIGINT, SIGTERM and SIGHUP: somebody wants the program to stop.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

/// A request to stop, for whoever waits at the other end. Asking again changes nothing.
pub fn stop_requests() -> (Sender<()>, Receiver<()>) {
    bounded(1)
}

/// The first signal asks to stop; the second one ends the program on the spot.
pub fn catch(stop: Sender<()>) -> Result<(), ctrlc::Error> {
    let count = AtomicUsize::new(0);
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            exit_at_once("asked twice to stop: stopping at once");
        }
        let _ = stop.try_send(());
    })
}

pub fn exit_at_once(why: &str) -> ! {
    log::warn!("{why}");
    log::logger().flush();
    std::process::exit(1);
}
