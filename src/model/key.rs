//! Which request this is, told by the client.

const KEY_BYTES_MAX: usize = 255;

/// 1 to 255 visible ASCII characters, compared as bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn parse(text: &str) -> Result<IdempotencyKey, &'static str> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > KEY_BYTES_MAX || !visible {
            return Err("must be 1 to 255 visible ASCII characters");
        }
        Ok(IdempotencyKey(text.to_owned()))
    }

    /// The header's value: bare, or quoted as a structured-field string (RFC 8941, 3.3.3), as
    /// draft-ietf-httpapi-idempotency-key-header has it.
    pub fn parse_header(value: &str) -> Result<IdempotencyKey, &'static str> {
        let Some(rest) = value.strip_prefix('"') else {
            return IdempotencyKey::parse(value);
        };
        let inner = rest.strip_suffix('"').ok_or("has no closing quote")?;
        let mut bare = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some(escaped @ ('"' | '\\')) => bare.push(escaped),
                    _ => return Err("has a bad escape"),
                },
                '"' => return Err("has a quote inside the quotes"),
                other => bare.push(other),
            }
        }
        IdempotencyKey::parse(&bare)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
