//! Lengths of time that people count in.

use crate::model::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const STEPS: [i64; 30] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
];

/// The shortest step of which a span has at most so many, counted from its beginning.
pub fn bucket_ms(span_ms: i64, at_most: i64) -> i64 {
    let fits = |step: &i64| span_ms / step < at_most;
    let longer = (1..).map(|n| (28 * DAY) << n);
    let mut steps = STEPS.into_iter().chain(longer.take(20));
    steps.find(fits).unwrap_or(i64::MAX)
}

/// `1.25 s`, `3 min 20 s`, `2 d 4 h`: the two largest units.
pub fn duration(ms: i64) -> String {
    let two = |large: i64, unit: &str, small: i64, part: &str| {
        let (whole, rest) = (ms / large, ms % large / small);
        match rest {
            0 => format!("{whole} {unit}"),
            rest => format!("{whole} {unit} {rest} {part}"),
        }
    };
    match ms {
        ..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => {
            let seconds = format!("{:.2}", ms as f64 / 1e3);
            format!("{} s", seconds.trim_end_matches('0').trim_end_matches('.'))
        }
        MINUTE..HOUR => two(MINUTE, "min", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// Marks on an axis of so many milliseconds: where, from 0 to 1, and what they say, in one unit.
pub fn ticks(span_ms: i64) -> Vec<(f64, String)> {
    let step = bucket_ms(span_ms, 6);
    let (unit_ms, unit) = match step {
        ..SECOND if span_ms < SECOND => (1, "ms"),
        ..MINUTE => (SECOND, "s"),
        MINUTE..HOUR => (MINUTE, "min"),
        HOUR..DAY => (HOUR, "h"),
        _ => (DAY, "d"),
    };
    let mark = |at: i64| {
        let text = match at {
            0 => "0".to_owned(),
            at => format!("{} {unit}", at as f64 / unit_ms as f64),
        };
        (at as f64 / span_ms as f64, text)
    };
    (0..=span_ms / step).map(|n| mark(n * step)).collect()
}

/// For people: `2026-11-24 18:21:17.524 UTC`.
pub fn moment(ms: i64) -> String {
    let text = Timestamp(ms).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}
