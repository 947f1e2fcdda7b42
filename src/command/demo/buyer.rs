//! An HTTP client that is just enough to buy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Buyer {
    stream: BufReader<TcpStream>,
}

impl Buyer {
    pub fn connect(address: SocketAddr) -> io::Result<Buyer> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Buyer {
            stream: BufReader::new(stream),
        })
    }

    /// The answer's status and its JSON body.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        role: &str,
        json: &str,
    ) -> io::Result<(u16, Value)> {
        let bytes = json.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: demo\r\nX-Role: {role}\r\nContent-Length: {bytes}\r\n\r\n{json}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut body_bytes = 0;
        loop {
            let header = self.line()?;
            match header.split_once(": ") {
                Some(("Content-Length", length)) => body_bytes = length.parse().unwrap_or(0),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body)?;
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, json))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
