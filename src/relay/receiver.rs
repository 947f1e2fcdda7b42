//! Who is told, as Standard Webhooks 1.0 says (standardwebhooks.com).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use ureq::Agent;

use super::source::{Message, Url, retry_after};
use super::tls::{Authorities, tls};

/// For all of a call: who takes longer is told again.
const CALL_WITHIN: Duration = Duration::from_secs(30);
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs, as in `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn parse(text: &str) -> Result<Secret, &'static str> {
        let expected = "expected whsec_ and the Base64 of 24 to 64 random bytes";
        let text = text.strip_prefix("whsec_").ok_or(expected)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| expected)?;
        match SECRET_BYTES.contains(&bytes.len()) {
            true => Ok(Secret(bytes)),
            false => Err(expected),
        }
    }

    fn sign(&self, signed: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        let mac = mac.chain_update(signed).finalize().into_bytes();
        format!("v1,{}", BASE64_STANDARD.encode(mac))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

pub enum Told {
    Taken,
    /// Why, and when to come back, if it has said so.
    NotTaken(String, Option<Duration>),
    /// For good.
    Gone,
}

pub struct Receiver {
    agent: Agent,
    url: Url,
    secrets: Vec<Secret>,
}

impl Receiver {
    pub fn new(url: Url, secrets: Vec<Secret>, authorities: Option<&Authorities>) -> Receiver {
        let config = Agent::config_builder()
            .tls_config(tls(authorities))
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(CALL_WITHIN))
            .user_agent(concat!("lastseat/", env!("CARGO_PKG_VERSION")))
            .build();
        Receiver {
            agent: config.into(),
            url,
            secrets,
        }
    }

    pub fn tell(&self, message: &Message) -> Told {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since.unwrap_or_default().as_secs().to_string();
        let Message { id, body } = message;
        let signed = format!("{id}.{timestamp}.{body}");
        let signatures: Vec<String> = self.secrets.iter().map(|s| s.sign(&signed)).collect();
        let sent = self
            .agent
            .post(self.url.as_str())
            .header("Content-Type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signatures.join(" "))
            .send(body);
        match sent {
            Err(e) => Told::NotTaken(e.to_string(), None),
            Ok(response) => match response.status().as_u16() {
                200..=299 => Told::Taken,
                410 => Told::Gone,
                status => Told::NotTaken(format!("it answers {status}"), retry_after(&response)),
            },
        }
    }
}
