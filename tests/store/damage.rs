//! A damaged store: every byte flipped, every block zeroed, every file cut off everywhere. All messages that are not hit are
//! found, what is hit is reported, and no message is ever another than it was.

use std::collections::BTreeMap;

use crate::store_support::{Disk, Random};
use mgos_mqtt::store::{
    Cause, Cipher, Fate, Kind, Loss, MakeSafe, Message, Options, Outcome, Position, Store, Stored,
};

const ACKED: Outcome = Outcome { kind: 0, detail: 0 };

fn body(token: u64) -> Vec<u8> {
    let payload = vec![token as u8; 12 + (token % 20) as usize];
    let message = Message { topic: b"a/topic", payload: &payload, qos: 1, ..Message::default() };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    body
}

fn options(cipher: Option<Box<dyn Cipher>>) -> Options {
    Options { segment_bytes: 400, outcome_history: 50, cipher, ..Options::default() }
}

/// A store with some segments in two classes, some messages that ended, and one that was compacted.
fn make(cipher: Option<fn() -> Box<dyn Cipher>>, close: bool) -> (Disk, BTreeMap<u64, u8>) {
    make_with(options(cipher.map(|new| new())), close)
}

fn make_with(options: Options, close: bool) -> (Disk, BTreeMap<u64, u8>) {
    let disk = Disk::new();
    let mut store = Store::open(disk.folder(), options).unwrap();
    let first = store.reserve_tokens().start;
    let mut all = BTreeMap::new();
    for token in first..first + 60 {
        let class = (token % 3 == 0) as u8;
        store.append(class, token, &body(token)).unwrap();
        all.insert(token, class);
        if token % 4 == 3 {
            assert!(store.commit(MakeSafe::ALL).is_ok());
        }
    }
    assert!(store.commit(MakeSafe::ALL).is_ok());
    for token in first..first + 40 {
        if token % 11 != 0 {
            store.end(all[&token], token, ACKED).unwrap();
            all.remove(&token);
        }
    }
    store.identify(first + 50, 77);
    store.receive(9, true);
    store.note(1, b"", Some(b"something else that is kept")).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    assert!(store.maintain().unwrap(), "something is compacted");
    while store.maintain().unwrap() {}
    assert!(store.commit(MakeSafe::ALL).is_ok());
    if close {
        store.close().unwrap();
    }
    (disk, all)
}

fn drain(store: &mut Store, losses: &mut Vec<Loss>) -> BTreeMap<u64, u8> {
    let mut all = BTreeMap::new();
    for class in 0..2 {
        let mut out = Vec::<Stored>::new();
        while store.read(class, out.last().map_or(0, |m| m.id), 5, 1000, &mut out).unwrap() {}
        for message in out {
            assert_eq!(message.body, body(message.id), "message {} is another one", message.id);
            assert_eq!(all.insert(message.id, class), None);
        }
    }
    losses.extend(store.take_losses());
    all
}

/// Opens a store with this damage: how many of its messages are missing. It is used, emptied, and opened again.
fn examine(
    files: &BTreeMap<String, Vec<u8>>,
    all: &BTreeMap<u64, u8>,
    cipher: Option<fn() -> Box<dyn Cipher>>,
    hit: &str,
    (what, is_repaired): (&str, bool),
) -> usize {
    let disk = Disk::with(files);
    let new = || cipher.map(|new| new());
    let mut store =
        Store::open(disk.folder(), options(new())).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut losses = Vec::new();
    let there = drain(&mut store, &mut losses);
    assert!(!losses.is_empty(), "{what} is not reported");
    assert!(losses.iter().all(|loss| loss.file == hit), "{what} is reported as {losses:?}");
    if !hit.starts_with("state") {
        let others = there.keys().find(|token| !all.contains_key(token));
        assert_eq!(others, None, "{what}: came back");
    }
    let missing = all.keys().filter(|token| !there.contains_key(token)).count();
    // It works on, and once it is repaired nothing is found any more.
    if is_repaired {
        store.repair().unwrap();
        assert!(store.commit(MakeSafe::ALL).is_ok());
        let again = drain(&mut store, &mut Vec::new());
        assert_eq!(again, there, "{what}: after it was repaired");
        let copy = Disk::with(&disk.files());
        let mut repaired = Store::open(copy.folder(), options(new())).unwrap();
        let mut left = Vec::new();
        assert_eq!(drain(&mut repaired, &mut left), there, "{what}: after it was repaired and opened");
        assert_eq!(left, [], "{what}: after it was repaired");
    }
    let token = store.reserve_tokens().start;
    assert!(token > 60, "{what}");
    store.append(0, token, &body(token)).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    store.close().unwrap();
    let mut store = Store::open(disk.folder(), options(new())).unwrap();
    let mut again = drain(&mut store, &mut losses);
    assert_eq!(again.remove(&token), Some(0), "{what}");
    assert_eq!(again, there, "{what}: after it was closed");
    for (token, class) in again.into_iter().chain([(token, 0)]) {
        store.end(class, token, ACKED).unwrap();
    }
    assert!(store.commit(MakeSafe::ALL).is_ok());
    // What is damaged was set aside, and nothing else is left.
    let damaged = losses.iter().any(|loss| loss.cause == Cause::Damaged && loss.file != "clean");
    let kept = disk.files().keys().any(|name| *name == format!("lost-{hit}"));
    assert!(!damaged || kept, "{what}: {hit} was thrown away");
    missing
}

