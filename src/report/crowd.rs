//! What only the clients of a sale know: the answers that they got, and how long these took.

use std::collections::BTreeMap;

use super::time::bucket_ms;

const PIECES_MAX: i64 = 80;

#[derive(Clone, Copy)]
pub struct Answer {
    /// When it came, in milliseconds since the sale's opening.
    pub at_ms: u32,
    pub took_us: u32,
}

#[derive(Default)]
pub struct Crowd {
    /// How often each code was answered.
    pub codes: BTreeMap<String, u64>,
    pub answers: Vec<Answer>,
}

/// Microseconds.
#[derive(Clone, Copy)]
pub struct Latency {
    pub half: u32,
    pub p99: u32,
    pub slowest: u32,
}

impl Latency {
    /// Of answers in the order of their time; not of none.
    fn of(sorted: &[Answer]) -> Latency {
        Latency {
            half: percentile(sorted, 50.0),
            p99: percentile(sorted, 99.0),
            slowest: percentile(sorted, 100.0),
        }
    }
}

/// So many percent took at most so long.
pub fn percentile(sorted: &[Answer], percent: f64) -> u32 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1].took_us
}

impl Crowd {
    pub fn add(&mut self, code: &str, answer: Answer) {
        match self.codes.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.codes.insert(code.to_owned(), 1)),
        }
        self.answers.push(answer);
    }

    pub fn join(&mut self, other: Crowd) {
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.answers.extend(other.answers);
    }

    pub fn sorted(&self) -> Vec<Answer> {
        let mut answers = self.answers.clone();
        answers.sort_unstable_by_key(|answer| answer.took_us);
        answers
    }

    /// In pieces of so many milliseconds from the opening on; none for a piece without an answer.
    pub fn over_time(&self) -> (i64, Vec<Option<Latency>>) {
        let last_ms = self.answers.iter().map(|answer| answer.at_ms).max();
        let last_ms = i64::from(last_ms.unwrap_or(0));
        let piece_ms = bucket_ms(last_ms, PIECES_MAX);
        let mut pieces = vec![None; (last_ms / piece_ms) as usize + 1];
        let piece = |answer: &Answer| (i64::from(answer.at_ms) / piece_ms) as usize;
        let mut answers = self.answers.clone();
        answers.sort_unstable_by_key(|answer| (piece(answer), answer.took_us));
        for together in answers.chunk_by(|a, b| piece(a) == piece(b)) {
            pieces[piece(&together[0])] = Some(Latency::of(together));
        }
        (piece_ms, pieces)
    }
}
