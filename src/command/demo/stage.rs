//! The demonstration's server: this program, as a process of its own, on a file of its own.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::store::Location;

pub struct Stage {
    pub address: SocketAddr,
    server: Child,
    database: PathBuf,
    _folder: TempDir,
}

impl Stage {
    /// The server obeys its standard input as if a keeper had started it: should this process die,
    /// so does the server.
    pub fn set() -> io::Result<Stage> {
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("demo.db");
        let mut command = Command::new(std::env::current_exe()?);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("LASTSEAT_")) {
            command.env_remove(name);
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "off"])
            .args(["--log-level", "error", "--db"])
            .arg(&database)
            .env("LASTSEAT_KEPT", "0")
            .env_remove("LISTEN_FDS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split_once(' ')?.0.parse().ok());
        let Some(address) = address else {
            let _ = server.kill();
            let _ = server.wait();
            return Err(io::Error::other("it does not say where it listens"));
        };
        Ok(Stage {
            address,
            server,
            database,
            _folder: folder,
        })
    }

    pub fn database(&self) -> Location {
        Location::File(self.database.clone())
    }

    /// Stops the server, and waits until it has.
    pub fn strike(&mut self) {
        if let Some(mut line) = self.server.stdin.take() {
            let _ = line.write_all(b".");
            let _ = self.server.wait();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.strike();
    }
}
