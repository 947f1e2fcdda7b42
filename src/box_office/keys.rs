//! Keys: made, listed, revoked, recognised; and what an organizer's key reaches.

use crate::error::Error;
use crate::model::{ApiKey, KeyHolder, KeyName, KeyRecord, Role, TicketId, Timestamp};
use crate::store::Tx;

/// Makes a key. It can be read now and never again.
pub fn add_key(tx: &Tx, now: Timestamp, role: Role, name: &KeyName) -> Result<ApiKey, Error> {
    let key = ApiKey::new(tx.api_key_next_id()?);
    tx.api_key_insert(key.id, &key.sha256(), role, name, now)?;
    Ok(key)
}

/// All that were ever made, the oldest first.
pub fn list_keys(tx: &Tx) -> Result<Vec<KeyRecord>, Error> {
    tx.api_key_list()
}

/// False: there is no such key, or it has been revoked before.
pub fn revoke_key(tx: &Tx, now: Timestamp, id: i64) -> Result<bool, Error> {
    tx.api_key_revoke(id, now)
}

/// Who holds this key, unless it is unknown or revoked.
pub fn find_key_holder(tx: &Tx, key: &ApiKey) -> Result<Option<KeyHolder>, Error> {
    let Some((digest, role)) = tx.api_key_find(key.id)? else {
        return Ok(None);
    };
    let key_id = key.id;
    Ok(digest
        .is(&key.sha256())
        .then_some(KeyHolder { key_id, role }))
}

/// Whether the key has not been revoked.
pub fn is_key_live(tx: &Tx, key_id: i64) -> Result<bool, Error> {
    Ok(tx.api_key_find(key_id)?.is_some())
}

/// Whether the key created the event. An event keeps its owner, so this may be asked outside of
/// the transaction that goes on from there.
pub fn owns_event(tx: &Tx, key_id: i64, event_id: i64) -> Result<bool, Error> {
    Ok(tx.event_find_owner(event_id)? == Some(key_id))
}

/// Whether the key created the ticket's event, which for a ticket too never changes.
pub fn owns_ticket(tx: &Tx, key_id: i64, ticket_id: &TicketId) -> Result<bool, Error> {
    Ok(tx.ticket_find_owner(ticket_id)? == Some(key_id))
}

/// Whether anybody may buy tickets of the event without a key.
pub fn is_public_event(tx: &Tx, event_id: i64) -> Result<bool, Error> {
    tx.event_find_public(event_id)
}

/// Whether the ticket is one of such an event.
pub fn is_public_ticket(tx: &Tx, ticket_id: &TicketId) -> Result<bool, Error> {
    tx.ticket_find_public(ticket_id)
}
