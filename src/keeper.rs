//! The keeper: a process that does nothing but hold the listening socket and start the server again
//! should it die. Clients that come meanwhile wait in the socket's backlog.
//!
//! The server is a child process of the same program. It inherits the socket (`LISTEN_FDS`) and a
//! pipe on its standard input: a byte there means "stop", its end means that the keeper is gone.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use crossbeam_channel::Sender;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::config::Config;
use crate::logging;
use crate::signals;
use crate::transport::Listening;

/// The exit code of a server that wants another one to take over: EX_TEMPFAIL of sysexits(3).
pub const TAKE_OVER: u8 = 75;
/// The first descriptor after the standard ones, see sd_listen_fds(3).
const SOCKET_FD: i32 = 3;
/// A server that lived for so long has a successor at once.
const LIVES: Duration = Duration::from_secs(1);
/// Otherwise its successor waits for so long, twice as long the next time, and so on.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LAST: Duration = Duration::from_millis(250);
/// What is left for the server once its keeper is gone.
const ORPHAN_STOP_WITHIN: Duration = Duration::from_millis(800);
/// A server that was stopped (SIGSTOP) and does not go on within this is replaced.
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Keeps a server running until somebody asks to stop, or until it ends in a way that another one
/// would end in too. Returns its exit code.
pub fn run(config: &Config, listening: &Listening) -> io::Result<u8> {
    logging::start(config.log_level);
    let stopping = Arc::new(Stopping::default());
    let told = stopping.clone();
    signals::catch(move || told.begin()).map_err(io::Error::other)?;
    let code = keep(listening, &stopping);
    listening.remove_file();
    code
}

/// Whether the server is to stop, and how it is told.
#[derive(Default)]
struct Stopping(Mutex<Line>);

#[derive(Default)]
struct Line {
    is_stopping: bool,
    to_server: Option<ChildStdin>,
}

impl Stopping {
    fn begin(&self) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.is_stopping = true;
        if let Some(pipe) = &mut line.to_server {
            let _ = pipe.write_all(b".");
        }
    }

    fn has_begun(&self) -> bool {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.is_stopping
    }

    /// A server that starts while the stop begins is told at once.
    fn connect(&self, mut pipe: Option<ChildStdin>) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(pipe)) = (line.is_stopping, &mut pipe) {
            let _ = pipe.write_all(b".");
        }
        line.to_server = pipe;
    }
}

fn keep(listening: &Listening, stopping: &Stopping) -> io::Result<u8> {
    let mut pause = PAUSE_FIRST;
    let mut before = 0;
    while !stopping.has_begun() {
        let born = Instant::now();
        let server = match start(listening, before) {
            Ok(server) => server,
            // No room for a process, or another program being put in the place of this one: that
            // passes, and clients wait in the backlog.
            Err(e) if before > 0 => {
                log::error!("cannot start another server yet: {e}");
                std::thread::sleep(PAUSE_LAST);
                continue;
            }
            Err(e) => return Err(e),
        };
        let end = wait(server, stopping)?;
        if let Some(code) = code_to_pass_on(end, stopping.has_begun()) {
            return Ok(code);
        }
        log::warn!("the server ended ({end:?}): starting another");
        before += 1;
        if born.elapsed() >= LIVES {
            pause = PAUSE_FIRST;
        } else {
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }
    Ok(0)
}

/// `before`: how many servers there have been.
fn start(listening: &Listening, before: u64) -> io::Result<Child> {
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
    command.spawn()
}

/// Waits for the server's end. One that was stopped by a signal (SIGSTOP) and does not go on is killed:
/// it answers nobody.
fn wait(mut server: Child, stopping: &Stopping) -> io::Result<WaitStatus> {
    stopping.connect(server.stdin.take());
    let pid = Pid::from_raw(server.id() as i32);
    let mut deadline = None::<Instant>;
    loop {
        let mut flags = WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        if let Some(deadline) = deadline {
            if Instant::now() >= deadline {
                log::error!("the server was stopped by a signal and does not go on: killing it");
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(LOOK_EVERY);
            flags |= WaitPidFlag::WNOHANG;
        }
        match waitpid(pid, Some(flags)) {
            Ok(end @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => return Ok(end),
            Ok(WaitStatus::Stopped(..)) => deadline = Some(Instant::now() + GOES_ON_WITHIN),
            Ok(WaitStatus::Continued(_)) => deadline = None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// None: another server may do better. 0, 1 and 2 are ends that the program means, see `main`. A signal
/// to stop that came too early for the server to catch was meant for both.
fn code_to_pass_on(end: WaitStatus, is_stopping: bool) -> Option<u8> {
    match end {
        WaitStatus::Exited(_, code) if code == i32::from(TAKE_OVER) => is_stopping.then_some(0),
        WaitStatus::Exited(_, code @ 0..=2) => Some(code as u8),
        WaitStatus::Signaled(_, Signal::SIGINT | Signal::SIGTERM, _) => Some(1),
        _ => is_stopping.then_some(1),
    }
}

/// This program, unless its file has been replaced meanwhile or there is no /proc to ask.
fn program() -> Option<PathBuf> {
    std::env::current_exe().ok().filter(|path| path.exists())
}

/// The server's side of the pipe, on a thread of its own.
pub fn obey(stop: Sender<()>) -> io::Result<()> {
    let listen = move || {
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
    };
    std::thread::Builder::new().spawn(listen).map(drop)
}
