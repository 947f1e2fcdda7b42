//! The load: so many clients, each a thread with a connection of its own that asks, waits for the
//! answer, and asks again (a closed loop).

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use memchr::memmem;
use socket2::{Domain, Socket, Type};

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
}

impl Seen {
    pub fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// What the client with the fewest answers had of an equal share.
    pub fn fewest_share(&self) -> f64 {
        self.fewest as f64 * self.clients as f64 / self.latencies_us.len() as f64
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
            let (mut plan, together) = (plan(n), &together);
            scope.spawn(move || {
                let open = |turn| {
                    let address = n + clients * (turn % ADDRESSES_A_CLIENT);
                    Connection::open(server.address, source(address))
                };
                let mut connection = open(0);
                together.wait();
                let until = Instant::now() + time;
                let mut own: (Vec<u32>, u64) = (Vec::with_capacity(8_192), 0);
                while Instant::now() < until {
                    let Some(ask) = plan() else { break };
                    let asked = own.0.len();
                    if asked > 0 && asked.is_multiple_of(ASKED_FROM_AN_ADDRESS) {
                        connection = open(asked / ASKED_FROM_AN_ADDRESS);
                    }
                    let start = Instant::now();
                    let status = connection.ask(&ask.bytes);
                    own.0.push(start.elapsed().as_micros() as u32);
                    own.1 += u64::from(!is_right(status, ask.expected));
                }
                own
            })
        };
        let threads: Vec<_> = (0..clients).map(ask_all).collect();
        together.wait();
        let (start, cpu_before) = (Instant::now(), cpu_us(server.pid));
        for thread in threads {
            let (latencies_us, errors) = thread.join().expect("a client thread");
            seen.fewest = seen.fewest.min(latencies_us.len());
            if let Some((first, later)) = latencies_us.split_first() {
                let slowest_later = later.iter().copied().max().unwrap_or(0);
                seen.slowest_first_us = seen.slowest_first_us.max(*first);
                seen.slowest_later_us = seen.slowest_later_us.max(slowest_later);
            }
            seen.latencies_us.extend(latencies_us);
            seen.errors += errors;
        }
        seen.elapsed = start.elapsed();
        seen.server_cpu_us = cpu_us(server.pid) - cpu_before;
    });
    seen.latencies_us.sort_unstable();
    seen
}

fn is_right(status: Option<u16>, expected: u16) -> bool {
    match (status, expected) {
        (Some(201 | 409), WON_OR_LOST) => true,
        (status, expected) => status == Some(expected),
    }
}

/// Each client has an address of its own, so that the rate limiter works as in a real sale.
fn source(n: usize) -> IpAddr {
    IpAddr::from([127, 9, (n / 250) as u8, (n % 250 + 2) as u8])
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(server: SocketAddr, source: IpAddr) -> Connection {
        let socket =
            Socket::new(Domain::for_address(server), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .expect("binds");
        socket.connect(&server.into()).expect("connects");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("no delay");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        Connection {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// The answer's status; None if there was no whole answer.
    fn ask(&mut self, request: &[u8]) -> Option<u16> {
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

/// Processor time that a process has used, all of its threads together.
fn cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |n: usize| {
        fields
            .get(n)
            .and_then(|t| t.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // utime and stime, in hundredths of a second.
    (ticks(12) + ticks(13)) * 10_000
}
