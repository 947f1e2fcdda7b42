//! What the operating system grants this process.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets the process open as many descriptors as it may, and says how many that are.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
