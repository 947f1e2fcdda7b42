//! The listening socket: bound here, or handed over by whoever holds it (the keeper, systemd).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

/// What Linux allows by default. Who comes when it is full is not answered, and tries again a second
/// later.
const BACKLOG: i32 = 4_096;
/// A connection on which nothing is said for so long is closed (as long as nginx keeps one).
const IDLE: Duration = Duration::from_secs(60);
/// A response, or a piece of a long one, has to be taken within this. Otherwise the client is cut off.
const SENT_WITHIN: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, as in unix:/run/lastseat.sock".into()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(|p| p.parse().ok()) {
            return Ok(Address::Tcp(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        text.parse()
            .map(Address::Tcp)
            .map_err(|_| "expected IP:PORT, as in 127.0.0.1:8080, or unix:/path".into())
    }
}

/// As a person would type it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that takes connections, which inherit its options.
pub struct Listening {
    socket: Socket,
    address: Address,
    /// Whether the socket file is this process's to remove.
    is_bound_here: bool,
}

impl Listening {
    /// Errors: `AddrInUse`, or what the system says.
    pub fn bind(address: &Address) -> io::Result<Listening> {
        let socket = match address {
            Address::Tcp(address) => bind_tcp(*address)?,
            Address::Unix(path) => bind_unix(path)?,
        };
        Listening::on(socket, true)
    }

    /// The socket that the process was started with (`LISTEN_FDS`, see sd_listen_fds(3)), if any.
    pub fn handed_over() -> io::Result<Option<Listening>> {
        let mut handed = ListenFd::from_env();
        if handed.len() > 1 {
            return Err(io::Error::other("it takes one socket, and there are more"));
        }
        let tcp = handed.take_tcp_listener(0).map(|l| l.map(Socket::from));
        let socket = match tcp {
            Err(_) => handed.take_unix_listener(0)?.map(Socket::from),
            Ok(tcp) => tcp,
        };
        socket
            .map(|socket| Listening::on(socket, false))
            .transpose()
    }

    fn on(socket: Socket, is_bound_here: bool) -> io::Result<Listening> {
        if !socket.is_listener()? {
            return Err(io::Error::other("the socket does not listen"));
        }
        // Another process may take a connection before this one does.
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        let address = match (bound.as_socket(), bound.as_pathname()) {
            (Some(address), _) => Address::Tcp(address),
            (None, Some(path)) => Address::Unix(path.to_owned()),
            (None, None) => return Err(io::Error::other("the socket has no path")),
        };
        set_options(&socket)?;
        Ok(Listening {
            socket,
            address,
            is_bound_here,
        })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// For a process of its own to listen on.
    pub fn to_hand_over(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }

    pub(super) fn tiny_listener(&self) -> io::Result<tiny_http::Listener> {
        let socket = self.socket.try_clone()?;
        Ok(match self.address {
            Address::Tcp(_) => TcpListener::from(socket).into(),
            Address::Unix(_) => UnixListener::from(socket).into(),
        })
    }

    /// Nobody will listen there any more.
    pub fn remove_file(&self) {
        if let (Address::Unix(path), true) = (&self.address, self.is_bound_here) {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Before `listen`, so that no connection comes without them.
    set_options(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Those of the connections too, which inherit them.
fn set_options(socket: &Socket) -> io::Result<()> {
    set_timeouts(socket)?;
    if socket.domain()? == Domain::UNIX {
        return Ok(());
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(SENT_WITHIN))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))
}

pub(super) fn set_timeouts(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_write_timeout(Some(SENT_WITHIN))
}

/// Takes over a socket file that nobody listens on any more.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    if let Ok(file) = std::fs::symlink_metadata(path) {
        if !file.file_type().is_socket() {
            return Err(io::Error::other(
                "there is a file at this path that is no socket",
            ));
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(e) => return Err(e),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
