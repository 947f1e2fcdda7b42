//! Idempotency keys for everything but registrations (whose ticket is their own record).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::model::IdempotencyKey;
use crate::store::{RememberedKey, Tx};

/// What came of a call; `replayed` if it is the first answer to its key, given again.
#[derive(Clone, Debug, PartialEq)]
pub struct Done<T> {
    pub value: T,
    pub replayed: bool,
}

/// Does `act` unless its key has been seen with the same request, whose answer is then repeated.
/// The key is remembered in the same transaction, and only if `act` succeeds.
///
/// Errors: `IdempotencyKeyReused` for a key seen with another request; then those of `act`.
pub fn once<T: Serialize + DeserializeOwned>(
    tx: &Tx,
    key: Option<&IdempotencyKey>,
    request: impl Serialize,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<Done<T>, Error> {
    let Some(key) = key else {
        return Ok(Done {
            value: act()?,
            replayed: false,
        });
    };
    let request = json(&request)?;
    match tx.key_find(key)? {
        Some(RememberedKey::Other {
            request: first,
            answer,
        }) if first == request => {
            let value =
                serde_json::from_str(&answer).map_err(|e| Error::Internal(e.to_string()))?;
            Ok(Done {
                value,
                replayed: true,
            })
        }
        Some(_) => Err(Error::IdempotencyKeyReused),
        None => {
            let value = act()?;
            let answer = json(&value)?;
            tx.key_insert(key, &RememberedKey::Other { request, answer })?;
            Ok(Done {
                value,
                replayed: false,
            })
        }
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))
}
