//! Which request this is, told by the client.

use serde::Deserialize;
use sha2::{Digest, Sha256};

const KEY_BYTES_MAX: usize = 255;

/// 1 to 255 visible ASCII characters, compared as bytes, within one caller.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct IdempotencyKey {
    text: String,
    digest: [u8; 16],
}

parsed!(IdempotencyKey, {"type": "string", "pattern": "^[!-~]{1,255}$"});

impl IdempotencyKey {
    /// The key of a caller without an API key.
    pub fn parse(text: &str) -> Result<IdempotencyKey, &'static str> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > KEY_BYTES_MAX || !visible {
            return Err("must be 1 to 255 visible ASCII characters");
        }
        let text = text.to_owned();
        Ok(IdempotencyKey {
            digest: digest(0, &text),
            text,
        })
    }

    /// The same key of the caller with that API key: another key than anybody else's.
    pub fn of_caller(self, api_key_id: Option<i64>) -> IdempotencyKey {
        match api_key_id {
            None => self,
            Some(id) => IdempotencyKey {
                digest: digest(id, &self.text),
                ..self
            },
        }
    }

    /// Equal for equal keys of one caller, and for no others: the beginning of a SHA-256.
    pub fn digest(&self) -> &[u8; 16] {
        &self.digest
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
}

/// `caller` is an API key's id, or 0.
fn digest(caller: i64, text: &str) -> [u8; 16] {
    let whole = Sha256::new()
        .chain_update(caller.to_be_bytes())
        .chain_update(text);
    let mut digest = [0; 16];
    digest.copy_from_slice(&whole.finalize()[..16]);
    digest
}
