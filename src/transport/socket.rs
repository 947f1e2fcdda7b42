//! A connection's socket, beside tiny_http's own handles on it: to look at what has come before it
//! is read, to send a whole response in one call, and to end it.

use std::io::{self, Read as _};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{SockAddr, SockRef};

use super::listener::set_timeouts;

/// From tcp(7) and <linux/tcp.h>: where `tcpi_bytes_received` stands in `struct tcp_info`, which is
/// only ever appended to.
const TCPI_BYTES_RECEIVED_AT: usize = 128;

/// From <netinet/tcp.h>, `tcpi_state`: TIME_WAIT, CLOSE_WAIT, LAST_ACK, CLOSING.
const STATES_AFTER_FIN: [u8; 4] = [6, 8, 9, 11];

/// Of looks: they begin with what has come first.
const NO_OFFSET: i32 = -1;

/// For a response that goes on and on. The system doubles it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

pub struct Socket {
    socket: socket2::Socket,
    cookie: u64,
    is_tcp: bool,
    /// When the connection is ended from outside, in milliseconds on the clock below; 0: it is not.
    ends_at_ms: AtomicU64,
}

/// Milliseconds since some fixed moment.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64 + 1
}

impl Socket {
    /// A handle of its own on the connected socket that has this descriptor, if it is one that came in
    /// at `listener`'s address, and `is_wanted`, which is given its cookie. (Standard output may be a
    /// socket too.)
    pub fn find(fd: RawFd, listener: &SockAddr, is_wanted: impl Fn(u64) -> bool) -> Option<Socket> {
        // SAFETY: the descriptor is only borrowed for the calls below, and the kernel says whether
        // there is such a one.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let found = SockRef::from(&borrowed);
        let is_tcp = found.peer_addr().ok()?.as_socket().is_some();
        let local = found.local_addr().ok()?;
        let is_from_listener = match (local.as_socket(), listener.as_socket()) {
            (Some(local), Some(listener)) => local.port() == listener.port(),
            (None, None) => local.as_pathname() == listener.as_pathname(),
            _ => false,
        };
        if !is_from_listener {
            return None;
        }
        let cookie = found.cookie().ok().filter(|cookie| is_wanted(*cookie))?;
        if !is_tcp {
            // Linux has only those of TCP inherit the listener's.
            set_timeouts(&found).ok()?;
        }
        Some(Socket {
            socket: found.try_clone().ok()?,
            cookie,
            is_tcp,
            ends_at_ms: AtomicU64::new(0),
        })
    }

    /// Tells the socket from every other that there ever is (SO_COOKIE).
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    pub fn peer(&self) -> Option<IpAddr> {
        let address = self.socket.peer_addr().ok()?.as_socket()?;
        Some(address.ip())
    }

