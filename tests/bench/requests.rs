//! What the clients send, ready to be written to a socket.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::load::Ask;

/// Somebody who has not been here before.
pub fn buyer(event: i64) -> Ask {
    Ask {
        bytes: registration(event, &fresh_email(), None),
        expected: 201,
    }
}

/// Likewise, and with a key.
pub fn buyer_with_key(event: i64) -> Ask {
    Ask {
        bytes: registration(event, &fresh_email(), Some(&Uuid::new_v4().to_string())),
        expected: 201,
    }
}

/// Somebody who wants what has sold out.
pub fn late_buyer(event: i64) -> Ask {
    Ask {
        bytes: registration(event, &fresh_email(), None),
        expected: 409,
    }
}

pub fn get(path: &str) -> Ask {
    Ask {
        bytes: format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes(),
        expected: 200,
    }
}

pub fn show(event: i64) -> Ask {
    get(&format!("/events/{event}"))
}

pub fn confirm(ticket: &str) -> Ask {
    Ask {
        bytes: post(&format!("/tickets/{ticket}/confirm"), "{}", None),
        expected: 200,
    }
}

pub fn registration(event: i64, email: &str, key: Option<&str>) -> Vec<u8> {
    post(
        &format!("/events/{event}/register"),
        &format!("{{\"email\":\"{email}\"}}"),
        key,
    )
}

fn post(path: &str, body: &str, key: Option<&str>) -> Vec<u8> {
    let key = key
        .map(|k| format!("Idempotency-Key: {k}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Role: user\r\nContent-Type: application/json\r\n\
         {key}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Addresses as they come: in no order.
pub fn fresh_email() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    nth_email(NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn nth_email(n: u64) -> String {
    format!("{:016x}@example.com", mix(n))
}

/// Spreads counting numbers over all numbers, each once (the finalizer of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
