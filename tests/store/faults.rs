//! One failure at a time, where it hurts most: what ended stays away, what was refused is not found, what is safe is.

use std::collections::BTreeMap;

use crate::store_support::{Disk, Fault, Random};
use mgos_mqtt::store::{MakeSafe, Message, Options, Outcome, Store, Stored};

const ACKED: Outcome = Outcome { kind: 0, detail: 0 };
const WRITTEN: MakeSafe = MakeSafe { messages: false, state: false };

fn body(token: u64) -> Vec<u8> {
    let payload = vec![token as u8; 100];
    let message = Message { topic: b"a/topic", payload: &payload, qos: 1, ..Message::default() };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    body
}

fn options() -> Options {
    Options { segment_bytes: 1000, snapshot_bytes: 300, ..Options::default() }
}

fn open(disk: &Disk) -> Store {
    Store::open(disk.folder(), options()).unwrap()
}

/// A new store, and its first token.
fn new() -> (Disk, Store, u64) {
    let disk = Disk::new();
    let mut store = open(&disk);
    let first = store.reserve_tokens().start;
    commit(&mut store);
    (disk, store, first)
}

fn append(store: &mut Store, token: u64) {
    store.append(0, token, &body(token)).unwrap();
}

fn commit(store: &mut Store) {
    let failed = store.commit(MakeSafe::ALL);
    assert!(failed.is_ok(), "{failed:?}");
}

/// The tokens of the messages that wait.
fn there(store: &mut Store) -> Vec<u64> {
    let mut out = Vec::<Stored>::new();
    while store.read(0, out.last().map_or(0, |m| m.id), 5, 500, &mut out).unwrap() {}
    assert!(out.iter().all(|message| message.body == body(message.id)));
    assert_eq!(store.waiting(0), out.len() as u64);
    out.into_iter().map(|message| message.id).collect()
}

/// Syncing fails from now on, for so many operations of any kind.
fn fail_syncs(disk: &Disk, operations: u64) {
    disk.fail(Some(Fault::Sync(disk.operations() + 1, operations)));
}

fn segments(disk: &Disk) -> BTreeMap<String, Vec<u8>> {
    disk.files().into_iter().filter(|(name, _)| name.ends_with(".seg")).collect()
}

#[test]
fn a_message_that_ended_before_it_was_written_is_not_there() {
    let (disk, mut store, first) = new();
    append(&mut store, first);
    append(&mut store, first + 1);
    store.end(0, first, ACKED).unwrap();
    commit(&mut store);
    assert_eq!(there(&mut store), [first + 1]);
    // Its writing fails, and it is tried again.
    append(&mut store, first + 2);
    append(&mut store, first + 3);
    store.end(0, first + 2, ACKED).unwrap();
    disk.fail(Some(Fault::Error(disk.operations() + 1)));
    assert!(!store.commit(WRITTEN).is_ok());
    disk.fail(None);
    append(&mut store, first + 2);
    append(&mut store, first + 3);
    commit(&mut store);
    assert_eq!(there(&mut store), [first + 1, first + 3]);
    // The state is written anew: it still says so.
    for n in 0..20 {
        store.note(1, b"name", Some(&[n; 60])).unwrap();
        commit(&mut store);
    }
    drop(store);
    for kept in 0..4 {
        assert_eq!(there(&mut open(&disk.crash(&mut Random(kept)))), [first + 1, first + 3]);
    }
}

