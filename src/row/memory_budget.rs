//! A memory budget for large rows. Ordinary rows are bounded by their number alone and reserve nothing.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::carried::Carried;
use super::field::Field;
use super::link::Link;
use super::source_text::SourceText;

/// Bytes of large rows in memory at once, from reading to their result: 64 MiB. Doubled, a run whose rows carry megabytes takes twice
/// the memory; halved, fewer of them are in flight. A single row that is larger passes alone.
pub const LARGE_ROW_BUDGET: usize = 64 << 20;

/// Bytes above which a row is large: 16 KiB. Some 1,500 smaller rows are open at once and take 24 MiB at most.
const LARGE: usize = 16 << 10;

/// The budget that the large rows of a run share.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

/// The part of a [`MemoryBudget`] that a large row has reserved. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct MemoryReservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared {
            bytes,
            free: Mutex::new(bytes),
            freed: Condvar::new(),
        }))
    }

    /// Reserves the bytes of a row, and blocks until they are free. An ordinary row reserves nothing and never waits.
    #[must_use]
    pub fn reserve(
        &self,
        link: &Link,
        carried: &[Carried],
        text: Option<&SourceText>,
    ) -> Option<MemoryReservation> {
        let bytes = size(link, carried) + text.map_or(0, SourceText::size);
        if bytes <= LARGE {
            return None;
        }
        let bytes = bytes.min(self.0.bytes);
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .0
            .freed
            .wait_while(free, |free| *free < bytes)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Some(MemoryReservation {
            budget: self.clone(),
            bytes,
        })
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        let shared = &self.budget.0;
        *shared.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        shared.freed.notify_all();
    }
}

/// Returns the bytes of a row's values.
fn size(link: &Link, carried: &[Carried]) -> usize {
    let fields: usize = Field::ALL.map(|field| link.get(field).len()).iter().sum();
    let carried = carried.iter().map(|value| match value {
        Carried::Absent => 0,
        Carried::Text(text) => text.len(),
        Carried::Json(json) => json.get().len(),
    });
    fields + carried.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use super::*;

    fn carried(bytes: usize) -> Vec<Carried> {
        vec![Carried::Absent, Carried::Text("x".repeat(bytes))]
    }

    #[test]
    fn ordinary_rows_reserve_nothing() {
        let budget = MemoryBudget::new(0);
        let mut link = Link::default();
        assert!(budget.reserve(&link, &carried(LARGE), None).is_none());
        link.identity_id.push('x');
        assert!(budget.reserve(&link, &carried(LARGE), None).is_some());
        let text = SourceText::fields(vec![b'x'; LARGE], b',');
        assert!(budget.reserve(&link, &[], Some(&text)).is_some());
    }

    #[test]
    fn a_row_waits_for_free_memory_and_one_beyond_the_budget_passes_alone() {
        let budget = MemoryBudget::new(5 * LARGE);
        let link = Link::default();
        let first = budget.reserve(&link, &carried(3 * LARGE), None);
        let second = budget.reserve(&link, &carried(2 * LARGE), None);
        let (sender, passed) = sync_channel(1);
        let waiting = {
            let budget = budget.clone();
            thread::spawn(move || {
                let beyond = budget.reserve(&Link::default(), &carried(9 * LARGE), None);
                sender.send(()).expect("the receiver is open");
                beyond
            })
        };
        drop(first);
        // A part of the budget is free, not all of it.
        assert!(passed.try_recv().is_err());
        drop(second);
        passed.recv().expect("it passes");
        let beyond = waiting.join().expect("no panic").expect("it is large");
        assert_eq!(beyond.bytes, 5 * LARGE);
        drop(beyond);
        assert_eq!(*budget.0.free.lock().expect("not poisoned"), 5 * LARGE);
    }
}