fn is_store_file(name: &str) -> bool {
    name != "lock"
}

#[test]
fn every_byte_flipped() {
    let (disk, all) = make(None, true);
    let files = disk.files();
    assert!(files.len() >= 5, "{:?}", files.keys());
    let mut random = Random(1);
    for (name, bytes) in files.iter().filter(|(name, _)| is_store_file(name)) {
        for at in 0..bytes.len() {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 1 << random.below(8);
            let what = format!("byte {at} of {name}");
            let missing = examine(&files, &all, None, name, (&what, at % 2 == 0));
            assert!(missing <= usize::from(name.ends_with(".seg")), "{what}: {missing} are missing");
        }
    }
}

#[test]
fn every_block_zeroed() {
    let (disk, all) = make(None, true);
    let files = disk.files();
    for (name, bytes) in files.iter().filter(|(name, _)| is_store_file(name)) {
        for at in (0..bytes.len()).step_by(64) {
            let mut files = files.clone();
            let end = (at + 512).min(bytes.len());
            files.get_mut(name).unwrap()[at..end].fill(0);
            if files[name] == *bytes {
                continue;
            }
            let what = format!("bytes {at} to {end} of {name}");
            let missing = examine(&files, &all, None, name, (&what, at % 128 == 0));
            // As many as have a byte in the block.
            let most = if name.ends_with(".seg") { (end - at) / 40 + 2 } else { 0 };
            assert!(missing <= most, "{what}: {missing} are missing");
        }
    }
}

#[test]
fn every_file_cut_off_everywhere() {
    let (disk, all) = make(None, true);
    let files = disk.files();
    for (name, bytes) in files.iter().filter(|(name, _)| is_store_file(name)) {
        for len in 0..bytes.len() {
            let mut files = files.clone();
            files.get_mut(name).unwrap().truncate(len);
            let what = format!("{name} with {len} bytes");
            let missing = examine(&files, &all, None, name, (&what, len % 2 == 0));
            let most = if name.ends_with(".seg") { (bytes.len() - len) / 40 + 1 } else { 0 };
            assert!(missing <= most, "{what}: {missing} are missing");
        }
    }
}

/// Without the mark that it was closed, damage at the end of what was written last looks as a power cut does. It is
/// reported even so.
#[test]
fn every_byte_flipped_in_a_store_that_was_not_closed() {
    let (disk, all) = make(None, false);
    let files = disk.files();
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 0x10;
            let what = format!("byte {at} of {name}");
            let missing = examine(&files, &all, None, name, (&what, at % 2 == 0));
            assert!(missing <= usize::from(name.ends_with(".seg")), "{what}: {missing} are missing");
        }
    }
}

/// Nothing to hide, but it notices every change: what it adds is a sum over the position and the bytes, so many times.
struct Sum(u8, usize);

impl Sum {
    fn tag(&self, position: &Position, bytes: &[u8]) -> [u8; 4] {
        let all = position.as_bytes().iter().chain(bytes);
        let sum =
            all.fold(u32::from(self.0), |sum, byte| sum.rotate_left(5).wrapping_mul(31) ^ u32::from(*byte));
        sum.to_le_bytes()
    }
}

impl Cipher for Sum {
    fn seal(&mut self, position: &Position, plain: &[u8], sealed: &mut Vec<u8>) -> bool {
        let tag = self.tag(position, plain);
        sealed.extend(plain.iter().map(|byte| byte ^ self.0));
        sealed.extend_from_slice(&tag.repeat(self.1));
        true
    }

    fn open(&mut self, position: &Position, sealed: &[u8], plain: &mut Vec<u8>) -> bool {
        let Some((body, tag)) = sealed.split_at_checked(sealed.len().wrapping_sub(4 * self.1)) else {
            return false;
        };
        let body: Vec<u8> = body.iter().map(|byte| byte ^ self.0).collect();
        let same = self.tag(position, &body).repeat(self.1) == *tag;
        plain.extend_from_slice(&body);
        same
    }
}