#[test]
fn a_message_that_ended_stays_away_however_often_syncing_fails() {
    let (disk, mut store, first) = new();
    append(&mut store, first);
    commit(&mut store);
    append(&mut store, first + 1);
    assert!(store.commit(WRITTEN).is_ok());
    store.end(0, first + 1, ACKED).unwrap();
    assert!(store.commit(MakeSafe { messages: false, state: true }).is_ok());
    for n in 0..3 {
        fail_syncs(&disk, 2);
        if n > 0 {
            // It is lost, and tried again.
            append(&mut store, first + 1);
        }
        append(&mut store, first + 2);
        assert!(!store.commit(MakeSafe { messages: true, state: false }).is_ok());
        disk.fail(None);
        assert_eq!(there(&mut store), [first]);
        // Also when the state is written anew, and the power goes before anything else is safe.
        for n in 0..20 {
            store.note(1, b"name", Some(&[n; 60])).unwrap();
            assert!(store.commit(MakeSafe { messages: false, state: true }).is_ok());
        }
        for kept in 0..8 {
            let mut store = open(&disk.crash(&mut Random(kept)));
            let mut out = Vec::<Stored>::new();
            while store.read(0, out.last().map_or(0, |m| m.id), 5, 500, &mut out).unwrap() {}
            assert!(out.iter().all(|message| message.id != first + 1), "kept {kept}");
        }
    }
    append(&mut store, first + 1);
    append(&mut store, first + 2);
    commit(&mut store);
    assert_eq!(there(&mut store), [first, first + 2]);
}

#[test]
fn what_was_safe_is_read_although_syncing_failed_after_opening() {
    let (disk, mut store, first) = new();
    for token in first..first + 3 {
        append(&mut store, token);
        commit(&mut store);
    }
    drop(store);
    let mut store = open(&disk);
    append(&mut store, first + 5);
    fail_syncs(&disk, 4);
    assert!(!store.commit(MakeSafe::ALL).is_ok());
    disk.fail(None);
    assert_eq!(there(&mut store), [first, first + 1, first + 2]);
    commit(&mut store);
    drop(store);
    assert_eq!(there(&mut open(&disk)), [first, first + 1, first + 2]);
}

#[test]
fn what_failed_is_not_found_after_a_restart() {
    // With and without the space to say so at once.
    for is_full in [false, true] {
        let (disk, mut store, first) = new();
        append(&mut store, first);
        commit(&mut store);
        append(&mut store, first + 1);
        fail_syncs(&disk, 4);
        if is_full {
            // Room for the message and nothing else.
            disk.set_space(Some(disk.used() + body(first + 1).len() as u64 + 14));
        }
        assert!(!store.commit(MakeSafe { messages: true, state: false }).is_ok());
        disk.fail(None);
        disk.set_space(None);
        assert_eq!(there(&mut store), [first]);
        if is_full {
            store.close().unwrap();
        } else {
            drop(store);
        }
        let mut store = open(&disk);
        assert_eq!(there(&mut store), [first], "full: {is_full}");
        append(&mut store, first + 1);
        commit(&mut store);
        drop(store);
        let mut store = open(&disk.crash(&mut Random(1)));
        assert_eq!(there(&mut store), [first, first + 1]);
        assert_eq!(store.take_losses(), []);
    }
}

#[test]
fn a_state_whose_name_cannot_be_made_safe_is_followed_by_another() {
    let (disk, store, _) = new();
    drop(store);
    let files = disk.files();
    let mut failed = 0;
    for at in 1..40 {
        let disk = Disk::with(&files);
        let mut store = open(&disk);
        store.note(1, b"name", Some(&[1; 400])).unwrap();
        commit(&mut store);
        disk.fail(Some(Fault::Sync(disk.operations() + at, 1)));
        // It has grown: what follows is a new one.
        store.note(1, b"name", Some(&[2; 400])).unwrap();
        failed += usize::from(!store.commit(MakeSafe::ALL).is_ok());
        disk.fail(None);
        store.note(1, b"name", Some(b"3")).unwrap();
        let tokens = store.reserve_tokens();
        commit(&mut store);
        drop(store);
        for disk in [disk.crash(&mut Random(at)), disk] {
            let mut store = open(&disk);
            assert_eq!(store.notes(1).collect::<Vec<_>>(), [(&b"name"[..], &b"3"[..])], "at {at}");
            assert!(store.next_token() >= tokens.end, "at {at}");
            assert_eq!(store.take_losses(), [], "at {at}");
            let states = disk.files().keys().filter(|name| name.starts_with("state-")).count();
            assert_eq!(states, 1);
        }
    }
    assert!(failed >= 1, "{failed}");
}

