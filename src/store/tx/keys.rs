//! Statements about keys: those that make a request happen once, and those that say who asks.

use rusqlite::{Row, params};

use super::{Tx, parsed};
use crate::error::Error;
use crate::model::{IdempotencyKey, KeyDigest, KeyName, KeyRecord, Role, Timestamp};

/// What is on record for an idempotency key.
pub enum RememberedKey {
    /// It sold this ticket.
    Registration { ticket_seq: i64 },
    /// It was used for this request, and this was the answer (JSON, both).
    Other { request: String, answer: String },
}

impl Tx<'_> {
    pub fn key_find(&self, key: &IdempotencyKey) -> Result<Option<RememberedKey>, Error> {
        let remembered = |row: &Row| {
            Ok(match row.get::<_, Option<i64>>(0)? {
                Some(ticket_seq) => RememberedKey::Registration { ticket_seq },
                None => RememberedKey::Other {
                    request: row.get(1)?,
                    answer: row.get(2)?,
                },
            })
        };
        let sql = include_str!("../../../sql/key_find.sql");
        self.find(sql, params![key.as_str()], remembered)
    }

    pub fn key_insert(&self, key: &IdempotencyKey, what: &RememberedKey) -> Result<(), Error> {
        let (seq, request, answer) = match what {
            RememberedKey::Registration { ticket_seq } => (Some(*ticket_seq), None, None),
            RememberedKey::Other { request, answer } => (None, Some(request), Some(answer)),
        };
        self.execute(
            include_str!("../../../sql/key_insert.sql"),
            params![key.as_str(), seq, request, answer],
        )?;
        Ok(())
    }

    pub fn api_key_next_id(&self) -> Result<i64, Error> {
        let sql = include_str!("../../../sql/api_key_next_id.sql");
        let id = self.find(sql, [], |row| row.get(0))?;
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
        self.execute(
            include_str!("../../../sql/api_key_insert.sql"),
            params![id, digest.0, role.as_str(), name.as_str(), now],
        )?;
        Ok(())
    }

    /// Nothing, if it has been revoked.
    pub fn api_key_find(&self, id: i64) -> Result<Option<(KeyDigest, Role)>, Error> {
        let sql = include_str!("../../../sql/api_key_find.sql");
        let found = |row: &Row| Ok((KeyDigest(row.get(0)?), parsed(row, 1, Role::parse)?));
        self.find(sql, params![id], found)
    }

    pub fn api_key_list(&self) -> Result<Vec<KeyRecord>, Error> {
        let sql = include_str!("../../../sql/api_key_list.sql");
        self.list(sql, [], |row| {
            Ok(KeyRecord {
                id: row.get(0)?,
                role: parsed(row, 1, Role::parse)?,
                name: row.get(2)?,
                created_at: row.get(3)?,
                revoked_at: row.get(4)?,
            })
        })
    }

    /// False: there was none, or it was revoked before.
    pub fn api_key_revoke(&self, id: i64, now: Timestamp) -> Result<bool, Error> {
        let sql = include_str!("../../../sql/api_key_revoke.sql");
        Ok(self.execute(sql, params![now, id])? == 1)
    }
}
