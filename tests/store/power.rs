//! The store loses its power, its disk's patience and its space at every moment of its work, and keeps what it promised.

use std::collections::{BTreeMap, BTreeSet};

use crate::store_support::{Disk, Fault, Random};
use mgos_mqtt::store::{Fate, MakeSafe, Message, Options, Outcome, Store, Stored};

const ACKED: Outcome = Outcome { kind: 0, detail: 0 };
const EXPIRED: Outcome = Outcome { kind: 3, detail: 7 };

/// Small segments: every few messages begin a new one. The state is written anew nearly as often.
fn options() -> Options {
    Options { segment_bytes: 1500, snapshot_bytes: 500, outcome_history: 20, ..Options::default() }
}

/// A message is known by its token: topic and payload follow from it.
fn body(token: u64) -> Vec<u8> {
    let topic = format!("t/{}", token % 3);
    let payload = vec![token as u8; (token * 37 % 300) as usize];
    let message = Message {
        topic: topic.as_bytes(),
        payload: &payload,
        properties: if token.is_multiple_of(5) { b"\x02\0\0\0\x07" } else { b"" },
        qos: 1 + (token % 2) as u8,
        retain: token.is_multiple_of(7),
        accepted: 1_700_000_000,
        deadline: if token.is_multiple_of(3) { token << 20 } else { 0 },
        ..Message::default()
    };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    assert_eq!(Message::decode(&body), Some(message));
    body
}

/// What was promised, and what may be so besides.
#[derive(Default)]
struct Promised {
    /// Accepted and made safe: it waits, or it ended.
    safe: BTreeMap<u64, u8>,
    /// Accepted at all.
    any: BTreeMap<u64, u8>,
    /// Told to have ended; the second say that this is safe.
    ended: BTreeMap<u64, Outcome>,
    ended_safe: BTreeMap<u64, Outcome>,
    ids: BTreeMap<u64, u16>,
    ids_safe: BTreeMap<u64, u16>,
    released: BTreeMap<u64, u16>,
    released_safe: BTreeMap<u64, u16>,
    received: BTreeSet<u16>,
    received_safe: BTreeSet<u16>,
    /// What was changed since it was safe.
    received_changed: BTreeSet<u16>,
    note: Option<Vec<u8>>,
    notes_safe: Vec<Option<Vec<u8>>>,
    /// No token below was given for good.
    tokens_safe: u64,
    tokens: std::ops::Range<u64>,
}

impl Promised {
    fn state_is_safe(&mut self) {
        self.ended_safe = self.ended.clone();
        self.ids_safe = self.ids.clone();
        self.released_safe = self.released.clone();
        self.received_safe = self.received.clone();
        self.received_changed.clear();
        self.notes_safe = vec![self.note.clone()];
        self.tokens_safe = self.tokens_safe.max(self.tokens.end);
    }

    fn waiting(&self) -> Vec<(u64, u8)> {
        let waits =
            |(token, _): &(&u64, &u8)| !self.ended.contains_key(token) && !self.released.contains_key(token);
        self.any.iter().filter(waits).map(|(token, class)| (*token, *class)).collect()
    }

    /// A commit, and what it makes safe. True if all of it succeeded.
    fn commit(&mut self, store: &mut Store, sync: MakeSafe, group: &[(u64, u8)]) -> bool {
        let failed = store.commit(sync);
        for (token, class) in group {
            if !failed.classes.iter().any(|(c, _)| c == class) {
                self.any.insert(*token, *class);
            }
        }
        for (class, _) in &failed.classes {
            // What was not safe does not count any more.
            let last = store.last(*class);
            self.any.retain(|token, c| c != class || *token <= last || self.ended.contains_key(token));
        }
        if sync.messages {
            let ok = self.any.iter().filter(|(_, class)| !failed.classes.iter().any(|(c, _)| c == *class));
            self.safe.extend(ok.map(|(token, class)| (*token, *class)));
        }
        if sync.state && failed.state.is_none() {
            self.state_is_safe();
        }
        failed.is_ok()
    }
}

/// Reads all messages of all classes, in steps of a few.
fn drain(store: &mut Store) -> BTreeMap<u64, u8> {
    let mut all = BTreeMap::new();
    for class in 0..3 {
        let (mut after, mut out) = (0, Vec::<Stored>::new());
        loop {
            out.clear();
            let more = store.read(class, after, 3, 700, &mut out).unwrap();
            for message in &out {
                assert!(message.id > after, "{} after {after}", message.id);
                assert_eq!(message.body, body(message.id), "message {}", message.id);
                after = message.id;
                assert_eq!(all.insert(message.id, class), None);
            }
            if !more {
                break;
            }
        }
    }
    all
}

