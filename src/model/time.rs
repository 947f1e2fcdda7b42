//! Moments.

use std::cell::RefCell;
use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch; RFC 3339 in UTC with milliseconds where people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Takes any RFC 3339 offset. Precision beyond a millisecond is cut off.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let parsed = DateTime::parse_from_rfc3339(text).ok()?;
        let ms = parsed.timestamp_millis();
        // The printed form has four digits for the year, so the accepted one has them too.
        let printable = (-62_135_596_800_000..=253_402_300_799_999).contains(&ms);
        printable.then_some(Timestamp(ms))
    }

    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, ms) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        with_second(second, |text| {
            f.write_str(text)?;
            write!(f, ".{ms:03}Z")
        })
    }
}

/// Most times that are printed lie in the same few seconds, so their text is kept for a while.
fn with_second<T>(second: i64, use_it: impl FnOnce(&str) -> T) -> T {
    const SLOTS: usize = 7;
    thread_local! {
        static TEXTS: RefCell<[(i64, String); SLOTS]> = RefCell::default();
    }
    TEXTS.with_borrow_mut(|texts| {
        let (kept, text) = &mut texts[second.rem_euclid(SLOTS as i64) as usize];
        if *kept != second || text.is_empty() {
            *kept = second;
            *text = match DateTime::from_timestamp(second, 0) {
                Some(time) => time.format("%Y-%m-%dT%H:%M:%S").to_string(),
                None => format!("{second} s"),
            };
        }
        use_it(text)
    })
}

schema!(Timestamp, {"type": "string", "format": "date-time"});

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("must be a time, as in 2026-11-23T09:30:00Z"))
    }
}
