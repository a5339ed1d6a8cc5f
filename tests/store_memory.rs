//! A million messages wait in the store: neither memory nor what opening reads grows with them. A process of its own, since it reads
//! how much memory it needed.
#![cfg(all(feature = "store", target_os = "linux"))]

use std::time::Instant;

use mgos_mqtt::store::{Folder, MakeSafe, Message, Options, Outcome, Store, Stored};

/// A tenth of them where nothing is optimised; what is asserted does not depend on how many there are.
const MESSAGES: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// The most that the process may ever have had, in KiB.
const MOST: u64 = 8 * 1024;

/// The most memory that was ever in use, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_million_messages_wait_and_memory_does_not_grow() {
    let path = std::env::temp_dir().join(format!("mgos-mqtt-million-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let open = || Store::open(Box::new(Folder::new(&path).unwrap()), Options::default()).unwrap();
    let started = Instant::now();
    let mut store = open();
    let payload = [0x55; 256];
    let mut body = Vec::new();
    let message = Message { topic: b"sensors/kitchen/temp", payload: &payload, qos: 1, ..Message::default() };
    message.encode(&mut body).unwrap();
    let first = store.reserve_tokens().start;
    for token in first..first + MESSAGES {
        if token >= store.next_token() {
            store.reserve_tokens();
        }
        body[40..48].copy_from_slice(&token.to_le_bytes());
        store.append(0, token, &body).unwrap();
        if token % 512 == 0 {
            assert!(store.commit(MakeSafe { messages: token % 16_384 == 0, state: false }).is_ok());
        }
    }
    assert!(store.commit(MakeSafe::ALL).is_ok());
    let filled = started.elapsed();
    drop(store);

    let started = Instant::now();
    let mut store = open();
    let opened = started.elapsed();
    assert_eq!(store.waiting(0), MESSAGES);
    assert_eq!(store.take_losses(), []);

    let started = Instant::now();
    let (mut next, mut out) = (first, Vec::<Stored>::new());
    loop {
        out.clear();
        let more = store.read(0, next - 1, 256, 1 << 20, &mut out).unwrap();
        for message in &out {
            assert_eq!(message.id, next);
            assert_eq!(message.body[40..48], next.to_le_bytes());
            store.end(0, next, Outcome { kind: 0, detail: 0 }).unwrap();
            next += 1;
        }
        assert!(store.commit(MakeSafe::default()).is_ok());
        if !more {
            break;
        }
    }
    let drained = started.elapsed();
    assert_eq!(next, first + MESSAGES);
    store.close().unwrap();
    let left: u64 =
        std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    std::fs::remove_dir_all(&path).unwrap();
    let peak = peak();
    println!(
        "filled in {filled:?}, opened in {opened:?}, drained in {drained:?}; {peak} KiB; {left} bytes left"
    );
    assert!(peak < MOST, "{peak} KiB");
    // The segment that is written to, and the state.
    assert!(left < (1 << 20) + (256 << 10), "{left} bytes are left");
}
