//! The load: so many clients, each a thread with a connection of its own that asks, waits for the
//! answer, and asks again (a closed loop).

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use memchr::memmem;
use socket2::{Domain, Socket, Type};

use super::process;

/// For a buyer who may win (201) or lose (409).
pub const WON_OR_LOST: u16 = 0;

/// The limiter counts every request and must refuse none, so a client goes on from another address
/// before it has used one up.
const ASKED_FROM_AN_ADDRESS: usize = 900;
const ADDRESSES_A_CLIENT: usize = 4;

/// What a client sends next, and which status is right for it.
pub struct Ask {
    pub bytes: Vec<u8>,
    pub expected: u16,
}

/// Whom the clients ask, and the process whose time it costs.
#[derive(Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub pid: u32,
}

/// What all clients of a run saw.
#[derive(Default, Clone)]
pub struct Seen {
    pub elapsed: Duration,
    /// Sorted.
    pub latencies_us: Vec<u32>,
    pub errors: u64,
    /// How many answers the client got that got the fewest.
    pub fewest: usize,
    pub clients: usize,
    /// The slowest of the clients' first requests, for which a connection must get a thread, and
    /// the slowest of all others.
    pub slowest_first_us: u32,
    pub slowest_later_us: u32,
    /// Processor time of the server in all that time.
    pub server_cpu_us: u64,
    /// The server's memory when the first client has done, and so with all connections open.
    pub server_mib: f64,
}

impl Seen {
    pub fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// What the client with the fewest answers had of an equal share.
    pub fn fewest_share(&self) -> f64 {
        self.fewest as f64 * self.clients as f64 / self.latencies_us.len() as f64
    }

    fn add(&mut self, (latencies_us, errors): &(Vec<u32>, u64)) {
        self.fewest = self.fewest.min(latencies_us.len());
        if let Some((first, later)) = latencies_us.split_first() {
            let slowest_later = later.iter().copied().max().unwrap_or(0);
            self.slowest_first_us = self.slowest_first_us.max(*first);
            self.slowest_later_us = self.slowest_later_us.max(slowest_later);
        }
        self.latencies_us.extend(latencies_us);
        self.errors += errors;
    }

    /// Milliseconds.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies_us
            .get(at)
            .map_or(0.0, |us| f64::from(*us) / 1_000.0)
    }
}

/// Client `n` asks what `plan(n)` gives, until that is nothing or the time is up.
pub fn run<P>(server: Target, clients: usize, time: Duration, plan: impl Fn(usize) -> P) -> Seen
where
    P: FnMut() -> Option<Ask> + Send,
{
    let together = Barrier::new(clients + 1);
    let mut seen = Seen {
        fewest: usize::MAX,
        clients,
        ..Seen::default()
    };
    std::thread::scope(|scope| {
        let ask_all = |n: usize| {
            let (plan, together) = (plan(n), &together);
            scope.spawn(move || {
                let mut client = Client::open(server.address, n, clients);
                together.wait();
                client.ask_all(plan, time);
                // Before any of them hangs up, or nearly so. (They do not wait for each other: of
                // bare tiny_http, some get no answer until others have hung up.)
                let mib = (n == 0).then(|| process::resident_mib(server.pid));
                (client.told(), mib)
            })
        };
        let threads: Vec<_> = (0..clients).map(ask_all).collect();
        together.wait();
        let (start, cpu_before) = (Instant::now(), process::cpu_us(server.pid));
        for thread in threads {
            let (told, mib) = thread.join().expect("a client thread");
            seen.add(&told);
            seen.server_mib = mib.unwrap_or(seen.server_mib);
        }
        seen.elapsed = start.elapsed();
        seen.server_cpu_us = process::cpu_us(server.pid) - cpu_before;
    });
    seen.latencies_us.sort_unstable();
    seen
}

/// One client, and what it has seen.
struct Client {
    server: SocketAddr,
    n: usize,
    clients: usize,
    connection: Option<Connection>,
    latencies_us: Vec<u32>,
    errors: u64,
}

impl Client {
    fn open(server: SocketAddr, n: usize, clients: usize) -> Client {
        Client {
            server,
            n,
            clients,
            connection: Connection::open(server, source(n)).ok(),
            latencies_us: Vec::with_capacity(8_192),
            errors: 0,
        }
    }

    fn ask_all(&mut self, mut plan: impl FnMut() -> Option<Ask>, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let Some(ask) = plan() else { break };
            let asked = self.latencies_us.len();
            if asked > 0 && asked.is_multiple_of(ASKED_FROM_AN_ADDRESS) {
                self.reopen();
            }
            let start = Instant::now();
            let status = self.connection.as_mut().and_then(|c| c.ask(&ask.bytes));
            self.latencies_us.push(start.elapsed().as_micros() as u32);
            self.errors += u64::from(!is_right(status, ask.expected));
            if status.is_none() {
                std::thread::sleep(Duration::from_millis(10));
                self.reopen();
            }
        }
    }

    /// Hangs up.
    fn told(self) -> (Vec<u32>, u64) {
        (self.latencies_us, self.errors)
    }

    fn reopen(&mut self) {
        let turn = self.latencies_us.len() / ASKED_FROM_AN_ADDRESS % ADDRESSES_A_CLIENT;
        let address = source(self.n + self.clients * turn);
        self.connection = Connection::open(self.server, address).ok();
    }
}

pub fn is_right(status: Option<u16>, expected: u16) -> bool {
    match (status, expected) {
        (Some(201 | 409), WON_OR_LOST) => true,
        (status, expected) => status == Some(expected),
    }
}

/// Each client has an address of its own, so that the rate limiter works as in a real sale.
pub fn source(n: usize) -> IpAddr {
    IpAddr::from([127, 9, (n / 250) as u8, (n % 250 + 2) as u8])
}

/// A client's connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(server: SocketAddr, source: IpAddr) -> io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&server.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let buffer = vec![0; 16 * 1024];
        Ok(Connection { stream, buffer })
    }

    /// The answer's status; None if there was no whole answer.
    pub fn ask(&mut self, request: &[u8]) -> Option<u16> {
        self.stream.write_all(request).ok()?;
        let mut filled = 0;
        loop {
            let read = self
                .stream
                .read(&mut self.buffer[filled..])
                .ok()
                .filter(|n| *n > 0)?;
            filled += read;
            let text = &self.buffer[..filled];
            if let Some(end) = memmem::find(text, b"\r\n\r\n")
                && filled >= end + 4 + content_length(&text[..end])
            {
                return std::str::from_utf8(&text[9..12]).ok()?.parse().ok();
            }
        }
    }
}

/// (The clients share the server's cores: what they do with an answer must cost little, and not
/// much more for a long one.)
fn content_length(head: &[u8]) -> usize {
    let name = b"\r\nContent-Length: ";
    let Some(at) = memmem::find(head, name) else {
        return 0;
    };
    let digits = head[at + name.len()..]
        .iter()
        .take_while(|b| b.is_ascii_digit());
    digits.fold(0, |n, digit| n * 10 + usize::from(digit - b'0'))
}