    /// Copies what has come and was not read into `buffer`; returns how much that is. With
    /// `MSG_DONTWAIT` it does not wait, and otherwise until there is something, for as long as the read
    /// timeout says.
    pub fn look(&self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        loop {
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_PEEK | flags) {
                // A process that was stopped and goes on is told so here (signal(7)).
                Err(Errno::EINTR) => {}
                looked => return Ok(looked?),
            }
        }
    }

    /// Waits until so much has come and was not read as `buffer` has room for; or until the client has
    /// finished or the read timeout is over.
    pub fn wait_for(&self, buffer: &mut [u8]) {
        if self.is_tcp {
            let _ = self.look(buffer, MsgFlags::MSG_WAITALL);
            return;
        }
        // A look at a Unix socket does not wait for more, unless it begins behind what is there.
        let last = buffer.len() - 1;
        self.set_look_offset(last as i32);
        let _ = self.look(&mut buffer[last..], MsgFlags::empty());
        self.set_look_offset(NO_OFFSET);
    }

    /// Reads what a look has shown to be there.
    pub fn skip(&self, buffer: &mut [u8]) {
        let _ = (&self.socket).read_exact(buffer);
    }

    /// Does `f`, which waits for the client. If that takes longer than `patience` in all, the
    /// connection is ended (a read timeout would count for each byte).
    pub fn within<T>(&self, patience: Duration, f: impl FnOnce() -> T) -> T {
        let ends_at_ms = now_ms() + patience.as_millis() as u64;
        self.ends_at_ms.store(ends_at_ms, Ordering::Relaxed);
        let result = f();
        self.ends_at_ms.store(0, Ordering::Relaxed);
        result
    }

    /// To be called now and then.
    pub fn end_if_overdue(&self) {
        let ends_at_ms = self.ends_at_ms.load(Ordering::Relaxed);
        if ends_at_ms != 0 && now_ms() >= ends_at_ms {
            self.shutdown(Shutdown::Both);
        }
    }

    /// To be called before others read, so that [`Socket::bytes_read`] can tell how much they did.
    pub fn start_counting(&self) {
        if !self.is_tcp {
            self.set_look_offset(i32::MAX);
        }
    }

    /// How many bytes have been read from the connection, by anybody: `before` of them before the
    /// count was started, and since then it was read as far as `position`, or farther.
    pub fn bytes_read(&self, before: u64, position: u64) -> Option<u64> {
        if self.is_tcp {
            return match self.bytes_received()? {
                received if received == position => Some(position),
                received => Some(received - self.bytes_waiting()),
            };
        }
        // Linux moves the offset back by what is read (socket(7), SO_PEEK_OFF).
        let mut left = [0; 4];
        self.get_option(libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut left)?;
        self.set_look_offset(NO_OFFSET);
        Some(before + u64::from(i32::from_ne_bytes(left).abs_diff(i32::MAX)))
    }

    /// How many bytes have come over a TCP connection.
    fn bytes_received(&self) -> Option<u64> {
        let mut info = [0_u8; TCPI_BYTES_RECEIVED_AT + 8];
        self.get_option(libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
        let bytes = info[TCPI_BYTES_RECEIVED_AT..].try_into().ok()?;
        // The end of what a client sends (FIN) counts as one byte.
        let has_finished = STATES_AFTER_FIN.contains(&info[0]);
        Some(u64::from_ne_bytes(bytes) - u64::from(has_finished))
    }

    /// None: the kernel does not know it, or knows less than fills `value`.
    fn get_option(&self, level: i32, name: i32, value: &mut [u8]) -> Option<()> {
        let mut length = value.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which `value` has.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                level,
                name,
                value.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        (result == 0 && length as usize == value.len()).then_some(())
    }

    fn set_look_offset(&self, offset: i32) {
        // SAFETY: the kernel reads one int.
        unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEEK_OFF,
                (&raw const offset).cast(),
                size_of::<i32>() as libc::socklen_t,
            )
        };
    }

    /// How many bytes have come and were not read.
    pub fn bytes_waiting(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes one int.
        unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        bytes as u64
    }

    /// Sends all of it, or says that the client has not taken it within the write timeout: one call,
    /// because the timeout counts for each.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(bytes) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::TimedOut.into()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether the client has finished sending, or nothing more is read from it. It does not wait.
    pub fn has_finished(&self) -> bool {
        let mut fd = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLRDHUP,
            revents: 0,
        };
        // SAFETY: the kernel writes into the one struct that it is given.
        unsafe { libc::poll(&raw mut fd, 1, 0) == 1 }
    }

    /// Has the system keep little of what a client that does not read has been sent.
    pub fn buffer_little(&self) {
        let _ = self.socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    }

    /// Reads and throws away what still comes, so that the client gets to read the response before
    /// the connection is reset: until the client has finished, or for so long, or so much.
    pub fn read_away(&self, patience: Duration, bytes_max: usize) {
        self.shutdown(Shutdown::Write);
        let mut left = bytes_max;
        let mut buffer = [0; 4 * 1024];
        self.within(patience, || {
            while left > 0 {
                match (&self.socket).read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => left = left.saturating_sub(bytes),
                }
            }
        });
    }

    pub fn shutdown(&self, how: Shutdown) {
        let _ = self.socket.shutdown(how);
    }
}
