//! A small HTTP/1.1 client over one connection: enough to be a well-behaved buyer, and raw
//! enough to be a strange one.

use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A loopback address (127.x.y.z) that this process has not used before: a client of its own
/// in the eyes of the rate limiter.
pub fn fresh_source() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, x, y, z] = (n / 250 * 256 + n % 250 + 2).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1 + x, y, z))
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// In the order they came, names as they were written.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).into_iter().next()
    }

    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|e| panic!("the body is no JSON ({e}): {self:?}"))
    }

    /// The problem's `code`, or "" if the body is no problem.
    pub fn code(&self) -> String {
        serde_json::from_str::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| body["code"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// A string member of the JSON body.
    pub fn text(&self, member: &str) -> String {
        match self.json()[member].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("no text member {member:?} in {self:?}"),
        }
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected answer: {self:?}");
        self
    }

    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let got = (self.status, self.code());
        assert_eq!(got, (status, code.to_owned()), "unexpected: {self:?}");
        self
    }
}

trait Wire: Read + Write + Send {
    fn shut_writing(&self) -> io::Result<()>;
    fn wait_at_most(&self, time: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn shut_writing(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Wire for UnixStream {
    fn shut_writing(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

pub struct Client {
    wire: BufReader<Box<dyn Wire>>,
}

impl Client {
    pub fn connect(server: SocketAddr) -> Self {
        Self::try_connect(server, None).expect("connects")
    }

    /// Connects from the given address, as a client of its own to the rate limiter.
    pub fn connect_from(source: IpAddr, server: SocketAddr) -> Self {
        Self::try_connect(server, Some(source)).expect("connects")
    }

    pub fn try_connect(server: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&server.into(), TIMEOUT)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self::over(Box::new(stream)))
    }

    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("connects");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self::over(Box::new(stream))
    }

    fn over(wire: Box<dyn Wire>) -> Self {
        Client {
            wire: BufReader::new(wire),
        }
    }

    /// One request and its answer. Adds `Host`, and `Content-Length` when there is a body,
    /// unless the caller gives them; nothing else (no `Content-Type`).
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Response {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> io::Result<Response> {
        self.try_send_raw(request_text(method, path, headers, body).as_bytes())?;
        self.try_read(method == "HEAD")
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[("X-Role", "user")], None)
    }

    /// POSTs JSON in a role ("" sends no `X-Role`).
    pub fn post(&mut self, path: &str, role: &str, json: &str) -> Response {
        self.try_post(path, role, json)
            .unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }

    pub fn try_post(&mut self, path: &str, role: &str, json: &str) -> io::Result<Response> {
        let headers = [("Content-Type", "application/json"), ("X-Role", role)];
        let count = if role.is_empty() { 1 } else { 2 };
        self.try_request("POST", path, &headers[..count], Some(json))
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).expect("sends");
    }

    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent, and stays to read.
    pub fn finish_sending(&mut self) {
        self.wire.get_ref().shut_writing().expect("half-closes");
    }

    /// For what may never come.
    pub fn wait_at_most(&mut self, time: Duration) {
        let set = self.wire.get_ref().wait_at_most(time);
        set.expect("sets the time");
    }

    /// The next answer on the wire, to anything but a HEAD.
    pub fn read_response(&mut self) -> Response {
        self.try_read(false).expect("an answer")
    }

    pub fn try_read_response(&mut self) -> io::Result<Response> {
        self.try_read(false)
    }

    /// Whether the server has closed the connection without another byte. Waits for it.
    pub fn is_closed_by_server(&mut self) -> bool {
        match self.wire.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(e) => !matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    /// The next answer without its body: that of a HEAD, or one whose body is read later.
    pub fn read_head(&mut self) -> Response {
        self.try_read(true).expect("an answer")
    }

    pub fn try_read_head(&mut self) -> io::Result<Response> {
        self.try_read(true)
    }

    /// The chunks that follow a head.
    pub fn read_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.read_chunks(&mut body)?;
        Ok(body)
    }

    fn try_read(&mut self, is_head: bool) -> io::Result<Response> {
        let status_line = self.read_line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| broken(format!("no status line: {status_line:?}")))?;
        let mut response = Response {
            status,
            headers: Vec::new(),
            body: String::new(),
        };
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| broken(format!("no header: {line:?}")))?;
            let header = (name.to_owned(), value.trim().to_owned());
            response.headers.push(header);
        }
        if !is_head && status >= 200 && status != 204 && status != 304 {
            response.body = self.read_body(&response)?;
        }
        Ok(response)
    }

    fn read_body(&mut self, response: &Response) -> io::Result<String> {
        let mut body = Vec::new();
        let (coding, length) = (
            response.header("Transfer-Encoding"),
            response.header("Content-Length"),
        );
        match length {
            None if coding == Some("chunked") => self.read_chunks(&mut body)?,
            _ if coding.is_some() => {
                return Err(broken(format!("framed as {coding:?}, {length:?}")));
            }
            Some(length) => {
                let length = length.parse().map_err(|_| broken(length.to_owned()))?;
                body.resize(length, 0);
                self.wire.read_exact(&mut body)?;
            }
            None => {
                self.wire.read_to_end(&mut body)?;
            }
        }
        String::from_utf8(body).map_err(|e| broken(e.to_string()))
    }

    /// RFC 9112, 7.1. A body without its last chunk is an error.
    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let chunk = self.read_chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            body.extend(chunk);
        }
    }

    /// The next chunk of a body; an empty one is its end.
    pub fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.read_line()?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| broken(size))?;
        let mut chunk = vec![0; size];
        self.wire.read_exact(&mut chunk)?;
        match self.read_line()?.is_empty() {
            true => Ok(chunk),
            false => Err(broken("a chunk without its end".to_owned())),
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.wire.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(broken(format!("a line without CRLF: {line:?}"))),
        }
    }
}

/// A request as it goes over the wire, by the rules of [`Client::request`].
pub fn request_text(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> String {
    let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !given("Host") {
        text.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body
        && !given("Content-Length")
    {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