/// One step of a workload. False when the store does not go on.
fn step(store: &mut Store, random: &mut Random, model: &mut Promised) -> bool {
    match random.below(10) {
        0..=4 => {
            let mut group = Vec::new();
            for _ in 0..=random.below(4) {
                let (token, class) = (model.tokens.start, random.below(2) as u8);
                model.tokens.start += 1 + random.below(3);
                match store.append(class, token, &body(token)) {
                    Ok(()) => group.push((token, class)),
                    // Making room for it may have failed, and what was not safe is lost then.
                    Err(_) => {
                        let last = store.last(class);
                        let Promised { any, ended, .. } = model;
                        any.retain(|token, c| *c != class || *token <= last || ended.contains_key(token));
                    }
                }
            }
            let sync = MakeSafe { messages: random.below(3) > 0, state: false };
            model.commit(store, sync, &group)
        }
        5..=7 => {
            let waiting = model.waiting();
            if waiting.is_empty() {
                return true;
            }
            // Mostly the oldest.
            let at = if random.below(3) == 0 { random.below(waiting.len() as u64) as usize } else { 0 };
            let (token, class) = waiting[at];
            let id = token as u16 | 1;
            match random.below(4) {
                0 => {
                    store.identify(token, id);
                    model.ids.insert(token, id);
                }
                1 => {
                    store.release(class, token, id).unwrap();
                    model.ids.remove(&token);
                    model.released.insert(token, id);
                }
                _ => {
                    let outcome = if token.is_multiple_of(4) { EXPIRED } else { ACKED };
                    store.end(class, token, outcome).unwrap();
                    model.ids.remove(&token);
                    model.ended.insert(token, outcome);
                }
            }
            if let Some((&token, _)) = model.released.iter().next()
                && random.below(3) == 0
            {
                store.end(model.any.get(&token).copied().unwrap_or(0), token, ACKED).unwrap();
                model.released.remove(&token);
                model.ended.insert(token, ACKED);
            }
            true
        }
        8 => {
            let id = random.below(5) as u16;
            let open = random.below(2) == 0;
            store.receive(id, open);
            let changed = if open { model.received.insert(id) } else { model.received.remove(&id) };
            if changed {
                model.received_changed.insert(id);
            }
            let value = (random.below(3) > 0).then(|| vec![id as u8; 40]);
            store.note(1, b"session", value.as_deref()).unwrap();
            model.note = value;
            model.notes_safe.push(model.note.clone());
            true
        }
        _ => {
            let sync = MakeSafe { messages: false, state: random.below(2) == 0 };
            let ok = model.commit(store, sync, &[]);
            ok && store.maintain().is_ok()
        }
    }
}

/// Runs the workload until it ends or the store fails, `goes_on` says whether that ends it.
fn run(disk: &Disk, seed: u64, steps: usize, goes_on: bool) -> (Promised, Option<Store>) {
    let mut model = Promised::default();
    let mut random = Random(seed);
    let Ok(mut store) = Store::open(disk.folder(), options()) else { return (model, None) };
    model.tokens = store.reserve_tokens();
    if !store.commit(MakeSafe::ALL).is_ok() {
        return (model, None);
    }
    model.state_is_safe();
    for _ in 0..steps {
        if !step(&mut store, &mut random, &mut model) && !goes_on {
            return (model, None);
        }
    }
    (model, Some(store))
}

/// What a store that was opened again must have, and may have.
fn check(store: &mut Store, model: &Promised, what: &str) {
    let there = drain(store);
    for (token, class) in &model.safe {
        let ended = model.ended.contains_key(token) || model.released.contains_key(token);
        assert!(ended || there.get(token) == Some(class), "{what}: message {token} is lost");
    }
    for (token, outcome) in &model.ended_safe {
        assert!(!there.contains_key(token), "{what}: message {token} ended, and is there again");
        let fate = store.fate(*token);
        assert!(fate == Fate::Ended(*outcome) || fate == Fate::NotEnded, "{what}: {token}: {fate:?}");
    }
    if let Some((token, outcome)) = model.ended_safe.iter().next_back()
        && model.ended.len() == model.ended_safe.len()
        && model.ended.len() <= 20
    {
        assert_eq!(store.fate(*token), Fate::Ended(*outcome), "{what}: {token}");
    }
    let released: BTreeMap<u64, u16> = store.released().collect();
    for (token, id) in &model.released_safe {
        let ended = model.ended.contains_key(token);
        assert!(ended || released.get(token) == Some(id), "{what}: message {token} was released");
        assert!(!there.contains_key(token), "{what}: message {token} was released, and is there again");
    }
    let ids: BTreeMap<u64, u16> = store.packet_ids().collect();
    for (token, id) in &model.ids_safe {
        let changed = !model.ids.contains_key(token);
        assert!(changed || ids.get(token) == Some(id), "{what}: message {token} had packet id {id}");
    }
    let received: BTreeSet<u16> = store.received().collect();
    for id in 0..5 {
        let same = received.contains(&id) == model.received_safe.contains(&id);
        assert!(same || model.received_changed.contains(&id), "{what}: received packet id {id}");
    }
    let note = store.notes(1).next().map(|(_, value)| value.to_vec());
    assert!(model.notes_safe.is_empty() || model.notes_safe.contains(&note), "{what}: the note");
    assert!(store.next_token() >= model.tokens_safe, "{what}: tokens would be given again");
    for (token, class) in &there {
        let known = *token < model.tokens.start;
        assert!(known, "{what}: message {token} of class {class} was never given");
    }
    for class in 0..3 {
        let count = there.values().filter(|c| **c == class).count() as u64;
        assert_eq!(store.waiting(class), count, "{what}: class {class}");
    }
}

