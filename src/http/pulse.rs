//! The pulse: asks the server itself for an answer, many times a second.
//!
//! Three things rest on it. The read timeout that the listener hands on to its connections also
//! ends `accept()`, and with it tiny_http's intake, unless somebody connects before it runs out.
//! tiny_http sometimes gives a new connection to a thread that has just taken another: the thread
//! that served the pulse then picks it up. And a server that does not answer itself says so.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use socket2::{Domain, SockAddr, Socket, Type};

const EVERY: Duration = Duration::from_millis(20);
/// Somebody accepts, or there is room in the backlog: it takes no time.
const CONNECTED_WITHIN: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Unanswered at once, at most.
const BEATS_MAX: usize = 100;

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

/// Beats until `stop` is dropped. A beat does not wait for the answer to the one before: that one
/// may be waiting for a thread, which the next may bring.
pub fn run(target: &Target, path: &str, stop: &Receiver<()>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: pulse\r\nConnection: close\r\n\r\n");
    let mut beats: VecDeque<Beat> = VecDeque::new();
    let mut well = true;
    while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        beats.retain(|beat| !beat.is_answered());
        let late = beats
            .front()
            .is_some_and(|beat| beat.sent.elapsed() > ANSWER_WITHIN);
        let sent = match beats.len() < BEATS_MAX {
            true => Beat::send(target, request.as_bytes()).map(|beat| beats.push_back(beat)),
            false => Ok(()),
        };
        let is_well = !late && sent.is_ok();
        if well && !is_well {
            log::error!("the server does not answer its own pulse: {sent:?}");
        } else if !well && is_well {
            log::warn!("the server answers its own pulse again");
        }
        well = is_well;
    }
}

/// A question that is on its way.
struct Beat {
    socket: Socket,
    sent: Instant,
}

impl Beat {
    fn send(target: &Target, request: &[u8]) -> io::Result<Beat> {
        let mut socket = target.connect()?;
        socket.write_all(request)?;
        socket.set_nonblocking(true)?;
        Ok(Beat {
            socket,
            sent: Instant::now(),
        })
    }

    /// Or cut off: either way somebody is there.
    fn is_answered(&self) -> bool {
        let mut byte = [0; 1];
        let read = (&self.socket).read(&mut byte);
        !matches!(read, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}
