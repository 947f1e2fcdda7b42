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

/// How much of something a process has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub memory_mib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Usage {
    /// From proc_pid_status(5). Errors: there is no such process, or no /proc.
    pub fn of(pid: u32) -> io::Result<Usage> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage {
            memory_mib: field::<u64>(&status, "VmRSS:")? / 1024,
            threads: field(&status, "Threads:")?,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        })
    }
}

fn field<T: FromStr>(status: &str, name: &str) -> io::Result<T> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in the status of a process")))
}
