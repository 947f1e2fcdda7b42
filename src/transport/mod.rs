//! From a listening socket to [`Service`](crate::message::Service) and back: who is let in, one
//! thread for each connection, how each of them ends. The only place that knows tiny_http.

mod acceptor;
mod connection;
mod connections;
mod listener;
mod look_ahead;
mod socket;

use std::io::{self, PipeWriter};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::message::Service;
use acceptor::Acceptor;
pub use acceptor::FDS_OF_A_CONNECTION;
use connections::Connections;
pub use listener::{Address, Listening};

/// So long before the end of a stop, responses that are still being sent are broken off.
const SENDING_GIVEN_UP: Duration = Duration::from_secs(1);

pub struct Transport {
    listening: Listening,
    connections: Arc<Connections>,
    acceptor: JoinHandle<()>,
    /// Dropped to tell the acceptor to stop.
    running: PipeWriter,
}

impl Transport {
    /// Lets in up to `connections_max` connections, more of them wait in the backlog; and of one
    /// address (a trusted proxy's excepted, see `is_proxy`) up to a quarter of that.
    pub fn start(
        listening: Listening,
        connections_max: usize,
        is_proxy: impl Fn(std::net::IpAddr) -> bool + Send + 'static,
        service: Arc<dyn Service>,
    ) -> io::Result<Transport> {
        let connections = Arc::new(Connections::new(connections_max));
        let (stopped, running) = io::pipe()?;
        let acceptor = Acceptor {
            listener: listening.tiny_listener()?,
            stopped,
            connections: connections.clone(),
            is_proxy: Box::new(is_proxy),
            service,
        };
        let thread = std::thread::Builder::new().name("acceptor".into());
        Ok(Transport {
            listening,
            connections,
            acceptor: thread.spawn(move || acceptor.run())?,
            running,
        })
    }

    /// Takes no more connections, ends the idle ones, and the others once their request has been
    /// answered. False if some are left at the deadline.
    pub fn stop(self, deadline: Instant) -> bool {
        drop(self.running);
        let _ = self.acceptor.join();
        self.listening.remove_file();
        self.connections.finish_reading();
        if self
            .connections
            .wait_until_none(deadline - SENDING_GIVEN_UP)
        {
            return true;
        }
        log::warn!("responses that are not taken are broken off");
        self.connections.break_off();
        self.connections.wait_until_none(deadline)
    }
}
