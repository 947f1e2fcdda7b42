//! What a test can do to a running server: files in the folder that `--test-hooks` names. Without
//! the flag there is no folder to look in, and nothing here ever happens.
//!
//! - `clock`: the time, see [`Clock::File`].

use std::path::PathBuf;

use crate::clock::Clock;

#[derive(Clone, Debug)]
pub struct Hooks(pub Option<PathBuf>);

impl Hooks {
    pub fn are_given(&self) -> bool {
        self.0.is_some()
    }

    pub fn clock(&self) -> Clock {
        self.file("clock").map_or_else(Clock::system, Clock::File)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let file = self.0.as_ref()?.join(name);
        file.exists().then_some(file)
    }
}
