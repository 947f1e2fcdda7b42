//! A guess at which events are sold out, so that their buyers are sent to a read first. A wrong
//! guess costs a little time and nothing else: the read decides, or the transaction does.

use std::sync::atomic::{AtomicI64, Ordering};

const SLOTS: usize = 1_024;

pub struct SoldOut {
    /// Event ids, each at its own slot; 0 is none.
    slots: Vec<AtomicI64>,
}

impl SoldOut {
    pub fn new() -> SoldOut {
        SoldOut {
            slots: (0..SLOTS).map(|_| AtomicI64::new(0)).collect(),
        }
    }

    pub fn contains(&self, event_id: i64) -> bool {
        self.slot(event_id).load(Ordering::Relaxed) == event_id
    }

    pub fn insert(&self, event_id: i64) {
        self.slot(event_id).store(event_id, Ordering::Relaxed);
    }

    pub fn remove(&self, event_id: i64) {
        let slot = self.slot(event_id);
        let _ = slot.compare_exchange(event_id, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn slot(&self, event_id: i64) -> &AtomicI64 {
        &self.slots[event_id.unsigned_abs() as usize % SLOTS]
    }
}
