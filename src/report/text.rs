//! Text and numbers as the page writes them.

use super::time::duration;

/// What others have typed, as text of the page.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// `30,000`
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = if n < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn percent(n: i64, of: i64) -> String {
    format!("{:.1} %", n as f64 * 100.0 / of as f64)
}

pub fn milliseconds(us: u32) -> String {
    match us {
        ..10_000 => format!("{:.2} ms", f64::from(us) / 1e3),
        10_000..100_000 => format!("{:.1} ms", f64::from(us) / 1e3),
        _ => duration(i64::from(us) / 1_000),
    }
}
