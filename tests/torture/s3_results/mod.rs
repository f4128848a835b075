//! Worlds whose results are in S3: processes that are killed, stopped until another has taken over, and started beside each other,
//! over a network that loses replies, until the job is done. In the end the store, the emulator's log of calls and the merged results
//! must agree. Several worlds are played at once, since most of their time is silence before a take-over.

mod checks;
mod counts;
mod people;
#[path = "../../s3/mod.rs"]
mod s3;
mod segments;
mod stores;
mod world;

use std::path::Path;
use std::thread;

pub(crate) use counts::S3Counts;
use stores::Store;
pub(crate) use stores::StoreKind;

/// Worlds of a round.
const WORLDS: u64 = 4;

/// Plays a round on a store of this kind, and returns its numbers.
pub(crate) fn run(seed: u64, kind: StoreKind, venv: Option<&Path>) -> Result<S3Counts, String> {
    let store = Store::start(kind, venv)?;
    let played: Vec<_> = thread::scope(|scope| {
        let worlds: Vec<_> = (0..WORLDS)
            .map(|nth| {
                let store = &store;
                scope.spawn(move || world::play(seed, nth, store))
            })
            .collect();
        let join = |world: thread::ScopedJoinHandle<'_, _>| world.join().expect("no panic");
        worlds.into_iter().map(join).collect()
    });
    let (mut sum, mut wrong) = (S3Counts::default(), Vec::new());
    for world in played {
        match world {
            Ok(counts) => sum.add(&counts),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() {
        Ok(sum)
    } else {
        Err(wrong.join("\n\n"))
    }
}
