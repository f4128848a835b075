use super::*;

fn mark() -> Mark {
    Mark {
        key: RowKey(7),
        since: 0x00ff_1234_5678_9abc,
    }
}

fn holder() -> Holder {
    Holder {
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
    let left = LeftBehind::of_bytes(bytes, boot);
    let left = left.unwrap_or_else(|_| panic!("it is of this version"));
    assert_eq!(left.doubt, None);
    left.marks.iter().map(|mark| mark.key.0).collect()
}

#[test]
fn the_longest_header_fits() {
    let mut header = header(usize::MAX);
    assert_eq!(header.to_bytes().expect("it fits").len(), HEADER);
    header.holder.run_id = "r".repeat(HEADER);
    header.to_bytes().expect_err("and a longer one is not cut");
}

#[test]
fn a_slot_is_read_as_it_was_written_and_any_change_is_found() {
    assert_eq!(Slot::of(&[0; SLOT]), Slot::Empty);
    for stage in [Stage::Reserved, Stage::Sent] {
        let whole = mark().to_slot(stage);
        assert_eq!(Slot::of(&whole), Slot::Marked(mark(), stage));
        for bit in 0..SLOT * 8 {
            let mut changed = whole;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::of(&changed), Slot::Damaged, "{bit}");
        }
        for cut in 1..SLOT {
            let mut torn = [0; SLOT];
            torn[..cut].copy_from_slice(&whole[..cut]);
            assert_eq!(Slot::of(&torn), Slot::Damaged, "{cut}");
        }
    }
}

#[test]
fn after_a_restart_of_the_system_what_was_reserved_may_have_been_sent() {
    let header = Header {
        doubt: false,
        ..header(2)
    };
    let mut bytes = header.to_bytes().expect("it fits");
    for (key, stage) in [(1, Stage::Reserved), (2, Stage::Sent)] {
        let key = RowKey(key);
        bytes.extend(Mark { key, since: 0 }.to_slot(stage));
    }
    assert_eq!(marks_of(&bytes, &header.boot), [2]);
    assert_eq!(marks_of(&bytes, &"c".repeat(32)), [1, 2]);
    // A system that does not tell its starts apart may have been started again.
    assert_eq!(marks_of(&bytes, ""), [1, 2]);
}

#[test]
fn a_side_file_of_version_1_is_read_as_ever() {
    let head = format!(
        r#"{{"version":1,"pid":9,"host":"h","started":"2026-11-23T09:30:00Z","run_id":"r","key":"{:032x}"}}"#,
        5
    );
    let mut bytes = head.into_bytes();
    bytes.resize(HEADER - 1, b' ');
    bytes.push(b'\n');
    let mut slot = [0; SLOT];
    slot[..16].copy_from_slice(&7_u128.to_le_bytes());
    slot[16..24].copy_from_slice(&40_u64.to_le_bytes());
    let check = checksum(&slot[..24]);
    slot[24..].copy_from_slice(&check.to_le_bytes());
    bytes.extend(slot);
    // Empty, and torn: its attempt had not started.
    bytes.extend([0; SLOT]);
    bytes.extend([&slot[..9], &[0; SLOT - 9]].concat());
    let left = LeftBehind::of_bytes(&bytes, "boot");
    let left = left.unwrap_or_else(|_| panic!("it is known"));
    assert_eq!(left.key, Some(5_u128.to_le_bytes()));
    assert_eq!((left.doubt, left.origin), (None, None));
    let marks: Vec<_> = left.marks.iter().map(|m| (m.key.0, m.since)).collect();
    assert_eq!(marks, [(7, 40)]);
    // One of ours in which the version is damaged is none of those.
    let text = header(1).to_bytes().expect("it fits");
    let text = String::from_utf8_lossy(&text).replacen(":2", ":1", 1);
    let left = LeftBehind::of_bytes(text.as_bytes(), "boot");
    assert!(left.is_ok_and(|left| left.doubt.is_some()));
    // Without a key nobody is known by it.
    let text = String::from_utf8_lossy(&bytes).replacen("\"key\"", "\"kez\"", 1);
    let left = LeftBehind::of_bytes(text.as_bytes(), "boot");
    assert!(left.is_ok_and(|left| left.doubt.is_some()));
}

#[test]
fn a_hash_is_of_the_last_bytes_up_to_a_length() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let bytes: Vec<u8> = (0..=255).cycle().take(6000).collect();
    fs::write(file.path(), &bytes).expect("written");
    let of = |length| tail(file.as_file(), length).expect("read");
    let (before, empty) = (of(5000), of(0));
    assert_ne!(before, of(5001));
    // What is appended later does not count, nor what is far before.
    file.as_file().write_all_at(b"x", 5000).expect("written");
    file.as_file()
        .write_all_at(b"x", 5000 - TAIL - 1)
        .expect("written");
    assert_eq!((of(5000), of(0)), (before.clone(), empty));
    file.as_file().write_all_at(b"x", 4999).expect("written");
    assert_ne!(of(5000), before);
    tail(file.as_file(), 6001).expect_err("there is no more");
}
