//! Statements about keys: those that make a request happen once, and those that say who asks.

use super::{Call, Statement, Tx, Value, call, get, parsed};
use crate::error::Error;
use crate::model::{
    IdempotencyKey, KeyDigest, KeyName, KeyRecord, Role, TicketId, TicketStatus, Timestamp,
    status_at,
};

/// What is on record for an idempotency key: the request that it was used for, and the body of the
/// answer.
pub struct Remembered {
    pub request: String,
    pub body: String,
    pub about: About,
}

/// What an answer was about.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    Event(i64),
    /// With its status at the moment of the question.
    Ticket(TicketId, TicketStatus),
}

impl Tx<'_> {
    pub fn key_find(
        &self,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<Remembered>, Error> {
        self.look(key_find(key), |row| {
            let about = match get::<Option<i64>>(row, 2)? {
                Some(event_id) => About::Event(event_id),
                None => {
                    let status = parsed(row, 4, TicketStatus::parse)?;
                    let status = status_at(status, get(row, 5)?, now);
                    About::Ticket(TicketId::stored(get(row, 3)?), status)
                }
            };
            Ok(Remembered {
                request: get(row, 0)?,
                body: get(row, 1)?,
                about,
            })
        })
    }

    /// Of `event_id` and `ticket_seq` one is given: what the answer is about.
    pub fn key_insert(
        &self,
        key: &IdempotencyKey,
        request: &str,
        body: &str,
        event_id: Option<i64>,
        ticket_seq: Option<i64>,
    ) -> Result<(), Error> {
        let found = key_find(key);
        self.engine.forget(found.statement, &found.values);
        self.engine_later(call!("key_insert",
            key_digest: key.digest(), request: request, body: body,
            event_id: event_id, ticket_seq: ticket_seq))
    }

    pub fn api_key_next_id(&self) -> Result<i64, Error> {
        let id = self.find(call!("api_key_next_id"), |row| get(row, 0))?;
        id.ok_or_else(|| Error::Internal("a maximum without a row".into()))
    }

    pub fn api_key_insert(
        &self,
        id: i64,
        digest: &KeyDigest,
        role: Role,
        name: &KeyName,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.execute(call!("api_key_insert",
            id: id, key_sha256: &digest.0, role: role.as_str(), name: name.as_str(), now: now))?;
        Ok(())
    }

    /// Nothing, if it has been revoked.
    pub fn api_key_find(&self, id: i64) -> Result<Option<(KeyDigest, Role)>, Error> {
        self.find(call!("api_key_find", id: id), |row| {
            Ok((KeyDigest(get(row, 0)?), parsed(row, 1, Role::parse)?))
        })
    }

    pub fn api_key_list(&self) -> Result<Vec<KeyRecord>, Error> {
        self.list(call!("api_key_list"), |row| {
            Ok(KeyRecord {
                id: get(row, 0)?,
                role: parsed(row, 1, Role::parse)?,
                name: get(row, 2)?,
                created_at: get(row, 3)?,
                revoked_at: get(row, 4)?,
            })
        })
    }

    /// False: there was none, or it was revoked before.
    pub fn api_key_revoke(&self, id: i64, now: Timestamp) -> Result<bool, Error> {
        Ok(self.execute(call!("api_key_revoke", id: id, now: now))? == 1)
    }
}

pub(super) fn key_find(key: &IdempotencyKey) -> Call<'_, 1> {
    call!("key_find", key_digest: key.digest())
}
