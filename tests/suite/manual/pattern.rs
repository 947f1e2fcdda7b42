//! What a page shows, held against what was printed.

use std::collections::BTreeMap;

/// x is a hexadecimal digit, 9 a digit, a a letter; all else is itself.
const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
const TIMES: [&str; 2] = ["9999-99-99T99:99:99.999Z", "aaa, 99 aaa 9999 99:99:99 GMT"];
const ANYTHING: &str = "...";

/// Knows which ids the page's own have turned out to be.
#[derive(Default)]
pub struct Pattern(BTreeMap<String, String>);

impl Pattern {
    pub fn with_known_ids(&self, command: &str) -> String {
        let replace = |text: String, (shown, real): (&String, &String)| text.replace(shown, real);
        self.0.iter().fold(command.to_owned(), replace)
    }

    pub fn matches(&mut self, shown: &str, printed: &str) -> bool {
        self.fits(shown.trim_end(), printed.trim_end(), true)
    }

    /// `is_line_start`: of what is shown.
    fn fits(&mut self, shown: &str, printed: &str, is_line_start: bool) -> bool {
        if let Some(rest) = shown.strip_prefix(ANYTHING) {
            let is_whole_line = is_line_start && (rest.is_empty() || rest.starts_with('\n'));
            let line = printed.find('\n').unwrap_or(printed.len());
            let most = if is_whole_line { printed.len() } else { line };
            let ends = (0..=most).filter(|end| printed.is_char_boundary(*end));
            return ends
                .into_iter()
                .any(|end| self.fits(rest, &printed[end..], false));
        }
        if let Some((id, rest)) = start_of(shown, ID) {
            return start_of(printed, ID).is_some_and(|(real, after)| {
                let known = self.0.entry(id.to_owned()).or_insert(real.to_owned());
                *known == real && self.fits(rest, after, false)
            });
        }
        for time in TIMES {
            if let Some((_, rest)) = start_of(shown, time) {
                let after = start_of(printed, time).map(|(_, after)| after);
                return after.is_some_and(|after| self.fits(rest, after, false));
            }
        }
        match (shown.chars().next(), printed.chars().next()) {
            (None, None) => true,
            (Some(a), Some(b)) if a == b => {
                self.fits(&shown[a.len_utf8()..], &printed[a.len_utf8()..], a == '\n')
            }
            _ => false,
        }
    }
}

/// What of the text has this form, and what comes after it.
fn start_of<'t>(text: &'t str, form: &str) -> Option<(&'t str, &'t str)> {
    let start = text.get(..form.len())?;
    let is_of_form = |(c, form): (char, char)| match form {
        'x' => c.is_ascii_hexdigit(),
        '9' => c.is_ascii_digit(),
        'a' => c.is_ascii_alphabetic(),
        _ => c == form,
    };
    let fits = start.chars().zip(form.chars()).all(is_of_form);
    fits.then(|| text.split_at(form.len()))
}
