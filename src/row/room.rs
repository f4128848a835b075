//! Room in memory for rows that carry much. Ordinary rows are bounded by their number alone, and take none.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Carried, Link};

/// Bytes of large rows in memory at once, from reading to record: 64 MiB. Doubled, a run of rows that carry megabytes takes twice the
/// memory; halved, fewer of them can be in flight. One row that is larger than that passes alone.
pub const ROOM: usize = 64 << 20;

/// A row of more bytes than this is a large one. Some 1,500 smaller ones at once take 24 MiB at most.
const LARGE: usize = 16 << 10;

/// The room that the large rows of a run share.
#[derive(Debug, Clone)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

/// What a large row takes of a [`Room`], until it is dropped.
#[derive(Debug)]
pub struct Taken {
    room: Room,
    bytes: usize,
}

impl Room {
    /// Returns an empty room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared {
            bytes,
            free: Mutex::new(bytes),
            freed: Condvar::new(),
        }))
    }

    /// Waits until there is room for a row, which takes none unless it is large.
    #[must_use]
    pub fn take(&self, link: &Link, carried: &[Carried]) -> Option<Taken> {
        let bytes = size(link, carried);
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
        Some(Taken {
            room: self.clone(),
            bytes,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let shared = &self.room.0;
        *shared.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        shared.freed.notify_all();
    }
}

/// Bytes of what a row holds.
fn size(link: &Link, carried: &[Carried]) -> usize {
    let Link {
        identity_id,
        identity_pool_id,
        developer_provider_name,
        developer_user_identifier,
    } = link;
    let fields = [
        identity_id,
        identity_pool_id,
        developer_provider_name,
        developer_user_identifier,
    ];
    let fields: usize = fields.map(String::len).iter().sum();
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
    fn ordinary_rows_take_no_room() {
        let room = Room::new(0);
        let mut link = Link::default();
        assert!(room.take(&link, &carried(LARGE)).is_none());
        link.identity_id.push('x');
        assert!(room.take(&link, &carried(LARGE)).is_some());
    }

    #[test]
    fn a_row_waits_for_room_and_one_beyond_it_passes_alone() {
        let room = Room::new(5 * LARGE);
        let link = Link::default();
        let first = room.take(&link, &carried(3 * LARGE));
        let second = room.take(&link, &carried(2 * LARGE));
        let (tell, told) = sync_channel(1);
        let waiting = {
            let room = room.clone();
            thread::spawn(move || {
                let beyond = room.take(&Link::default(), &carried(9 * LARGE));
                tell.send(()).expect("heard");
                beyond
            })
        };
        drop(first);
        // Part of the room is free, and not all of it.
        assert!(told.try_recv().is_err());
        drop(second);
        told.recv().expect("it passes");
        let beyond = waiting.join().expect("no panic").expect("it is large");
        assert_eq!(beyond.bytes, 5 * LARGE);
        drop(beyond);
        assert_eq!(*room.0.free.lock().expect("whole"), 5 * LARGE);
    }
}
