//! Lengths of time that people count in.

use crate::model::Timestamp;

const S: i64 = 1_000;
const MIN: i64 = 60 * S;
const H: i64 = 60 * MIN;
const D: i64 = 24 * H;
/// Units, and how many of each people count in.
const STEPS: [(i64, &[i64]); 5] = [
    (1, &[1, 2, 5, 10, 20, 50, 100, 200, 500]),
    (S, &[1, 2, 5, 10, 15, 30]),
    (MIN, &[1, 2, 5, 10, 15, 30]),
    (H, &[1, 2, 3, 6, 12]),
    (
        D,
        &[1, 2, 3, 7, 14, 28, 56, 112, 224, 448, 896, 1_792, 3_584],
    ),
];

/// The shortest step of which a span has at most so many, counted from its beginning.
pub fn bucket_ms(span_ms: i64, at_most: i64) -> i64 {
    let of_unit = |(unit, numbers): (i64, &'static [i64])| numbers.iter().map(move |n| n * unit);
    let mut steps = STEPS.into_iter().flat_map(of_unit);
    let fits = |step: &i64| span_ms / step < at_most;
    // In thousands of years, a clock that was set wrong is all that is to be seen.
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
        ..S => format!("{ms} ms"),
        S..MIN => {
            let seconds = format!("{:.2}", ms as f64 / 1e3);
            format!("{} s", seconds.trim_end_matches('0').trim_end_matches('.'))
        }
        MIN..H => two(MIN, "min", S, "s"),
        H..D => two(H, "h", MIN, "min"),
        _ => two(D, "d", H, "h"),
    }
}

/// Marks on an axis of so many milliseconds: where, from 0 to 1, and what they say, in one unit.
pub fn ticks(span_ms: i64) -> Vec<(f64, String)> {
    let step = bucket_ms(span_ms, 6);
    let (unit_ms, unit) = match step {
        ..S if span_ms < S => (1, "ms"),
        ..MIN => (S, "s"),
        MIN..H => (MIN, "min"),
        H..D => (H, "h"),
        _ => (D, "d"),
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