/// It works on, and what it has is there again after it was closed.
fn goes_on(mut store: Store, disk: &Disk, what: &str) {
    let before = drain(&mut store);
    let token = store.reserve_tokens().start;
    for (n, class) in [(0, 0), (1, 1), (2, 0)] {
        store.append(class, token + n, &body(token + n)).unwrap();
    }
    assert!(store.commit(MakeSafe::ALL).is_ok(), "{what}");
    while store.maintain().unwrap() {}
    store.close().unwrap();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let mut expected = before;
    expected.extend([(token, 0), (token + 1, 1), (token + 2, 0)]);
    assert_eq!(drain(&mut store), expected, "{what}: after it was closed");
    // All of it ends: nothing is left but the state and what was set aside.
    for (token, class) in expected {
        store.end(class, token, ACKED).unwrap();
    }
    assert!(store.commit(MakeSafe::ALL).is_ok(), "{what}");
    assert_eq!(drain(&mut store), BTreeMap::new(), "{what}");
}

#[test]
fn a_power_cut_at_every_operation_loses_nothing_that_was_promised() {
    let mut cuts = 0;
    for seed in 0..3 {
        let disk = Disk::new();
        let (model, store) = run(&disk, seed, 80, false);
        let mut store = store.unwrap();
        check(&mut store, &model, "without a cut");
        assert_eq!(store.take_losses(), []);
        drop(store);
        let operations = disk.operations();
        for at in 1..=operations {
            let disk = Disk::new();
            disk.fail(Some(Fault::PowerCut(at)));
            let (model, store) = run(&disk, seed, 80, false);
            drop(store);
            for kept in 0..4 {
                let what = format!("seed {seed}, power cut at operation {at}, kept {kept}");
                let disk = disk.crash(&mut Random(at * 8 + kept));
                let mut store = Store::open(disk.folder(), options()).unwrap();
                check(&mut store, &model, &what);
                // Once more, while it is opened.
                let mut random = Random(at + kept);
                drop(store);
                let again = disk.crash(&mut random);
                let mut store = Store::open(again.folder(), options()).unwrap();
                check(&mut store, &model, &what);
                goes_on(store, &again, &what);
                cuts += 1;
            }
        }
    }
    println!("{cuts} power cuts");
    assert!(cuts > 1_500, "{cuts}");
}

#[test]
fn a_power_cut_while_it_is_opened_loses_nothing() {
    for seed in 0..3 {
        let disk = Disk::new();
        let (model, store) = run(&disk, seed, 80, false);
        drop(store);
        let disk = disk.crash(&mut Random(seed));
        let files = disk.files();
        for at in 1.. {
            let disk = Disk::with(&files);
            disk.fail(Some(Fault::PowerCut(at)));
            let opened = Store::open(disk.folder(), options());
            let done = opened.is_ok() && disk.operations() < at;
            drop(opened);
            let disk = disk.crash(&mut Random(at));
            let what = format!("seed {seed}, power cut at operation {at} of opening");
            let mut store = Store::open(disk.folder(), options()).unwrap();
            check(&mut store, &model, &what);
            if done {
                assert!(at > 2);
                break;
            }
        }
    }
}

#[test]
fn an_operation_that_fails_once_costs_no_more_than_its_own_group() {
    for seed in 10..13 {
        let disk = Disk::new();
        drop(run(&disk, seed, 80, false));
        for at in 1..=disk.operations() {
            let disk = Disk::new();
            disk.fail(Some(Fault::Error(at)));
            let (model, store) = run(&disk, seed, 80, true);
            let what = format!("seed {seed}, operation {at} fails");
            let Some(mut store) = store else { continue };
            // What it said it has, and nothing else.
            let there = drain(&mut store);
            let expected: BTreeMap<u64, u8> = model.waiting().into_iter().collect();
            assert_eq!(there, expected, "{what}");
            assert!(store.commit(MakeSafe::ALL).is_ok(), "{what}");
            drop(store);
            let disk = disk.crash(&mut Random(at));
            let mut store = Store::open(disk.folder(), options()).unwrap();
            assert_eq!(drain(&mut store), expected, "{what}: after a power cut");
            goes_on(store, &disk, &what);
        }
    }
}

