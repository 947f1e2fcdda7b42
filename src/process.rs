//! What the operating system grants this process, and what the process has taken of it.

use std::io;
use std::str::FromStr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets the process open as many descriptors as it may, and says how many that are.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// How much of something there may be, or is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub memory_mib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Usage {
    /// Of this process. Errors: there is no /proc.
    pub fn now() -> io::Result<Usage> {
        Usage::of(std::process::id())
    }

    /// From proc_pid_status(5). Errors: there is no such process, or no /proc.
    pub fn of(pid: u32) -> io::Result<Usage> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage {
            memory_mib: field::<u64>(&status, "VmRSS:")? / 1024,
            threads: field(&status, "Threads:")?,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        })
    }

    /// What there is more of than there may be.
    pub fn beyond(&self, limits: &Usage) -> Option<String> {
        let all = [
            ("MiB of memory", self.memory_mib, limits.memory_mib),
            ("threads", self.threads, limits.threads),
            ("descriptors", self.descriptors, limits.descriptors),
        ];
        let (what, is, max) = all.into_iter().find(|(_, is, max)| is > max)?;
        Some(format!("{is} {what}, and {max} is the limit"))
    }
}

/// How many threads this process has. Errors: there is no /proc.
pub fn threads() -> io::Result<usize> {
    field(&std::fs::read_to_string("/proc/self/status")?, "Threads:")
}

/// Whether a thread of this process other than the caller's runs, would run if it were given a core,
/// or waits for the disk: the states R and D of proc_pid_stat(5). False if nobody can tell.
pub fn is_at_work() -> bool {
    let own = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return false;
    };
    let others = threads
        .flatten()
        .filter(|thread| Some(&*thread.file_name()) != own.file_name());
    let mut states = others.filter_map(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        field::<char>(&status, "State:").ok()
    });
    states.any(|state| matches!(state, 'R' | 'D'))
}

fn field<T: FromStr>(status: &str, name: &str) -> io::Result<T> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in the status of a process")))
}
