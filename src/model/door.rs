//! What a ticket's QR code holds.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::TicketId;

const DIGEST_BYTES: usize = 10;
/// So that the digest is of no use elsewhere, nor one from elsewhere here.
const PURPOSE: &[u8] = b"lastseat door code 1";

/// Lets a ticket's party in and does nothing else: whoever photographs it cannot tell the ticket's id,
/// and so neither cancel nor show it. It is the event, the time in front of the ticket's id, by
/// which the ticket is found, and a digest of the id, whose 74 random bits nobody can try out. It is
/// made of what is stored already, so nothing is stored for it.
///
/// Written as `<event>T<time and digest in upper-case hexadecimal>`: characters that make the smallest
/// QR code and lie at the same place on most keyboards, which scanners pretend to be.
#[derive(Clone, Debug, PartialEq)]
pub struct DoorCode {
    event_id: i64,
    moment: [u8; 6],
    digest: [u8; DIGEST_BYTES],
}

impl DoorCode {
    pub fn of(event_id: i64, ticket_id: &TicketId) -> DoorCode {
        let id = ticket_id.as_bytes();
        let hash = Sha256::new().chain_update(PURPOSE).chain_update(id);
        let hash: [u8; 32] = hash.finalize().into();
        let mut code = DoorCode {
            event_id,
            moment: [0; 6],
            digest: [0; DIGEST_BYTES],
        };
        code.moment.copy_from_slice(&id[..6]);
        code.digest.copy_from_slice(&hash[..DIGEST_BYTES]);
        code
    }

    pub fn parse(text: &str) -> Option<DoorCode> {
        let (event, hex) = text.split_once('T')?;
        let bits = u128::from_str_radix(hex, 16).ok()?;
        let [moment @ .., _, _, _, _, _, _, _, _, _, _] = bits.to_be_bytes();
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&bits.to_be_bytes()[6..]);
        let code = DoorCode {
            event_id: event.parse().ok()?,
            moment,
            digest,
        };
        // What has one name is counted as one.
        (code.to_string() == text).then_some(code)
    }

    /// Without early exit.
    pub fn is_of(&self, event_id: i64, ticket_id: &TicketId) -> bool {
        let other = DoorCode::of(event_id, ticket_id);
        let is_same: bool = self.digest.ct_eq(&other.digest).into();
        is_same && self.event_id == event_id && self.moment == other.moment
    }

    /// The first and the last id that a ticket of this moment can have.
    pub fn range(&self) -> [[u8; 16]; 2] {
        [0, 0xff].map(|rest| {
            let mut id = [rest; 16];
            id[..6].copy_from_slice(&self.moment);
            id
        })
    }
}

impl fmt::Display for DoorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T", self.event_id)?;
        let mut bytes = self.moment.iter().chain(&self.digest);
        bytes.try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}
