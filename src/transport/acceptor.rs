//! Lets connections in, and gives each a thread. Ends those whose time is over.

use std::io::{self, PipeReader};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use socket2::SockRef;
use tiny_http::{Listener, Server, SslContextWrap};

use super::connection;
use super::connections::{Admission, Connections};
use super::socket::Socket;
use crate::message::Service;

/// One of them handles a response or a list's piece at a time, and SQLite for the latter.
const STACK_BYTES: usize = 256 * 1024;
/// Between two looks whether what was lacking (room, a descriptor, a thread) is there.
const PAUSE: Duration = Duration::from_millis(50);
/// How late a connection may be ended whose time is over.
const OVERDUE_LOOK_EVERY: Duration = Duration::from_millis(500);
/// A connection that gets no thread within so many looks is closed.
const THREAD_LOOKS: u32 = 20;
/// Behind standard input, output and error.
const FIRST_FD: RawFd = 3;
/// tiny_http has two handles on a socket, and we have one.
pub const FDS_OF_A_CONNECTION: usize = 3;
/// More than the database, the log and the listener take.
pub const FDS_OF_THE_REST: usize = 512;

pub struct Acceptor {
    pub listener: Listener,
    /// Readable once no more connections are to be taken.
    pub stopped: PipeReader,
    pub connections: Arc<Connections>,
    pub is_proxy: Box<dyn Fn(IpAddr) -> bool + Send>,
    pub service: Arc<dyn Service>,
}

impl Acceptor {
    pub fn run(&self) {
        let no_tls = SslContextWrap::build_ssl_capabilities(None).expect("there is nothing to it");
        let mut next_look = Instant::now();
        while self.wait(&mut next_look) {
            if !self.connections.wait_for_room(PAUSE) {
                continue;
            }
            self.connections.forget_ended();
            let lowest_free = self.lowest_free_fd();
            // It panics if there is no descriptor for its second handle.
            let accept = || Server::accept_connection(&self.listener, &no_tls);
            match catch_unwind(AssertUnwindSafe(accept)) {
                Ok(Ok(Some(requests))) => self.admit(requests, lowest_free),
                Ok(Ok(None)) => {}
                // Another process took it, or the client is gone.
                Ok(Err(e)) if is_of_one_connection(&e) => {}
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Returns when there is a connection to take; false if none is to be taken any more.
    fn wait(&self, next_look: &mut Instant) -> bool {
        loop {
            if Instant::now() >= *next_look {
                self.connections.end_overdue();
                *next_look = Instant::now() + OVERDUE_LOOK_EVERY;
            }
            let mut fds = [
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
            ];
            let _ = poll(&mut fds, OVERDUE_LOOK_EVERY.as_millis() as u16);
            if fds[1].any() == Some(true) {
                return false;
            }
            if fds[0].any() == Some(true) {
                return true;
            }
        }
    }

    fn admit<C, E>(&self, requests: C, lowest_free: Option<RawFd>)
    where
        C: Iterator<Item = Result<tiny_http::Request, E>> + Send + 'static,
    {
        let Some(socket) = self.find_socket(lowest_free) else {
            // It was reset before it was accepted.
            return log::debug!("a connection is closed, because its socket was not found");
        };
        let address = socket.peer().filter(|address| !(self.is_proxy)(*address));
        let Some(admission) = self.connections.admit(socket, address) else {
            return;
        };
        let mut accepted = Accepted {
            requests,
            admission,
            service: self.service.clone(),
        };
        for look in 0..THREAD_LOOKS {
            match accepted.spawn() {
                Ok(()) => return,
                Err((e, back)) => {
                    if look == 0 {
                        log::warn!("no thread for a connection: {e}");
                    }
                    accepted = back;
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// tiny_http hides the descriptor of a connection that it has accepted. It is the one that was
    /// the lowest free before, unless another thread has opened or closed one meanwhile: then all
    /// that there can be are looked through.
    fn find_socket(&self, lowest_free: Option<RawFd>) -> Option<Socket> {
        let is_new = |cookie| !self.connections.knows(cookie);
        let listener = SockRef::from(&self.listener).local_addr().ok()?;
        let found = lowest_free.and_then(|fd| Socket::find(fd, &listener, is_new));
        found.or_else(|| {
            let fds = self.connections.count() * FDS_OF_A_CONNECTION + FDS_OF_THE_REST;
            (FIRST_FD..fds as RawFd).find_map(|fd| Socket::find(fd, &listener, is_new))
        })
    }

    fn lowest_free_fd(&self) -> Option<RawFd> {
        let duplicate = self.listener.as_fd().try_clone_to_owned().ok()?;
        Some(duplicate.as_raw_fd())
    }
}

/// Fields are dropped in this order: tiny_http's handles on the socket are closed before ours.
struct Accepted<C> {
    requests: C,
    admission: Admission,
    service: Arc<dyn Service>,
}

impl<C, E> Accepted<C>
where
    C: Iterator<Item = Result<tiny_http::Request, E>> + Send + 'static,
{
    /// Serves the connection on a thread of its own, or gives it back if there is none to be had.
    fn spawn(self) -> Result<(), (io::Error, Self)> {
        let (hand_over, take) = crossbeam_channel::bounded::<Self>(1);
        let thread = std::thread::Builder::new().name("connection".into());
        let thread = thread.stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            if let Ok(accepted) = take.recv() {
                let _ = catch_unwind(AssertUnwindSafe(|| accepted.serve()));
            }
        });
        match spawned {
            Ok(_) => {
                let _ = hand_over.send(self);
                Ok(())
            }
            Err(e) => Err((e, self)),
        }
    }

    fn serve(self) {
        connection::serve(self.admission.socket(), self.requests, &*self.service);
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}
