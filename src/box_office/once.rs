//! Idempotency keys: what has been done once is not done again, but answered again.

use serde::Serialize;

use crate::error::Error;
use crate::model::{IdempotencyKey, Timestamp};
use crate::store::{About, Tx};

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Done<T> {
    Fresh(T),
    Replayed(Replay),
}

/// The first answer to a key, given again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The JSON of the first answer, byte for byte, whichever version of the program gave it.
    pub body: String,
    pub about: About,
}

/// What an act was about, for the answers to come.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Event(i64),
    /// By its seq.
    Ticket(i64),
}

/// Does `act` unless its key has been seen with the same request, whose answer is then repeated.
/// The key is remembered in the same transaction, and only if `act` succeeds.
///
/// The JSON of `request` is compared with that of earlier versions of the program: what is added to
/// a request later must leave the JSON of one without it as it was.
///
/// Errors: `IdempotencyKeyReused` for a key seen with another request; then those of `act`.
pub fn once<T: Serialize>(
    tx: &Tx,
    now: Timestamp,
    key: Option<&IdempotencyKey>,
    request: impl Serialize,
    act: impl FnOnce() -> Result<(T, Subject), Error>,
) -> Result<Done<T>, Error> {
    let Some(key) = key else {
        return Ok(Done::Fresh(act()?.0));
    };
    let request = json(&request)?;
    if let Some(replay) = find_replay(tx, now, key, &request)? {
        return Ok(Done::Replayed(replay));
    }
    let (value, subject) = act()?;
    let (event_id, ticket_seq) = match subject {
        Subject::Event(id) => (Some(id), None),
        Subject::Ticket(seq) => (None, Some(seq)),
    };
    tx.key_insert(key, &request, &json(&value)?, event_id, ticket_seq)?;
    Ok(Done::Fresh(value))
}

/// Whether the key has been seen with this request.
///
/// Errors: `IdempotencyKeyReused` if it has been seen with another.
pub fn check_replay(
    tx: &Tx,
    now: Timestamp,
    key: &IdempotencyKey,
    request: impl Serialize,
) -> Result<bool, Error> {
    Ok(find_replay(tx, now, key, &json(&request)?)?.is_some())
}

fn find_replay(
    tx: &Tx,
    now: Timestamp,
    key: &IdempotencyKey,
    request: &str,
) -> Result<Option<Replay>, Error> {
    match tx.key_find(key, now)? {
        None => Ok(None),
        Some(first) if first.request == request => Ok(Some(Replay {
            body: first.body,
            about: first.about,
        })),
        Some(_) => Err(Error::IdempotencyKeyReused),
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))
}