/// The state that is written anew says nothing of a segment that was removed, so that has to be gone by then.
#[test]
fn a_segment_that_was_removed_does_not_come_back_with_a_new_state() {
    for at in 1..12 {
        for kept in 0..40 {
            let (disk, mut store, first) = new();
            for token in first..first + 10 {
                append(&mut store, token);
                commit(&mut store);
            }
            let files = store.segments(0);
            for token in first..first + 8 {
                store.end(0, token, ACKED).unwrap();
            }
            // The state has grown by so much that the next one is a new one.
            store.note(1, b"name", Some(&[1; 400])).unwrap();
            commit(&mut store);
            assert!(store.segments(0) < files);
            disk.fail(Some(Fault::PowerCut(disk.operations() + at)));
            store.commit(MakeSafe::ALL);
            drop(store);
            let mut store = open(&disk.crash(&mut Random(kept)));
            assert_eq!(there(&mut store), [first + 8, first + 9], "at {at}, kept {kept}");
        }
    }
}

#[test]
fn what_a_torn_segment_has_no_more_is_said_of_no_other() {
    let (disk, mut store, first) = new();
    for token in first..first + 12 {
        append(&mut store, token);
        commit(&mut store);
    }
    drop(store);
    // The last message is torn.
    let mut files = disk.files();
    let last = segments(&disk).keys().next_back().unwrap().clone();
    assert!(segments(&disk).len() > 1);
    let bytes = files.get_mut(&last).unwrap();
    bytes.truncate(bytes.len() - 3);
    let disk = Disk::with(&files);
    let mut store = open(&disk);
    assert_eq!(there(&mut store), (first..first + 11).collect::<Vec<_>>());
    store.take_losses();
    append(&mut store, first + 12);
    commit(&mut store);
    // It was reported: not once more when it is opened and read again.
    let mut again = open(&Disk::with(&disk.files()));
    assert_eq!(there(&mut again), (first..first + 11).chain([first + 12]).collect::<Vec<_>>());
    assert_eq!(again.take_losses(), []);
    // All of the torn segment is through.
    let begin = u64::from_str_radix(&last[3..19], 16).unwrap();
    for token in begin..first + 11 {
        store.end(0, token, ACKED).unwrap();
    }
    commit(&mut store);
    assert!(!disk.files().contains_key(&last));
    drop(store);
    let expected: Vec<u64> = (first..begin).chain([first + 12]).collect();
    for _ in 0..2 {
        let mut store = open(&disk);
        assert_eq!(there(&mut store), expected);
        assert_eq!(store.take_losses(), []);
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_what_is_in_it() {
    let (disk, mut store, first) = new();
    for token in first..first + 30 {
        append(&mut store, token);
        commit(&mut store);
    }
    for n in 0..3 {
        store.note(1, &[n], Some(&[n; 400])).unwrap();
    }
    store.close().unwrap();
    let files = disk.files();
    for (name, bytes) in files.iter().filter(|(name, bytes)| bytes.len() > 512 || *name == "clean") {
        for sector in 0..bytes.len().div_ceil(512) {
            let disk = Disk::with(&files);
            disk.break_sector(name, sector);
            let what = format!("sector {sector} of {name}");
            let mut store = Store::open(disk.folder(), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = there(&mut store);
            let most = if name.ends_with(".seg") { 512 / 128 + 2 } else { 0 };
            assert!(found.len() + most >= 30, "{what}: {found:?}");
            let losses = store.take_losses();
            assert!(!losses.is_empty() && losses.iter().all(|loss| loss.file == *name), "{what}: {losses:?}");
            while store.maintain().unwrap() {}
            commit(&mut store);
            assert_eq!(there(&mut store), found, "{what}");
        }
    }
    // A file of which nothing can be read is no empty file: the store says so, and changes nothing.
    let (name, bytes) = segments(&disk).into_iter().next_back().unwrap();
    let disk = Disk::with(&files);
    for sector in 0..=bytes.len() / 512 {
        disk.break_sector(&name, sector);
    }
    let error = Store::open(disk.folder(), options()).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot read {name} of the store in the disk of the test: ")), "{error}");
    assert_eq!(disk.files(), files);
}

/// A store that is worth compacting, and what waits in it.
fn sparse() -> (Disk, Store, Vec<u64>) {
    let (disk, mut store, first) = new();
    for token in first..first + 60 {
        append(&mut store, token);
        commit(&mut store);
    }
    for token in (first..first + 60).filter(|token| token % 12 != 0) {
        store.end(0, token, ACKED).unwrap();
    }
    commit(&mut store);
    let waiting = there(&mut store);
    assert!(store.segments(0) > 3);
    (disk, store, waiting)
}

#[test]
fn compaction_that_fails_damages_nothing() {
    let (disk, mut store, waiting) = sparse();
    let before = disk.operations();
    while store.maintain().unwrap() {}
    let operations = disk.operations() - before;
    assert!(operations > 6, "{operations}");
    let mut failed = 0;
    for at in 1..=operations {
        for is_sync in [false, true] {
            let (disk, mut store, _) = sparse();
            let at = disk.operations() + at;
            disk.fail(Some(if is_sync { Fault::Sync(at, 1) } else { Fault::Error(at) }));
            let mut result = store.maintain();
            while let Ok(true) = result {
                result = store.maintain();
            }
            failed += usize::from(result.is_err());
            disk.fail(None);
            let what = format!("operation {at}, sync: {is_sync}");
            assert_eq!(there(&mut store), waiting, "{what}");
            // Some of it ends before it is tried again.
            store.end(0, waiting[0], ACKED).unwrap();
            commit(&mut store);
            for disk in [disk.crash(&mut Random(at)), Disk::with(&disk.files())] {
                let mut store = open(&disk);
                assert_eq!(there(&mut store), waiting[1..], "{what}: opened again");
                assert_eq!(store.take_losses(), [], "{what}: opened again");
            }
            while store.maintain().unwrap() {}
            assert_eq!(there(&mut store), waiting[1..], "{what}: tried again");
            assert_eq!(store.take_losses(), [], "{what}");
            drop(store);
            let mut store = open(&disk.crash(&mut Random(at)));
            assert_eq!(there(&mut store), waiting[1..], "{what}: after a power cut");
            assert_eq!(store.take_losses(), [], "{what}");
        }
    }
    assert!(failed > 4, "{failed}");
}

/// The new segment has its name and the folder could not be made safe; then all it has but one message ends, and what ended is
/// forgotten by a snapshot. The files that it took the place of must not be found again.
#[test]
fn what_a_failed_compaction_has_replaced_stays_away() {
    let (disk, mut store, _) = sparse();
    let before = disk.operations();
    while store.maintain().unwrap() {}
    let operations = disk.operations() - before;
    for at in 1..=operations {
        let (disk, mut store, waiting) = sparse();
        disk.fail(Some(Fault::Sync(disk.operations() + at, 1)));
        while let Ok(true) = store.maintain() {}
        disk.fail(None);
        for token in &waiting[1..] {
            store.end(0, *token, ACKED).unwrap();
        }
        commit(&mut store);
        for n in 0..200 {
            store.note(1, &[n], Some(&[n; 1000])).unwrap();
            commit(&mut store);
        }
        assert_eq!(there(&mut store), waiting[..1], "operation {at}");
        for disk in [disk.crash(&mut Random(at)), Disk::with(&disk.files())] {
            let mut store = open(&disk);
            assert_eq!(there(&mut store), waiting[..1], "operation {at}: opened again");
            assert_eq!(store.waiting(0), 1, "operation {at}: opened again");
        }
    }
}

#[test]
fn tokens_that_lie_far_apart_can_be_compacted() {
    let (disk, mut store, first) = new();
    // So many side by side, and then the next far away.
    let far = |n: u64| first + (n / 25) * (1 << 33) + n % 25;
    for n in 0..100 {
        append(&mut store, far(n));
        commit(&mut store);
    }
    for n in (0..100).filter(|n| n % 8 != 0) {
        store.end(0, far(n), ACKED).unwrap();
    }
    commit(&mut store);
    let files = store.segments(0);
    while store.maintain().unwrap() {}
    assert!(store.segments(0) < files);
    let expected: Vec<u64> = (0..100).step_by(8).map(far).collect();
    assert_eq!(there(&mut store), expected);
    drop(store);
    assert_eq!(there(&mut open(&disk)), expected);
}

/// A segment by itself, of which every other message ended.
#[test]
fn a_segment_full_of_holes_is_written_anew() {
    let disk = Disk::new();
    let options = || Options { segment_bytes: 400_000, ..Options::default() };
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let first = store.reserve_tokens().start;
    for token in first..first + 4_000 {
        append(&mut store, token);
        if token % 64 == 0 {
            commit(&mut store);
        }
    }
    commit(&mut store);
    assert!(!store.maintain().unwrap());
    for token in (first..first + 4_000).step_by(2) {
        store.end(0, token, ACKED).unwrap();
    }
    commit(&mut store);
    let (waiting, bytes) = (store.waiting(0), store.bytes(0));
    assert!(store.maintain().unwrap());
    while store.maintain().unwrap() {}
    assert!(store.bytes(0) < bytes * 3 / 4);
    assert_eq!(there(&mut store).len() as u64, waiting);
    store.close().unwrap();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    assert_eq!(there(&mut store), (first + 1..first + 4_000).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_middle_segment_without_its_header_is_not_passed_over_in_silence() {
    let (disk, mut store, first) = new();
    for token in first..first + 30 {
        append(&mut store, token);
        commit(&mut store);
    }
    drop(store);
    let files = disk.files();
    let all = segments(&disk);
    assert!(all.len() > 3);
    for name in all.keys().take(all.len() - 1) {
        for len in [0, 1, 63, 64] {
            let mut files = files.clone();
            files.get_mut(name).unwrap().truncate(len);
            let disk = Disk::with(&files);
            let mut store = open(&disk);
            let losses = store.take_losses();
            assert!(losses.iter().any(|loss| loss.file == *name), "{name} with {len} bytes: {losses:?}");
            commit(&mut store);
            let kept = disk.files().contains_key(&format!("lost-{name}"));
            assert!(kept, "{name} with {len} bytes: {:?}", disk.files().keys());
        }
    }
    // Of the last one that is what a power cut leaves.
    let name = all.keys().next_back().unwrap();
    let mut files = files;
    files.get_mut(name).unwrap().clear();
    assert_eq!(open(&Disk::with(&files)).take_losses(), []);
}

#[test]
fn names_with_numbers_that_are_not_given_are_somebody_elses() {
    let (disk, mut store, first) = new();
    append(&mut store, first);
    commit(&mut store);
    drop(store);
    let mut files = disk.files();
    let foreign = [
        "state-ffffffffffffffff",
        "00-ffffffffffffffff.seg",
        "00-4000000000000000.seg",
        "ff-0000000000000001.seg",
    ];
    for name in foreign {
        files.insert(name.to_owned(), vec![7; 100]);
    }
    let disk = Disk::with(&files);
    let mut store = open(&disk);
    assert_eq!(there(&mut store), [first]);
    assert_eq!(store.take_losses(), []);
    assert!(foreign.iter().all(|name| disk.files().contains_key(*name)));
}

#[test]
fn tokens_that_do_not_ascend_are_refused() {
    let (_disk, mut store, first) = new();
    append(&mut store, first + 9);
    let error = store.append(0, first + 5, &body(first + 5)).unwrap_err().to_string();
    let words = format!("token {} was appended after token {}", first + 5, first + 9);
    assert!(error.starts_with(&words), "{error}");
}
