//! How long to wait before the next attempt: twice as long each time, or as long as was asked for.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);

pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub fn new(max: Duration) -> Backoff {
        Backoff { next: FIRST, max }
    }

    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// `asked` is what the other side has said in `Retry-After`.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let pause = asked.map_or(self.next, |asked| asked.max(self.next));
        self.next = (self.next * 2).min(self.max);
        pause.min(self.max)
    }
}
