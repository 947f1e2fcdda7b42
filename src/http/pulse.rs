//! The pulse: asks the server itself for an answer, many times a second.
//!
//! Three things rest on it. The read timeout that the listener hands on to its connections also
//! ends `accept()`, and with it tiny_http's intake, unless somebody connects before it runs out.
//! tiny_http sometimes gives a new connection to a thread that has just taken another: the thread
//! that served the pulse then picks it up. And a server that does not answer itself says so.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use socket2::SockRef;

const EVERY: Duration = Duration::from_millis(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

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
}

/// Beats until `stop` is dropped.
pub fn run(target: &Target, path: &str, stop: &Receiver<()>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: pulse\r\nConnection: close\r\n\r\n");
    let mut missed_since: Option<Instant> = None;
    while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        match beat(target, request.as_bytes()) {
            Ok(()) => {
                if let Some(since) = missed_since.take() {
                    let ms = since.elapsed().as_millis() as i64;
                    log::warn!(missed_ms = ms; "the server answers its own pulse again");
                }
            }
            Err(e) if missed_since.is_none() => {
                missed_since = Some(Instant::now());
                log::error!("the server does not answer its own pulse: {e}");
            }
            Err(_) => {}
        }
    }
}

fn beat(target: &Target, request: &[u8]) -> std::io::Result<()> {
    match target {
        Target::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, ANSWER_WITHIN)?;
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            ask(&stream, request)?;
            // Closing with a reset leaves nothing behind: a thousand pulses would leave a
            // thousand connections in TIME_WAIT.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))
        }
        Target::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            ask(&stream, request)
        }
    }
}

fn ask(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<()> {
    stream.write_all(request)?;
    let mut first = [0; 64];
    match stream.read(&mut first)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
