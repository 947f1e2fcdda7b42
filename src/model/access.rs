//! Who may do what: roles, and the keys that prove them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{EventName, Timestamp};

names!(
    Role { Organizer = "organizer", User = "user", Admin = "admin" }
);

impl Role {
    /// `admin` may do everything.
    pub fn may_act_as(self, required: Role) -> bool {
        self == required || self == Role::Admin
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose key it is, for people: the same shape as an event's name.
#[derive(Clone, Debug)]
pub struct KeyName(String);

impl KeyName {
    pub fn parse(text: &str) -> Result<KeyName, &'static str> {
        EventName::parse(text).map(|name| KeyName(name.as_str().to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key as its holder sends it: `lastseat_<id>_<64 hex digits>`. The prefix lets scanners for
/// leaked secrets find it, the id lets the store find it without searching by the secret, and 244
/// of the bits behind are random. It is never stored nor logged.
pub struct ApiKey {
    pub id: i64,
    text: String,
}

impl ApiKey {
    pub fn new(id: i64) -> ApiKey {
        let random = || Uuid::new_v4().simple();
        let text = format!("lastseat_{id}_{}{}", random(), random());
        ApiKey { id, text }
    }

    pub fn parse(text: &str) -> Option<ApiKey> {
        let (id, _) = text.strip_prefix("lastseat_")?.split_once('_')?;
        let digits = id.bytes().all(|b| b.is_ascii_digit());
        let id = id.parse().ok().filter(|_| digits)?;
        let text = text.to_owned();
        Some(ApiKey { id, text })
    }

    pub fn sha256(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(&self.text).into())
    }

    /// For its holder's eyes, once.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What is stored of a key. Compared without early exit.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    pub fn is(&self, other: &KeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Who has proved to hold a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyHolder {
    pub key_id: i64,
    pub role: Role,
}

/// A key as its list shows it.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub id: i64,
    pub role: Role,
    pub name: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}
