use std::fs;
use std::os::unix::fs::FileExt;

use super::header::TAIL_BYTES;
use super::slot::{Slot, checksum};
use super::*;
use crate::row::RowKey;

fn mark() -> Mark {
    Mark {
        key: RowKey(7),
        since: 0x00ff_1234_5678_9abc,
    }
}

fn holder() -> LockHolder {
    LockHolder {
        pid: u32::MAX,
        host: "h".repeat(64),
        started: "2026-11-23T09:30:00Z".into(),
        run_id: "20261123T093000Z-5f3a9c-local".into(),
    }
}

fn header(slots: usize) -> Header {
    Header {
        version: VERSION,
        holder: holder(),
        key: format!("{:032x}", u128::MAX),
        slots,
        boot: "b".repeat(32),
        device: u64::MAX,
        inode: u64::MAX,
        length: u64::MAX,
        tail: "f".repeat(32),
        doubt: true,
        check: String::new(),
    }
}

fn marks_of(bytes: &[u8], boot: &str) -> Vec<u128> {
    let run = InterruptedRun::of_bytes(bytes, boot).expect("it is of this version");
    assert_eq!(run.doubt, None);
    run.marks.iter().map(|mark| mark.key.0).collect()
}

#[test]
fn the_longest_header_fits() {
    let mut header = header(usize::MAX);
    assert_eq!(header.to_bytes().expect("it fits").len(), HEADER_BYTES);
    header.holder.run_id = "r".repeat(HEADER_BYTES);
    header.to_bytes().expect_err("a longer one is refused");
}

#[test]
fn a_slot_reads_back_and_any_changed_bit_is_damage() {
    assert_eq!(Slot::of(&[0; SLOT_BYTES]), Slot::Empty);
    for state in [MarkState::Reserved, MarkState::Sent] {
        let whole = mark().to_slot(state);
        assert_eq!(Slot::of(&whole), Slot::Marked(mark(), state));
        for bit in 0..SLOT_BYTES * 8 {
            let mut changed = whole;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::of(&changed), Slot::Damaged, "{bit}");
        }
        for cut in 1..SLOT_BYTES {
            let mut torn = [0; SLOT_BYTES];
            torn[..cut].copy_from_slice(&whole[..cut]);
            assert_eq!(Slot::of(&torn), Slot::Damaged, "{cut}");
        }
    }
}

#[test]
fn after_another_boot_a_reserved_row_may_have_been_sent() {
    let header = Header {
        doubt: false,
        ..header(2)
    };
    let mut bytes = header.to_bytes().expect("it fits");
    for (key, state) in [(1, MarkState::Reserved), (2, MarkState::Sent)] {
        let key = RowKey(key);
        bytes.extend(Mark { key, since: 0 }.to_slot(state));
    }
    assert_eq!(marks_of(&bytes, &header.boot), [2]);
    assert_eq!(marks_of(&bytes, &"c".repeat(32)), [1, 2]);
    // A system without boot ids may have been booted again.
    assert_eq!(marks_of(&bytes, ""), [1, 2]);
}

#[test]
fn a_side_file_of_version_1_is_still_read() {
    let head = format!(
        r#"{{"version":1,"pid":9,"host":"h","started":"2026-11-23T09:30:00Z","run_id":"r","key":"{:032x}"}}"#,
        5
    );
    let mut bytes = head.into_bytes();
    bytes.resize(HEADER_BYTES - 1, b' ');
    bytes.push(b'\n');
    let mut slot = [0; SLOT_BYTES];
    slot[..16].copy_from_slice(&7_u128.to_le_bytes());
    slot[16..24].copy_from_slice(&40_u64.to_le_bytes());
    let check = checksum(&slot[..24]);
    slot[24..].copy_from_slice(&check.to_le_bytes());
    bytes.extend(slot);
    // Empty, and torn: its attempt had not started.
    bytes.extend([0; SLOT_BYTES]);
    bytes.extend([&slot[..9], &[0; SLOT_BYTES - 9]].concat());
    let run = InterruptedRun::of_bytes(&bytes, "boot").expect("version 1 is known");
    assert_eq!(run.key, Some(5_u128.to_le_bytes()));
    assert_eq!((run.doubt, run.origin), (None, None));
    let marks: Vec<_> = run.marks.iter().map(|m| (m.key.0, m.since)).collect();
    assert_eq!(marks, [(7, 40)]);
    // A damaged version number does not make version 2 pass for version 1.
    let text = header(1).to_bytes().expect("it fits");
    let text = String::from_utf8_lossy(&text).replacen(":2", ":1", 1);
    let run = InterruptedRun::of_bytes(text.as_bytes(), "boot");
    assert!(run.is_ok_and(|run| run.doubt.is_some()));
    // Without the key no mark can be matched with a row.
    let text = String::from_utf8_lossy(&bytes).replacen("\"key\"", "\"kez\"", 1);
    let run = InterruptedRun::of_bytes(text.as_bytes(), "boot");
    assert!(run.is_ok_and(|run| run.doubt.is_some()));
}

#[test]
fn the_tail_hash_covers_the_last_bytes_up_to_a_length() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let bytes: Vec<u8> = (0..=255).cycle().take(6000).collect();
    fs::write(file.path(), &bytes).expect("written");
    let of = |length| hash_of_tail(file.as_file(), length).expect("read");
    let (before, empty) = (of(5000), of(0));
    assert_ne!(before, of(5001));
    // Bytes after the length do not count, nor bytes far before it.
    file.as_file().write_all_at(b"x", 5000).expect("written");
    file.as_file()
        .write_all_at(b"x", 5000 - TAIL_BYTES - 1)
        .expect("written");
    assert_eq!((of(5000), of(0)), (before.clone(), empty));
    file.as_file().write_all_at(b"x", 4999).expect("written");
    assert_ne!(of(5000), before);
    hash_of_tail(file.as_file(), 6001).expect_err("the file is shorter");
}