#[test]
fn an_encrypted_store_opens_with_its_key_alone() {
    let new: fn() -> Box<dyn Cipher> = || Box::new(Sum(0x5a, 1));
    let (disk, all) = make(Some(new), true);
    let files = disk.files();
    for (name, bytes) in &files {
        let readable = bytes.windows(7).any(|part| part == b"a/topic");
        assert!(!readable, "{name} has a topic that can be read");
    }
    let mut losses = Vec::new();
    let mut store = Store::open(Disk::with(&files).folder(), options(Some(new()))).unwrap();
    assert_eq!(drain(&mut store, &mut losses), all);
    assert_eq!(losses, []);
    drop(store);
    let before = files.clone();
    for (cipher, words) in
        [(None, "is encrypted"), (Some(Box::new(Sum(1, 1)) as Box<dyn Cipher>), "another key")]
    {
        let disk = Disk::with(&files);
        let error = Store::open(disk.folder(), options(cipher)).unwrap_err();
        assert_eq!(error.kind(), Kind::Key);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(disk.files(), before, "nothing changes");
    }
    let (plain, _) = make(None, true);
    let error = Store::open(plain.folder(), options(Some(new()))).unwrap_err();
    assert!(error.kind() == Kind::Key && error.to_string().contains("is not encrypted"), "{error}");
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        for at in (0..bytes.len()).step_by(7) {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 1;
            let what = format!("byte {at} of {name}, encrypted");
            assert!(examine(&files, &all, Some(new), name, (&what, at % 2 == 0)) <= 1, "{what}");
        }
    }
}

/// The end of a segment is longer then than what is read of each to find it.
#[test]
fn a_cipher_may_add_as_much_as_it_likes() {
    let options = || Options { segment_bytes: 2000, ..options(Some(Box::new(Sum(0x5a, 40)))) };
    for close in [false, true] {
        let (disk, all) = make_with(options(), close);
        let mut losses = Vec::new();
        let mut store = Store::open(disk.folder(), options()).unwrap();
        assert_eq!(drain(&mut store, &mut losses), all);
        assert_eq!(losses, []);
        for class in 0..2 {
            let waiting = all.values().filter(|c| **c == class).count() as u64;
            assert_eq!(store.waiting(class), waiting);
        }
    }
}

#[test]
fn a_store_of_a_later_version_and_one_in_use_are_refused() {
    let (disk, all) = make(None, true);
    let mut files = disk.files();
    for (name, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".seg")) {
        assert!(!name.is_empty());
        bytes[8] = 2;
        let crc = crc32(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    }
    let error = Store::open(Disk::with(&files).folder(), options(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::NewerFormat);
    assert!(error.to_string().contains("version 2"), "{error}");

    let mut store = Store::open(disk.folder(), options(None)).unwrap();
    let error = Store::open(disk.folder(), options(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.to_string().contains("in use by another process"), "{error}");
    assert_eq!(drain(&mut store, &mut Vec::new()), all);
    drop(store);
    assert_eq!(drain(&mut Store::open(disk.folder(), options(None)).unwrap(), &mut Vec::new()), all);
}

/// The checksum as docs/store.md describes it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A message whose payload is a whole file of the store, with the same salt, is a payload.
#[test]
fn a_payload_that_looks_like_records_is_none() {
    let (disk, all) = make(None, true);
    let segment = disk.files().into_iter().find(|(name, _)| name.starts_with("00-")).unwrap().1;
    let mut store = Store::open(disk.folder(), options(None)).unwrap();
    let token = store.reserve_tokens().start;
    let mut hostile = Vec::new();
    let message = Message { topic: b"t", payload: &segment, qos: 1, ..Message::default() };
    message.encode(&mut hostile).unwrap();
    store.append(0, token, &hostile).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    store.close().unwrap();
    let mut files = disk.files();
    let name = files.keys().rfind(|name| name.starts_with("00-")).unwrap().clone();
    // Its frame is damaged, so that a search goes through the payload.
    let bytes = files.get_mut(&name).unwrap();
    let at = bytes.windows(segment.len()).position(|part| part == segment).unwrap();
    bytes[at - 20] ^= 1;
    let mut store = Store::open(Disk::with(&files).folder(), options(None)).unwrap();
    let mut losses = Vec::new();
    assert_eq!(drain(&mut store, &mut losses), all);
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert_eq!(store.fate(token), Fate::NotEnded);
}
