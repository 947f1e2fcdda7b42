//! Hostile clients: one row a case of what they send, and what they do then. What is sent is the same
//! whether the server is asked directly or through a proxy.

mod cases;

pub use cases::cases;

use super::client::fresh_source;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A client that is stuck in sending goes on after this.
const SEND_FOR: Duration = Duration::from_secs(2);

pub struct Case {
    pub name: String,
    /// Sent first, once.
    head: Vec<u8>,
    /// Sent after it, so many times.
    more: (Vec<u8>, usize),
    then: Then,
    pub connections: usize,
}

/// What a client does when it has sent everything.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Reads what comes for a moment, and leaves.
    Leave,
    /// Resets the connection.
    Reset,
    /// Says nothing more and reads nothing, but stays.
    Stay,
    /// Stays, and sends a byte now and then.
    Drip,
}

fn case(name: impl Into<String>, head: impl Into<Vec<u8>>) -> Case {
    Case {
        name: name.into(),
        head: head.into(),
        more: (Vec::new(), 0),
        then: Then::Leave,
        connections: 4,
    }
}

impl Case {
    fn then(self, then: Then) -> Case {
        Case { then, ..self }
    }

    fn more(self, bytes: impl Into<Vec<u8>>, times: usize) -> Case {
        let more = (bytes.into(), times);
        Case { more, ..self }
    }

    fn connections(self, connections: usize) -> Case {
        Case {
            connections,
            ..self
        }
    }

    /// One connection's part: counts itself out of `sending` when everything is sent, and returns
    /// when `is_over`, or before. Whatever the server does to the connection is its right.
    pub fn carry_out(&self, server: SocketAddr, sending: &AtomicUsize, is_over: &AtomicBool) {
        let stream = connect(server);
        let stream = stream.and_then(|mut stream| self.send(&mut stream).map(|()| stream).ok());
        sending.fetch_sub(1, Ordering::Relaxed);
        let Some(mut stream) = stream else {
            return;
        };
        match self.then {
            Then::Leave => drop(stream.read(&mut [0; 512])),
            Then::Reset => drop(Socket::from(stream).set_linger(Some(Duration::ZERO))),
            Then::Stay => wait_for(is_over),
            Then::Drip => {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = stream.write_all(b"x");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Sends everything on as many connections as the case has, and keeps these.
    pub fn carry_out_alone(&self, server: SocketAddr) -> Vec<TcpStream> {
        let streams = (0..self.connections).filter_map(|_| connect(server));
        let send = |mut stream: TcpStream| self.send(&mut stream).map(|()| stream);
        streams.filter_map(|stream| send(stream).ok()).collect()
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(&self.head)?;
        let (bytes, times) = &self.more;
        (0..*times).try_for_each(|_| stream.write_all(bytes))
    }

    /// Threads of their own would be more than a machine likes.
    pub fn is_many(&self) -> bool {
        self.connections > 100
    }
}

fn wait_for(is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(server: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket
        .bind(&SocketAddr::new(fresh_source(), 0).into())
        .ok()?;
    socket.connect_timeout(&server.into(), SEND_FOR).ok()?;
    socket.set_write_timeout(Some(SEND_FOR)).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .ok()?;
    Some(socket.into())
}
