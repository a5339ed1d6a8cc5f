//! The files of a store: whatever stands in them, it opens or says why not, returns only what can be a message, and works on.

use std::collections::BTreeMap;

use mgos_mqtt::store::{MakeSafe, Message, Options, Outcome, Store, Stored};

use super::disk::{Disk, Random};
use super::input::Input;

fn options() -> Options {
    Options { segment_bytes: 600, outcome_history: 8, ..Options::default() }
}

fn body(token: u64) -> Vec<u8> {
    let payload = vec![token as u8; (token % 90) as usize];
    let message = Message { topic: b"t", payload: &payload, qos: 1, ..Message::default() };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    body
}

/// A store as the bytes say: appended, ended, committed, maintained, closed.
fn make(input: &mut Input<'_>) -> Disk {
    let disk = Disk::new();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let mut token = store.reserve_tokens().start;
    for _ in 0..=input.below(40) {
        match input.below(8) {
            0..=3 => {
                store.append(input.below(2), token, &body(token)).unwrap();
                token += 1;
            }
            4 => {
                let back = u64::from(input.byte());
                store
                    .end(input.below(2), token.saturating_sub(back), Outcome { kind: 0, detail: 0 })
                    .unwrap();
            }
            5 => store.receive(u16::from(input.byte()), input.flag()),
            6 => assert!(store.commit(MakeSafe { messages: input.flag(), state: input.flag() }).is_ok()),
            _ => drop(store.maintain().unwrap()),
        }
    }
    if input.flag() {
        store.close().unwrap();
    }
    disk
}

/// Changes some bytes, lengths and names.
fn damage(files: &mut BTreeMap<String, Vec<u8>>, input: &mut Input<'_>) {
    let names: Vec<String> = files.keys().cloned().collect();
    for _ in 0..=input.below(6) {
        let name = &names[usize::from(input.byte()) % names.len()];
        let Some(bytes) = files.get_mut(name) else { continue };
        let at = (usize::from(input.byte()) << 8 | usize::from(input.byte())) % (bytes.len() + 1);
        match input.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_slice(input.bytes()),
            2 => drop(files.remove(name)),
            3 => {
                let copy = bytes.clone();
                files.insert(names[usize::from(input.byte()) % names.len()].clone(), copy);
            }
            _ => {
                for (byte, new) in bytes[at..].iter_mut().zip(input.bytes()) {
                    *byte = *new;
                }
            }
        }
    }
}

/// The first bytes make a store, the next change its files.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = make(&mut input);
    let disk = if input.flag() { disk.crash(&mut Random(u64::from(input.byte()))) } else { disk };
    let mut files = disk.files();
    damage(&mut files, &mut input);
    let disk = Disk::with(&files);
    let Ok(mut store) = Store::open(disk.folder(), options()) else { return };
    let mut there = BTreeMap::new();
    for class in 0..2 {
        let mut out = Vec::<Stored>::new();
        while store.read(class, out.last().map_or(0, |m| m.id), 3, 200, &mut out).unwrap() {}
        assert!(out.windows(2).all(|pair| pair[0].id < pair[1].id), "they ascend");
        assert!(out.iter().all(|message| message.body == body(message.id)), "never a wrong message");
        there.extend(out.into_iter().map(|message| ((class, message.id), message.body)));
    }
    // What is new is kept, and nothing of the old is lost by it.
    let token = store.reserve_tokens().start;
    assert!(there.keys().all(|(_, id)| *id < token));
    store.append(0, token, &body(token)).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    while store.maintain().unwrap() {}
    store.close().unwrap();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    there.insert((0, token), body(token));
    for class in 0..2 {
        let mut out = Vec::<Stored>::new();
        while store.read(class, out.last().map_or(0, |m| m.id), 100, 100_000, &mut out).unwrap() {}
        for message in out {
            assert_eq!(there.remove(&(class, message.id)), Some(message.body), "message {}", message.id);
        }
    }
    assert!(there.is_empty(), "{:?} are lost", there.keys());
}
