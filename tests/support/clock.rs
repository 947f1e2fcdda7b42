//! A clock that stands still until a test moves it.

use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

/// 2026-11-23T09:30:00.000Z.
const START_MS: i64 = 1_795_426_200_000;

/// The file that a server started with [`FrozenClock::flags`] reads its time from.
pub struct FrozenClock {
    folder: TempDir,
    now_ms: Mutex<i64>,
}

impl FrozenClock {
    pub fn new() -> Self {
        let clock = FrozenClock {
            folder: tempfile::tempdir().expect("a temporary folder"),
            now_ms: Mutex::new(START_MS),
        };
        clock.set(START_MS);
        clock
    }

    /// The flags which make a server read this clock.
    pub fn flags(&self) -> [String; 2] {
        let folder = self.folder.path().to_str().expect("a UTF-8 path");
        ["--test-hooks".to_owned(), folder.to_owned()]
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        *self.now_ms.lock().unwrap()
    }

    pub fn set(&self, ms: i64) {
        let mut now_ms = self.now_ms.lock().unwrap();
        self.write(ms);
        *now_ms = ms;
    }

    pub fn advance(&self, ms: i64) {
        let mut now_ms = self.now_ms.lock().unwrap();
        *now_ms += ms;
        self.write(*now_ms);
    }

    /// Replaces the file in one step, so that no reader ever sees half a number.
    fn write(&self, ms: i64) {
        let next = self.folder.path().join("clock.next");
        std::fs::write(&next, ms.to_string()).expect("writes the clock");
        std::fs::rename(&next, self.folder.path().join("clock")).expect("replaces the clock");
    }
}
