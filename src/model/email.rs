//! Who holds a ticket.

use serde::Deserialize;

use super::input::is_invisible;

const EMAIL_CHARS_MIN: usize = 3;
const EMAIL_CHARS_MAX: usize = 254;

/// An e-mail address, checked for shape only. ASCII letters keep their case and are compared
/// without it; letters beyond ASCII are kept in lower case, so that the same comparison holds for
/// them.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Email {
    text: String,
    /// None: there is no upper case in `text`.
    folded: Option<String>,
}

parsed!(Email, {
    "type": "string", "minLength": EMAIL_CHARS_MIN, "maxLength": EMAIL_CHARS_MAX,
    "pattern": r"^[^@\s]+@[^@\s]+$",
});

impl Email {
    pub fn parse(text: &str) -> Result<Email, &'static str> {
        let address = fold_beyond_ascii(text);
        // Some letters have a longer lower case, so the length is that of the result.
        if !(EMAIL_CHARS_MIN..=EMAIL_CHARS_MAX).contains(&address.chars().count()) {
            return Err("must have 3 to 254 characters");
        }
        if address
            .chars()
            .any(|c| c.is_whitespace() || is_invisible(c))
        {
            return Err(
                "must not contain spaces or control, zero-width or bidirectional characters",
            );
        }
        // A spreadsheet may take what stands behind one of these for another cell, or a formula.
        if address.contains([';', '|', '"']) {
            return Err("must not contain any of ; | \"");
        }
        match address.split_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
            {
                let has_upper = address.bytes().any(|b| b.is_ascii_uppercase());
                Ok(Email {
                    folded: has_upper.then(|| address.to_ascii_lowercase()),
                    text: address,
                })
            }
            _ => Err("must have one @ with something on both sides"),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In lower case: equal for two addresses that are the same.
    pub fn folded(&self) -> &str {
        self.folded.as_ref().unwrap_or(&self.text)
    }

    pub fn is(&self, other: &str) -> bool {
        self.text.eq_ignore_ascii_case(other)
    }
}

fn fold_beyond_ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => folded.push(c),
            false => folded.extend(c.to_lowercase()),
        }
    }
    folded
}
