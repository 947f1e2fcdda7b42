//! What the operating system grants this process, and what it uses of that.

use std::fs;
use std::io;
use std::sync::LazyLock;
use std::time::SystemTime;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;

/// As gauges have it.
pub struct Usage {
    pub cpu_s: f64,
    pub resident_bytes: f64,
    pub virtual_bytes: f64,
    pub open_fds: f64,
    pub max_fds: f64,
    pub threads: f64,
    /// Since the Unix epoch.
    pub started_s: f64,
}

/// When the process began, or was about to: see [`note_start`].
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// To be called first thing.
pub fn note_start() {
    LazyLock::force(&STARTED);
}

/// Errors: where there is no `/proc`.
pub fn usage() -> io::Result<Usage> {
    let status = fs::read_to_string("/proc/self/status")?;
    let number = |name: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        number.ok_or_else(|| io::Error::other(format!("no {name} in /proc/self/status")))
    };
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu = used.user_time() + used.system_time();
    let started = STARTED.duration_since(SystemTime::UNIX_EPOCH);
    Ok(Usage {
        cpu_s: cpu.num_microseconds() as f64 / 1e6,
        resident_bytes: number("VmRSS")? * 1_024.0,
        virtual_bytes: number("VmSize")? * 1_024.0,
        // Without the one that this very look takes.
        open_fds: (fs::read_dir("/proc/self/fd")?.count() - 1) as f64,
        max_fds: getrlimit(Resource::RLIMIT_NOFILE)?.0 as f64,
        threads: number("Threads")?,
        started_s: started.map_or(0.0, |since| since.as_secs_f64()),
    })
}

/// Lets the process open as many descriptors as it may, and says how many that are.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