#[test]
fn a_sync_that_fails_is_not_tried_again_and_believed() {
    for seed in 20..23 {
        let disk = Disk::new();
        drop(run(&disk, seed, 80, false));
        for at in 5..=disk.operations() {
            let disk = Disk::new();
            disk.fail(Some(Fault::Sync(at, 4)));
            let (mut model, store) = run(&disk, seed, 80, true);
            let what = format!("seed {seed}, syncing fails from operation {at} on");
            let Some(mut store) = store else { continue };
            disk.fail(None);
            // What was not safe may have been lost, and is said to be then.
            let failed = model.commit(&mut store, MakeSafe::ALL, &[]);
            let _ = failed;
            model.commit(&mut store, MakeSafe::ALL, &[]);
            drop(store);
            let disk = disk.crash(&mut Random(at));
            let mut store = Store::open(disk.folder(), options()).unwrap();
            check(&mut store, &model, &what);
        }
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = Disk::new();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let tokens = store.reserve_tokens();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    let mut accepted = BTreeMap::new();
    disk.set_space(Some(disk.used() + 5_000));
    let mut refused = 0;
    for token in tokens.clone().take(60) {
        let appended = store.append(0, token, &body(token));
        let failed = store.commit(MakeSafe::ALL);
        match appended {
            Ok(()) if failed.is_ok() => drop(accepted.insert(token, 0)),
            Ok(()) => {
                refused += 1;
                let error = failed.first().unwrap();
                assert_eq!(error.kind(), mgos_mqtt::store::Kind::Full);
                assert!(error.to_string().contains("cannot write "), "{error}");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), mgos_mqtt::store::Kind::Full);
            }
        }
    }
    assert!(refused > 20 && accepted.len() > 10, "{refused} {}", accepted.len());
    assert_eq!(drain(&mut store), accepted);
    // What is acknowledged makes space, though nothing can be written.
    let ended: Vec<u64> = accepted.keys().copied().take(accepted.len() / 2).collect();
    for token in ended {
        store.end(0, token, ACKED).unwrap();
        accepted.remove(&token);
    }
    store.commit(MakeSafe::ALL);
    assert!(store.commit(MakeSafe::ALL).is_ok());
    let token = tokens.start + 100;
    store.append(0, token, &body(token)).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
    accepted.insert(token, 0);
    let disk = disk.crash(&mut Random(1));
    let mut store = Store::open(disk.folder(), options()).unwrap();
    assert_eq!(drain(&mut store), accepted);
    assert_eq!(store.take_losses(), []);
}

#[test]
fn a_disk_that_became_read_only_refuses_and_keeps_what_it_has() {
    let disk = Disk::new();
    let (mut model, store) = run(&disk, 3, 60, false);
    let mut store = store.unwrap();
    assert!(model.commit(&mut store, MakeSafe::ALL, &[]));
    let before = drain(&mut store);
    disk.set_read_only(true);
    let token = model.tokens.start;
    let appended = store.append(0, token, &body(token));
    let failed = store.commit(MakeSafe::ALL);
    let error = appended.err().or(failed.first().cloned()).unwrap();
    assert_eq!(error.kind(), mgos_mqtt::store::Kind::ReadOnly);
    assert_eq!(drain(&mut store), before);
    disk.set_read_only(false);
    store.append(0, token, &body(token)).unwrap();
    assert!(store.commit(MakeSafe::ALL).is_ok());
}

/// A caller that ends what is not there must not cost what is.
#[test]
fn a_message_that_was_never_there_takes_no_other_with_it_when_it_ends() {
    let disk = Disk::new();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let first = store.reserve_tokens().start;
    for token in (first..first + 100).step_by(2) {
        store.append(0, token, &body(token)).unwrap();
        assert!(store.commit(MakeSafe::ALL).is_ok());
    }
    // As many of the first segments as were appended to them.
    for token in first + 1..first + 40 {
        store.end(0, token, ACKED).unwrap();
        assert!(store.commit(MakeSafe::ALL).is_ok());
    }
    let there = drain(&mut store);
    assert!((first + 40..first + 100).step_by(2).all(|token| there.contains_key(&token)));
    assert!(there.contains_key(&first), "it did not end");
    drop(store);
    let mut store = Store::open(disk.folder(), options()).unwrap();
    assert_eq!(drain(&mut store), there);
}
