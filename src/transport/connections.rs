//! The open connections: how many there are, whose, and how to end them from outside.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::socket::Socket;
use crate::metrics::METRICS;

/// One address may hold one connection in so many that there may be.
const SHARE_OF_AN_ADDRESS: usize = 4;

pub struct Connections {
    max: usize,
    open: Mutex<Open>,
    one_ended: Condvar,
}

#[derive(Default)]
struct Open {
    /// By their sockets' cookies.
    sockets: HashMap<u64, Arc<Socket>>,
    by_address: HashMap<IpAddr, usize>,
    /// The cookies of those that have ended since the last call of [`Connections::forget_ended`].
    ended: Vec<u64>,
    is_stopping: bool,
}

/// One of the open connections. It ends, for those who count, when this is dropped; tiny_http's own
/// handles must be closed by then.
pub struct Admission {
    connections: Arc<Connections>,
    /// None: it is being dropped.
    socket: Option<Arc<Socket>>,
    /// Whose share it is a part of, if anybody's.
    address: Option<IpAddr>,
}

impl Connections {
    pub fn new(max: usize) -> Connections {
        METRICS.connections_max.set(max as i64);
        Connections {
            max,
            open: Mutex::default(),
            one_ended: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for at most `patience` until there is room for one more; says whether there is.
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let is_full = |open: &mut Open| open.sockets.len() >= self.max;
        let (mut open, _) = self
            .one_ended
            .wait_timeout_while(self.lock(), patience, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        !is_full(&mut open)
    }

    /// To be called before a connection is accepted, by whoever looks for its socket then.
    pub fn forget_ended(&self) {
        self.lock().ended.clear();
    }

    /// Whether a socket belongs to a connection that is open, or was when [`Connections::forget_ended`]
    /// was last called. (One that ended earlier cannot be found any more: it was closed before it was
    /// taken for ended.)
    pub fn knows(&self, cookie: u64) -> bool {
        let open = self.lock();
        open.sockets.contains_key(&cookie) || open.ended.contains(&cookie)
    }

    pub fn count(&self) -> usize {
        self.lock().sockets.len()
    }

    /// `address` is whose share it counts against. None: it has taken all of that already.
    pub fn admit(
        self: &Arc<Connections>,
        socket: Socket,
        address: Option<IpAddr>,
    ) -> Option<Admission> {
        let socket = Arc::new(socket);
        let mut open = self.lock();
        if let Some(address) = address {
            let held = open.by_address.entry(address).or_insert(0);
            if *held >= (self.max / SHARE_OF_AN_ADDRESS).max(1) {
                return None;
            }
            *held += 1;
        }
        open.sockets.insert(socket.cookie(), socket.clone());
        if open.is_stopping {
            socket.shutdown(Shutdown::Read);
        }
        METRICS.open_connections.set(open.sockets.len() as i64);
        Some(Admission {
            connections: self.clone(),
            socket: Some(socket),
            address,
        })
    }

    /// What was sent until now is still read and answered; what follows is not.
    pub fn finish_reading(&self) {
        let mut open = self.lock();
        open.is_stopping = true;
        open.sockets
            .values()
            .for_each(|s| s.shutdown(Shutdown::Read));
    }

    pub fn end_overdue(&self) {
        let open = self.lock();
        open.sockets.values().for_each(|s| s.end_if_overdue());
    }

    pub fn break_off(&self) {
        let open = self.lock();
        open.sockets
            .values()
            .for_each(|s| s.shutdown(Shutdown::Both));
    }

    /// False if some are left at the deadline.
    pub fn wait_until_none(&self, deadline: Instant) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let (open, _) = self
            .one_ended
            .wait_timeout_while(self.lock(), patience, |open| !open.sockets.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        open.sockets.is_empty()
    }
}

impl Admission {
    pub fn socket(&self) -> &Socket {
        self.socket.as_ref().expect("it is not being dropped")
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let cookie = self.socket().cookie();
        self.socket = None;
        let mut open = self.connections.lock();
        // The last handle, so that the socket is closed now.
        drop(open.sockets.remove(&cookie));
        open.ended.push(cookie);
        if let Some(address) = self.address
            && let Some(held) = open.by_address.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                open.by_address.remove(&address);
            }
        }
        METRICS.open_connections.set(open.sockets.len() as i64);
        self.connections.one_ended.notify_all();
    }
}
