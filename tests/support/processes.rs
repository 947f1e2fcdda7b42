//! Processes: signals to them, and whether they are still there.

use super::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, ExitStatus};
use std::time::Duration;

#[track_caller]
pub fn signal(pid: u32, name: &str) {
    let signal: Signal = format!("SIG{name}").parse().expect("a signal's name");
    kill(Pid::from_raw(pid as i32), signal).unwrap_or_else(|e| panic!("{signal} to {pid}: {e}"));
}

/// Unless it has gone by itself.
pub fn kill9(pid: u32) {
    let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
}

/// A zombie is not alive, unless it has threads left: one that waits for the disk outlives a kill -9
/// of its process by as long, and with it the process's sockets and locks.
pub fn is_alive(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.map_or(0, |threads| threads.count());
    let state = state_and_parent(pid).map(|(state, _)| state);
    state.is_some_and(|state| threads > 1 || (state != "Z" && state != "X"))
}

/// Of several, the youngest that is alive.
pub fn child_of(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let is_child = |(state, of): (String, u32)| of == parent && state != "Z";
        state_and_parent(*pid).is_some_and(is_child)
    })
    .max()
}

/// From proc_pid_stat(5). The name before them may hold anything but ends with a bracket.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

pub fn wait_for_exit(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let mut status = None;
    wait_until(patience, || {
        status = child.try_wait().expect("asks for the status");
        status.is_some()
    });
    status
}
