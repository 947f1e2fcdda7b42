//! What a process has taken of the machine, as proc(5) tells it.

use std::io;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub memory_mib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Usage {
    /// Errors: there is no such process (any more).
    pub fn of(pid: u32) -> io::Result<Usage> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage {
            memory_mib: field(&status, "VmRSS:")? / 1024,
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

fn field(status: &str, name: &str) -> io::Result<u64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in the status of a process")))
}
