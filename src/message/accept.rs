//! Which form of an answer a client prefers, and in which language (RFC 9110, 12.5).

/// Whether this kind of text is preferred to JSON. As on every other route, whoever accepts neither
/// gets JSON. `accept` is the header's values.
pub fn prefers_text<'a>(accept: impl Iterator<Item = &'a str> + Clone, name: &str) -> bool {
    weight(accept.clone(), "text", name) > weight(accept, "application", "json")
}

/// The one of these languages that is preferred, or the first if none is asked for (RFC 9110,
/// 12.5.4). A range stands for all its dialects: `de` is what `de-AT` gets.
pub fn prefers_language<'a>(
    accept: impl Iterator<Item = &'a str> + Clone,
    languages: &[&'static str],
) -> &'static str {
    let quality_of = |language: &str| {
        let ranges = accept.clone().flat_map(|value| value.split(','));
        let fitting = ranges.filter(|range| {
            let name = range.split([';', '-']).next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case(language)
        });
        fitting.filter_map(range_quality).max().unwrap_or(0)
    };
    let first_of_best = |best: &'static str, other: &&'static str| match quality_of(other) {
        quality if quality > quality_of(best) => other,
        _ => best,
    };
    languages.iter().fold(languages[0], first_of_best)
}

/// What a range is followed by. None: it is not well-formed.
fn range_quality(range: &str) -> Option<u16> {
    let parts = range.split(';').skip(1).map(str::trim);
    let mut weights = parts.filter_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
    weights.next().map_or(Some(1_000), quality)
}

/// A range that names a type more exactly.
const NOT_AT_ALL: u16 = 0;
const ANYTHING: u16 = 1;
const ITS_FAMILY: u16 = 2;
const BY_NAME: u16 = 3;

/// How welcome a media type is: its quality in thousandths, then how exactly it is asked for. The
/// range that names it most exactly decides on its quality.
fn weight<'a>(accept: impl Iterator<Item = &'a str>, family: &str, name: &str) -> (u16, u16) {
    let ranges = accept.flat_map(|value| value.split(','));
    let best = ranges.filter_map(|range| {
        let (f, n) = range.split(';').next()?.trim().split_once('/')?;
        let exactness = match (f, n) {
            ("*", "*") => ANYTHING,
            (f, "*") if f.eq_ignore_ascii_case(family) => ITS_FAMILY,
            (f, n) if f.eq_ignore_ascii_case(family) && n.eq_ignore_ascii_case(name) => BY_NAME,
            _ => return None,
        };
        Some((exactness, range_quality(range)?))
    });
    match best.max() {
        None | Some((_, 0)) => (0, NOT_AT_ALL),
        Some((exactness, quality)) => (quality, exactness),
    }
}

/// RFC 9110, 12.4.2: 0 to 1 with up to three decimals.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}
