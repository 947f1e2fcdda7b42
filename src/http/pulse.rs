//! The pulse: asks the server itself for an answer, many times a second.
//!
//! Two things rest on it. The read timeout that the listener hands on to its connections also
//! ends `accept()`, and with it tiny_http's intake, unless somebody connects before it runs out.
//! And a server that does not answer itself, or has taken more of the machine than it may, says so,
//! for another one to take over.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::process::{self, Usage};

const EVERY: Duration = Duration::from_millis(50);
/// Somebody accepts, or there is room in the backlog: it takes no time.
const CONNECTED_WITHIN: Duration = Duration::from_millis(10);
/// Unanswered at once, at most.
const BEATS_MAX: usize = 100;
/// After two seconds without an answer the server is under suspicion,
const SILENT_TICKS: u32 = 40;
/// and if it is found doing nothing so often, dead;
const DEAD_TICKS: u32 = 8;
/// after so long whatever it does.
const STUCK_TICKS: u32 = 400;
const USAGE_TICKS: u64 = 2;

/// Where the server can be reached from inside.
#[derive(Clone, Debug)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Target {
    /// An address that stands for all interfaces is reached over loopback.
    pub fn tcp(bound: SocketAddr) -> Target {
        let ip = match bound.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Target::Tcp(SocketAddr::new(ip, bound.port()))
    }

    /// Fails where the backlog is full.
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Target::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // Closing with a reset leaves nothing behind: a thousand pulses would leave a
                // thousand connections in TIME_WAIT.
                socket.set_linger(Some(Duration::ZERO))?;
                socket.connect_timeout(&(*address).into(), CONNECTED_WITHIN)?;
                Ok(socket)
            }
            Target::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                socket.connect(&SockAddr::unix(path)?)?;
                Ok(socket)
            }
        }
    }

    /// Connects and goes away.
    pub fn knock(&self) {
        let _ = self.connect();
    }
}

/// What is asked, of whom, and what is made of it.
pub struct Pulse {
    pub target: Target,
    pub path: String,
    /// Whether a worker waits for requests.
    pub is_idle: Box<dyn Fn() -> bool + Send>,
    pub limits: Usage,
    /// Told why another server should take over.
    pub retire: Sender<String>,
}

impl Pulse {
    /// Beats until `stop` is dropped. A beat does not wait for the answer to the one before: that
    /// one may be waiting for a thread, which the next may bring.
    pub fn run(self, stop: &Receiver<()>) {
        let path = &self.path;
        let request = format!("GET {path} HTTP/1.1\r\nHost: pulse\r\nConnection: close\r\n\r\n");
        let mut beats: Vec<Beat> = Vec::new();
        let mut silence = Silence::default();
        for tick in 0_u64.. {
            if stop.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let is_idle = || (self.is_idle)() && !process::is_at_work();
            let sent = beats.len();
            beats.retain(|beat| !beat.is_answered());
            let verdict = silence.go_on(beats.len() < sent, is_idle);
            if beats.len() < BEATS_MAX {
                beats.extend(Beat::send(&self.target, request.as_bytes()));
            }
            let worn_out = || (tick % USAGE_TICKS == 0).then(|| self.worn_out()).flatten();
            if let Some(why) = verdict.or_else(worn_out) {
                let _ = self.retire.try_send(why);
            }
        }
    }

    /// Threads and descriptors that a client made tiny_http lose come back in no other way.
    fn worn_out(&self) -> Option<String> {
        Usage::now().ok()?.beyond(&self.limits)
    }
}

/// For how long no beat has been answered, counted in ticks: a machine that stood still for a
/// while has not made the server fail.
#[derive(Default)]
struct Silence {
    ticks: u32,
    idle_ticks: u32,
}

impl Silence {
    /// Says why the server is taken for dead, if it is. While a worker waits for requests, no thread
    /// has anything to do and no beat arrives, nobody accepts connections any more. As long as all
    /// workers are busy, a slow disk may be all there is to it; as long as a thread wants to run, a
    /// slow machine.
    fn go_on(&mut self, answered: bool, is_idle: impl FnOnce() -> bool) -> Option<String> {
        if answered {
            if self.ticks > SILENT_TICKS {
                log::warn!("the server answers its own pulse again");
            }
            *self = Silence::default();
            return None;
        }
        self.ticks += 1;
        if self.ticks == SILENT_TICKS {
            log::error!("the server does not answer its own pulse");
        }
        self.idle_ticks += u32::from(self.ticks > SILENT_TICKS && is_idle());
        if self.idle_ticks >= DEAD_TICKS {
            return Some("no connection is accepted any more".to_owned());
        }
        (self.ticks >= STUCK_TICKS).then(|| "no worker answers any more".to_owned())
    }
}

/// A question that is on its way.
pub(super) struct Beat(Socket);

impl Beat {
    pub(super) fn send(target: &Target, request: &[u8]) -> io::Result<Beat> {
        let mut socket = target.connect()?;
        socket.write_all(request)?;
        socket.set_nonblocking(true)?;
        Ok(Beat(socket))
    }

    /// Or cut off: either way somebody is there.
    pub(super) fn is_answered(&self) -> bool {
        let mut byte = [0; 1];
        let read = (&self.0).read(&mut byte);
        !matches!(read, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}
