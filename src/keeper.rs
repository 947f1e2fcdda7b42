//! The keeper: holds the listening socket, and sees to it that a server answers on it.
//!
//! The server is a process of its own, which gets the socket as systemd would give it
//! (`LISTEN_FDS`). Should it die, clients wait in the socket's backlog for the next one. A pipe
//! goes from the keeper to the server's standard input: a byte asks it to stop, and its end tells
//! it that the keeper is gone.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::config::Config;
use crate::http::Listening;
use crate::logging;
use crate::signals;

/// The exit code of a server that wants another one to take over: EX_TEMPFAIL of sysexits(3).
pub const TAKE_OVER: u8 = 75;
/// The first descriptor after the standard ones, see sd_listen_fds(3).
const SOCKET_FD: i32 = 3;
/// A server that lived for so long has a successor at once.
const LIVES: Duration = Duration::from_secs(1);
/// Otherwise its successor waits for so long, twice as long the next time, and so on. Not for
/// long: a flood of connections may wear out several servers before it is over.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LAST: Duration = Duration::from_millis(250);
/// A server that was told to stop stops by itself before this.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// What is left for the server once its keeper is gone.
const ORPHAN_STOP_WITHIN: Duration = Duration::from_millis(800);

/// Keeps a server running until somebody asks to stop, or until it ends in a way that another one
/// would end in too. Returns its exit code.
pub fn run(config: &Config, listening: &Listening) -> io::Result<u8> {
    logging::start(config.log_level);
    let (stop, stops) = signals::stop_requests();
    signals::catch(stop).map_err(io::Error::other)?;
    let code = keep(listening, &stops);
    listening.remove_file();
    code
}

fn keep(listening: &Listening, stops: &Receiver<()>) -> io::Result<u8> {
    let mut pause = PAUSE_FIRST;
    let mut before = 0;
    loop {
        let born = Instant::now();
        let mut server = match Kept::start(listening, before) {
            // No room for a process, or another program being put in the place of this one: that
            // passes, and clients wait in the backlog.
            Err(e) if before > 0 => {
                log::error!("cannot start another server yet: {e}");
                match stops.recv_timeout(PAUSE_LAST) {
                    Ok(()) => return Ok(0),
                    Err(_) => continue,
                }
            }
            started => started?,
        };
        let status = select! {
            recv(server.ended) -> status => status,
            recv(stops) -> _ => return Ok(server.stop()),
        };
        let status = status.map_err(io::Error::other)??;
        if let Some(code) = code_to_pass_on(status) {
            return Ok(code);
        }
        log::warn!("the server ended ({status}): starting another");
        before += 1;
        if born.elapsed() >= LIVES {
            pause = PAUSE_FIRST;
        } else if stops.recv_timeout(pause).is_ok() {
            return Ok(0);
        } else {
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }
}

/// None: another server may do better. A signal to stop that came too early for the server to
/// catch was meant for both.
fn code_to_pass_on(status: ExitStatus) -> Option<u8> {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    match (status.code(), status.signal()) {
        (Some(code), _) if code != i32::from(TAKE_OVER) => Some(u8::try_from(code).unwrap_or(1)),
        (None, Some(SIGINT | SIGTERM)) => Some(1),
        _ => None,
    }
}

/// The server, as its keeper sees it.
struct Kept {
    line: ChildStdin,
    ended: Receiver<io::Result<ExitStatus>>,
}

impl Kept {
    /// `before`: how many servers there have been.
    fn start(listening: &Listening, before: u64) -> io::Result<Kept> {
        let socket = FdMapping {
            parent_fd: listening.to_hand_over()?,
            child_fd: SOCKET_FD,
        };
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let mut command = Command::new(program().unwrap_or_else(|| PathBuf::from(&name)));
        command
            .arg0(&name)
            .args(arguments)
            .env("LASTSEAT_KEPT", before.to_string())
            .env("LISTEN_FDS", "1")
            .env_remove("LISTEN_PID")
            .stdin(Stdio::piped())
            .fd_mappings(vec![socket])
            .map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let line = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (end, ended) = bounded(1);
        std::thread::spawn(move || end.send(child.wait()));
        Ok(Kept { line, ended })
    }

    /// Returns the exit code.
    fn stop(&mut self) -> u8 {
        let _ = self.line.write_all(b".");
        match self.ended.recv_timeout(STOP_WITHIN) {
            Ok(Ok(status)) => status.code().map_or(1, |code| match code as u8 {
                TAKE_OVER => 0,
                code => code,
            }),
            _ => 1,
        }
    }
}

/// This program, unless its file has been replaced meanwhile or there is no /proc to ask.
fn program() -> Option<PathBuf> {
    std::env::current_exe().ok().filter(|path| path.exists())
}

/// The server's side of the pipe, on a thread of its own.
pub fn obey(stop: Sender<()>) {
    std::thread::spawn(move || {
        let mut line = io::stdin().lock();
        let told = line.read(&mut [0]).is_ok_and(|bytes| bytes > 0);
        let _ = stop.try_send(());
        if told {
            let _ = line.read(&mut [0]);
            signals::exit_at_once("the keeper is gone: stopping at once");
        }
        log::warn!("the keeper is gone: stopping");
        std::thread::sleep(ORPHAN_STOP_WITHIN);
        signals::exit_at_once("the stop took too long: what was left is abandoned");
    });
}
