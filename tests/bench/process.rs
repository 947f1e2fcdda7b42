//! Other processes: what /proc tells about them, and their end.

use std::process::Child;
use std::time::Duration;

use crate::support::{signal, wait_until};

/// Processor time that a process has used, all of its threads together.
pub fn cpu_us(pid: u32) -> u64 {
    let stat = read(pid, "stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |n: usize| {
        fields
            .get(n)
            .and_then(|t| t.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // utime and stime, in hundredths of a second.
    (ticks(12) + ticks(13)) * 10_000
}

/// What is in memory of a process.
pub fn resident_mib(pid: u32) -> f64 {
    number(&read(pid, "status"), "VmRSS:") as f64 / 1_024.0
}

/// Bytes that a process has written, from proc_pid_io(5).
#[derive(Clone, Copy)]
pub struct Written {
    /// Pages that it made dirty, which go to the disk. Not every filesystem counts them.
    pub to_disk: u64,
    /// What it passed to write(2) and its like. (The server sends its answers with send(2), which
    /// is not counted here.)
    pub by_calls: u64,
}

impl Written {
    pub fn by(pid: u32) -> Written {
        let io = read(pid, "io");
        Written {
            to_disk: number(&io, "write_bytes:"),
            by_calls: number(&io, "wchar:"),
        }
    }

    pub fn since(self, before: Written) -> Written {
        Written {
            to_disk: self.to_disk - before.to_disk,
            by_calls: self.by_calls - before.by_calls,
        }
    }
}

fn read(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The number after a name that starts a line.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A process that this program started and ends, whatever else happens.
pub struct Ended {
    child: Child,
    with: &'static str,
}

impl Ended {
    /// By which signal it ends in good order.
    pub fn with(signal: &'static str, child: Child) -> Ended {
        Ended {
            child,
            with: signal,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.is_running() {
            // It may be stopped between its turns.
            signal(self.pid(), self.with);
            signal(self.pid(), "CONT");
        }
        let child = &mut self.child;
        if !wait_until(Duration::from_secs(10), || {
            !matches!(child.try_wait(), Ok(None))
        }) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
