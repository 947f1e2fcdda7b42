//! Clients of one address that take their time, never stop or never read; and beside them a buyer,
//! who must not notice.

use super::client::{Client, fresh_source, request_text};
use super::server::Server;
use super::usage::Usage;
use super::wait_until;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The slowest answer to somebody who does nothing wrong.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
pub const MEMORY_MIB_MAX: u64 = 300;
const BUYS_EVERY: Duration = Duration::from_millis(40);
/// From the last hostile connection's end until the server is as it was before the first.
const RECOVERS_WITHIN: Duration = Duration::from_secs(3);
/// Threads and descriptors that come and go for reasons of the server's own.
const THREADS_MORE: u64 = 2;
const DESCRIPTORS_MORE: u64 = 4;
/// No call of a hostile client takes longer, so that it notices the end.
const PATIENCE_OF_A_CALL: Duration = Duration::from_millis(200);

/// Two floods at a time would measure the machine, not the server.
static ONE_FLOOD_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The hostile side: where it connects to, from its one address, and until when.
pub struct Attack<'a> {
    server: SocketAddr,
    source: IpAddr,
    is_over: &'a AtomicBool,
}

impl<'a> Attack<'a> {
    pub fn on(server: SocketAddr, is_over: &'a AtomicBool) -> Attack<'a> {
        Attack {
            server,
            source: fresh_source(),
            is_over,
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// None if the server does not let it in.
    pub fn connect(&self) -> Option<TcpStream> {
        self.connect_as(|_| Ok(()))
    }

    /// Takes little at a time: a receive buffer of 2 KiB, segments of 1,400 bytes.
    pub fn connect_narrow(&self) -> Option<TcpStream> {
        self.connect_as(|socket| {
            socket.set_recv_buffer_size(2_048)?;
            socket.set_tcp_mss(1_400)
        })
    }

    fn connect_as(&self, shape: fn(&Socket) -> std::io::Result<()>) -> Option<TcpStream> {
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            shape(&socket)?;
            socket.bind(&SocketAddr::new(self.source, 0).into())?;
            socket.connect_timeout(&self.server.into(), PATIENCE_OF_A_CALL)?;
            socket.set_write_timeout(Some(PATIENCE_OF_A_CALL))?;
            socket.set_read_timeout(Some(PATIENCE_OF_A_CALL))?;
            // Closing at once leaves no port in TIME_WAIT, of which one address has few.
            socket.set_linger(Some(Duration::ZERO))?;
            std::io::Result::Ok(TcpStream::from(socket))
        };
        connect().ok()
    }

    /// So many connections that have said this much; fewer if the server does not let in more.
    pub fn connect_many(&self, connections: usize, said: &str) -> Vec<TcpStream> {
        let mut held = Vec::new();
        let mut turned_away = 0;
        while held.len() < connections && turned_away < 5 && !self.is_over() {
            match self.connect() {
                Some(mut stream) => {
                    let _ = stream.write_all(said.as_bytes());
                    held.push(stream);
                }
                None => turned_away += 1,
            }
        }
        held
    }

    /// Keeps connections open until it is over.
    pub fn stay<T>(&self, held: T) {
        while !self.is_over() {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(held);
    }

    /// Writes everything, however long it takes; false if the server has closed, or it is over.
    pub fn send(&self, stream: &mut TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.is_over() {
            match stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if is_timeout(&e) => {}
                Err(_) => return false,
            }
        }
        bytes.is_empty()
    }

    /// What the server says until it closes, goes silent for a moment or has said enough.
    pub fn read(&self, stream: &mut TcpStream) -> String {
        let mut answer = vec![0; 65_536];
        let read = stream.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What hostile clients do: one row of a table.
pub struct Flood {
    pub name: &'static str,
    /// Threads that do it.
    pub clients: usize,
    pub lasts: Duration,
    pub attack: fn(&Attack),
}

/// A buyer who orders every 40 ms from an address of its own, by turns on a connection that stays
/// open and on a new one, and asks for nothing twice.
pub struct Buyer<'s> {
    server: &'s Server,
    path: String,
    kept: Client,
    orders: usize,
}

impl<'s> Buyer<'s> {
    pub fn of(server: &'s Server) -> Buyer<'s> {
        let event = server.create_event("Harbour walk", 100_000);
        let mut buyer = Buyer {
            server,
            path: format!("/events/{event}/register"),
            kept: Client::connect_from(fresh_source(), server.addr()),
            orders: 0,
        };
        for _ in 0..2 {
            buyer.order().expect("an answer before the flood");
        }
        buyer
    }

    /// How long the answer took, or why there was none that sold.
    fn order(&mut self) -> Result<Duration, String> {
        let n = self.orders;
        self.orders += 1;
        let body = format!(r#"{{"email":"buyer-{n}@example.com"}}"#);
        let start = Instant::now();
        let answer = if n.is_multiple_of(2) {
            self.kept.try_post(&self.path, "user", &body)
        } else {
            Client::try_connect(self.server.addr(), Some(fresh_source()))
                .and_then(|mut client| client.try_post(&self.path, "user", &body))
        };
        let took = start.elapsed();
        match answer {
            Ok(answer) if answer.status == 201 => Ok(took),
            Ok(answer) => Err(format!("order {n} was refused: {answer:?}")),
            Err(e) => Err(format!("order {n} got no answer, after {took:?}: {e}")),
        }
    }

    /// Buys while the flood lasts. Says how the server, or its answers, suffered.
    pub fn buys_during(&mut self, flood: &Flood) -> Result<(), String> {
        let pid = self.server.server_pid();
        let is_over = AtomicBool::new(false);
        let attack = Attack::on(self.server.addr(), &is_over);
        let mut slowest = Duration::ZERO;
        let mut memory_mib = 0;
        let mut bought = Ok(());
        std::thread::scope(|scope| {
            for _ in 0..flood.clients {
                scope.spawn(|| (flood.attack)(&attack));
            }
            let start = Instant::now();
            while start.elapsed() < flood.lasts && bought.is_ok() {
                let next = Instant::now() + BUYS_EVERY;
                bought = self.order().map(|took| slowest = slowest.max(took));
                memory_mib = memory_mib.max(Usage::of(pid).map_or(0, |usage| usage.memory_mib));
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        bought?;
        if self.server.try_server_pid() != Some(pid) {
            return Err("the server was started again".to_owned());
        }
        if slowest >= ANSWERED_WITHIN {
            return Err(format!("a buyer waited {slowest:?}"));
        }
        if memory_mib > MEMORY_MIB_MAX {
            return Err(format!("it took {memory_mib} MiB"));
        }
        Ok(())
    }

    /// Everything that was answered 201 is sold, and nothing more.
    #[track_caller]
    pub fn got_everything(&self) {
        let event = self.path.trim_end_matches("/register");
        let event = self.server.get(event).expect_status(200).json();
        assert_eq!(event["available_spots"], 100_000 - self.orders);
        self.server.assert_invariants();
    }
}

const ATTEMPTS: usize = 3;

/// Each of the floods comes and goes while somebody buys.
#[track_caller]
pub fn assert_nobody_is_held_up(server: &Server, floods: &[Flood]) {
    let _alone = ONE_FLOOD_AT_A_TIME
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // A buyer stays, so that what is measured is always with one.
    let _stays = Buyer::of(server);
    let before = Usage::of(server.server_pid()).expect("a server");
    let mut failures = Vec::new();
    for flood in floods {
        // Other tests share the cores, so a flood that was too much is sent again: what a server does
        // wrong, it does each time.
        let mut attempts = std::iter::repeat_with(|| {
            let mut buyer = Buyer::of(server);
            buyer.buys_during(flood)?;
            buyer.got_everything();
            drop(buyer);
            recovers(server.server_pid(), &before)
        })
        .take(ATTEMPTS);
        let failed = |attempt: &Result<(), String>| attempt.is_err();
        let whys: Vec<String> = attempts
            .by_ref()
            .take_while(failed)
            .flat_map(Result::err)
            .collect();
        if whys.len() == ATTEMPTS {
            failures.push(format!("{}: {whys:?}", flood.name));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Threads and descriptors are soon back to where they were, but for a few.
pub fn recovers(pid: u32, before: &Usage) -> Result<(), String> {
    let limits = Usage {
        memory_mib: MEMORY_MIB_MAX,
        threads: before.threads + THREADS_MORE,
        descriptors: before.descriptors + DESCRIPTORS_MORE,
    };
    let beyond = || match Usage::of(pid) {
        Ok(usage) => usage.beyond(&limits),
        Err(e) => Some(e.to_string()),
    };
    wait_until(RECOVERS_WITHIN, || beyond().is_none());
    match beyond() {
        None => Ok(()),
        Some(what) => Err(format!("{what}, 3 s after it was over")),
    }
}

/// A POST of this many bytes, of which none has come yet.
pub fn upload_head(length: u64) -> String {
    let length = length.to_string();
    let headers = [("X-Role", "organizer"), ("Content-Length", &length)];
    request_text("POST", "/events", &headers, None)
}
