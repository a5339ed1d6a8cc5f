//! The thread of the store: promises, groups, what happens when the disk is full, and the file system itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::store_support::{Disk, Fault, Random};
use mgos_mqtt::store::{
    Answer, Batching, Fate, Files, Folder, Kind, MakeSafe, Message, Options, Outcome, Promise, Results,
    Store, Stored, Work, Writer,
};

const ACKED: Outcome = Outcome { kind: 0, detail: 0 };
/// Longer than anything here takes.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

fn body(token: u64, len: usize) -> Vec<u8> {
    let payload = vec![token as u8; len];
    let message = Message { topic: b"sensors/kitchen/temp", payload: &payload, qos: 1, ..Message::default() };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    body
}

/// Called by the writer; a test waits for it.
#[derive(Clone, Default)]
struct Bell(Arc<(Mutex<u64>, Condvar)>);

impl Bell {
    fn ring(&self) -> impl Fn() + Send + std::marker::Sync + 'static {
        let Bell(bell) = self.clone();
        move || {
            *bell.0.lock().unwrap() += 1;
            bell.1.notify_all();
        }
    }

    /// Collects results until they are as wanted.
    fn until(&self, writer: &Writer, mut done: impl FnMut(&Results) -> bool) {
        let mut rung = self.0.0.lock().unwrap();
        loop {
            drop(rung);
            if done(&writer.take_results()) {
                return;
            }
            rung = self.0.0.lock().unwrap();
            if *rung == 0 {
                rung = self.0.1.wait_timeout(rung, Duration::from_secs(60)).unwrap().0;
                assert!(*rung > 0, "the writer says nothing");
            }
            *rung = 0;
        }
    }
}

fn tokens(writer: &Writer) -> std::ops::Range<u64> {
    match writer.wait(Work::Reserve, Promise::Sync, LONG) {
        Some(Answer::Tokens(tokens)) => tokens,
        other => panic!("{other:?}"),
    }
}

fn drain(store: &mut Store) -> Vec<Stored> {
    let mut out = Vec::new();
    while store.read(0, out.last().map_or(0, |m: &Stored| m.id), 100, 1 << 20, &mut out).unwrap() {}
    out
}

#[test]
fn what_is_accepted_with_sync_by_many_threads_survives_a_power_cut() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let writer = Writer::start(store, Batching::default(), || {}).unwrap();
    let next = AtomicU64::new(tokens(&writer).start);
    let accepted = Mutex::new(Vec::new());
    // Tokens ascend in the order in which they are handed over.
    let order = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let held = order.lock().unwrap();
                    let token = next.fetch_add(1, Ordering::Relaxed);
                    let work = Work::Append { class: 0, token, body: body(token, 100) };
                    drop(held);
                    if writer.wait(work, Promise::Sync, LONG) == Some(Answer::Done) {
                        accepted.lock().unwrap().push(token);
                    }
                }
            });
        }
    });
    let accepted = accepted.into_inner().unwrap();
    // Two threads may have changed places between the lock and the queue: the later one was refused, and told so.
    assert!(accepted.len() >= 300, "{}", accepted.len());
    let after = disk.crash(&mut Random(3));
    drop(writer);
    let there: Vec<u64> =
        drain(&mut Store::open(after.folder(), Options::default()).unwrap()).iter().map(|m| m.id).collect();
    for token in &accepted {
        assert!(there.contains(token), "message {token} is lost");
    }
}

#[test]
fn all_that_comes_while_the_disk_is_busy_shares_one_sync() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let bell = Bell::default();
    let writer = Writer::start(store, Batching::default(), bell.ring()).unwrap();
    let first = tokens(&writer).start;
    let before = disk.syncs();
    let held = disk.hold();
    let append = |token| Work::Append { class: 0, token, body: body(token, 100) };
    let mut last = 0;
    for token in first..first + 400 {
        last = writer.submit(append(token), Promise::Sync).unwrap();
    }
    drop(held);
    bell.until(&writer, |results| results.done.iter().any(|(_, end)| *end == last));
    // What the thread had taken when the disk was held, and all others.
    assert!(disk.syncs() - before <= 2, "{} syncs", disk.syncs() - before);
}

#[test]
fn batch_is_told_when_it_is_safe_and_written_when_it_is_written() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let bell = Bell::default();
    // Nothing is due: only the bytes make it safe.
    let batching = Batching { batch_ms: 1_000_000, batch_bytes: 10_600, ..Batching::default() };
    let writer = Writer::start(store, batching, bell.ring()).unwrap();
    let first = tokens(&writer).start;
    let append = |token| Work::Append { class: 0, token, body: body(token, 1000) };
    let written = writer.submit(append(first), Promise::Written).unwrap();
    bell.until(&writer, |results| results.done.contains(&(written, written)));
    let syncs = disk.syncs();
    let mut last = 0;
    for token in first + 1..first + 9 {
        last = writer.submit(append(token), Promise::Batch).unwrap();
    }
    // They are there, and not safe.
    let read =
        writer.wait(Work::Read { class: 0, after: 0, count: 100, bytes: 1 << 20 }, Promise::Sync, LONG);
    assert!(matches!(read, Some(Answer::Messages(messages, false)) if messages.len() == 9));
    assert_eq!(writer.take_results().done, []);
    assert_eq!(disk.syncs(), syncs);
    last = last.max(writer.submit(append(first + 9), Promise::Batch).unwrap());
    let mut done = Vec::new();
    bell.until(&writer, |results| {
        done.extend(results.done.iter().copied());
        done.iter().any(|(_, end)| *end == last)
    });
    assert_eq!(done.iter().map(|(a, b)| b - a + 1).sum::<u64>(), 9);
    assert!(disk.syncs() > syncs);
    let after = disk.crash(&mut Random(0));
    assert_eq!(drain(&mut Store::open(after.folder(), Options::default()).unwrap()).len(), 10);
}

#[test]
fn batch_is_safe_after_its_time_without_anything_else() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let bell = Bell::default();
    let writer = Writer::start(store, Batching { batch_ms: 5, ..Batching::default() }, bell.ring()).unwrap();
    let token = tokens(&writer).start;
    let ticket =
        writer.submit(Work::Append { class: 0, token, body: body(token, 10) }, Promise::Batch).unwrap();
    let end = writer.submit(Work::End { class: 0, token, outcome: ACKED }, Promise::Batch).unwrap();
    let mut done = Vec::new();
    bell.until(&writer, |results| {
        done.extend(results.done.iter().flat_map(|(a, b)| *a..=*b));
        done.contains(&ticket) && done.contains(&end)
    });
    writer.close().unwrap();
    assert_eq!(drain(&mut Store::open(disk.folder(), Options::default()).unwrap()), []);
}

#[test]
fn a_full_disk_fails_sync_keeps_batch_and_tells_when_there_is_room() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options { segment_bytes: 4096, ..Options::default() }).unwrap();
    let bell = Bell::default();
    let batching = Batching { batch_ms: 5, max_pending: 8_000, ..Batching::default() };
    let writer = Writer::start(store, batching, bell.ring()).unwrap();
    let first = tokens(&writer).start;
    let append = |token| Work::Append { class: 0, token, body: body(token, 500) };
    assert_eq!(writer.wait(append(first), Promise::Sync, LONG), Some(Answer::Done));
    disk.set_space(Some(disk.used() + 700));
    let mut accepted = vec![first];
    let mut token = first + 1;
    let error = loop {
        match writer.wait(append(token), Promise::Sync, LONG) {
            Some(Answer::Done) => accepted.push(token),
            Some(Answer::Failed(error)) => break error,
            other => panic!("{other:?}"),
        }
        token += 1;
        assert!(token < first + 10);
    };
    assert_eq!(error.kind(), Kind::Full);
    assert!(error.to_string().contains("cannot "), "{error}");
    assert_eq!(writer.trouble().map(|error| error.kind()), Some(Kind::Full));
    // What has time is kept until there is space, and more than may wait is refused with the store's error.
    let error = loop {
        token += 1;
        match writer.submit(append(token), Promise::Batch) {
            Ok(_) => accepted.push(token),
            Err(error) => break error,
        }
        assert!(token < first + 100);
    };
    assert_eq!(error.kind(), Kind::Full);
    disk.set_space(None);
    let mut has_room = false;
    bell.until(&writer, |results| {
        has_room |= results.has_room;
        has_room
    });
    token += 1;
    assert_eq!(writer.wait(append(token), Promise::Sync, LONG), Some(Answer::Done));
    accepted.push(token);
    assert_eq!(writer.trouble(), None);
    drop(writer);
    let after = disk.crash(&mut Random(0));
    let there: Vec<u64> =
        drain(&mut Store::open(after.folder(), Options::default()).unwrap()).iter().map(|m| m.id).collect();
    assert_eq!(there, accepted);
}

/// Seeded workloads in which one operation fails: what is said to be done survives a power cut, what is said to have failed is
/// not there.
#[test]
fn whatever_fails_what_was_said_is_true() {
    for seed in 0..120 {
        let disk = Disk::new();
        let options = || Options { segment_bytes: 2000, ..Options::default() };
        let store = Store::open(disk.folder(), options()).unwrap();
        let bell = Bell::default();
        let writer = Writer::start(
            store,
            Batching { batch_ms: 1, batch_bytes: 900, max_pending: 1 << 20 },
            bell.ring(),
        );
        let writer = writer.unwrap();
        let mut token = tokens(&writer).start;
        let at = disk.operations() + 1 + seed / 2;
        disk.fail(Some(if seed % 2 == 0 { Fault::Error(at) } else { Fault::Sync(at, 1) }));
        let mut random = Random(seed);
        let (mut done, mut failed, mut by_ticket) = (Vec::new(), Vec::new(), BTreeMap::new());
        for _ in 0..40 {
            token += 1;
            let work = Work::Append { class: 0, token, body: body(token, random.below(300) as usize) };
            if random.below(3) == 0 {
                match writer.wait(work, Promise::Sync, LONG) {
                    Some(Answer::Done) => done.push(token),
                    Some(Answer::Failed(_)) => failed.push(token),
                    other => panic!("{other:?}"),
                }
            } else {
                by_ticket.insert(writer.submit(work, Promise::Batch).unwrap(), token);
            }
        }
        let all = by_ticket.len();
        let mut answered = 0;
        bell.until(&writer, |results| {
            for (first, last) in &results.done {
                answered += (last - first + 1) as usize;
            }
            assert_eq!(results.answers, [], "seed {seed}");
            answered == all
        });
        done.extend(by_ticket.values());
        done.sort_unstable();
        let after = disk.crash(&mut Random(seed));
        drop(writer);
        let there: Vec<u64> =
            drain(&mut Store::open(after.folder(), options()).unwrap()).iter().map(|m| m.id).collect();
        assert_eq!(there, done, "seed {seed}, failed {failed:?}");
    }
}

#[test]
fn a_folder_of_the_system() {
    let path = std::env::temp_dir().join(format!("mgos-mqtt-store-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let open = || Store::open(Box::new(Folder::new(&path).unwrap()), Options::default());
    let mut store = open().unwrap();
    let first = store.reserve_tokens().start;
    for token in first..first + 5_000 {
        store.append(0, token, &body(token, 256)).unwrap();
        if token % 64 == 0 {
            assert!(store.commit(MakeSafe { messages: true, state: false }).is_ok());
        }
    }
    assert!(store.commit(MakeSafe::ALL).is_ok());
    let error = open().unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    drop(store);
    let mut store = open().unwrap();
    let there = drain(&mut store);
    assert_eq!(there.len(), 5_000);
    assert!(there.iter().all(|message| message.body == body(message.id, 256)));
    assert_eq!(store.take_losses(), []);
    for message in there {
        store.end(0, message.id, ACKED).unwrap();
    }
    assert!(store.commit(MakeSafe::ALL).is_ok());
    store.close().unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let size: u64 = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 2 << 20, "{size} bytes are left");
    assert_eq!(Folder::new(&path).unwrap().describe(), path.display().to_string());
    std::fs::remove_dir_all(&path).unwrap();
}

/// The backlog is on the disk: memory, and what is read to open it, do not grow with it.
#[test]
fn opening_reads_headers_and_the_last_segment_and_a_message_costs_what_is_promised() {
    let disk = Disk::new();
    let options = || Options { segment_bytes: 64 * 1024, ..Options::default() };
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let first = store.reserve_tokens().start;
    for group in [1, 64] {
        let before = disk.bytes_written();
        let from = store.last(0).max(first) + 1;
        for token in from..from + 6_400 {
            store.append(0, token, &body(token, 256)).unwrap();
            if (token - from) % group == group - 1 {
                assert!(store.commit(MakeSafe { messages: true, state: false }).is_ok());
            }
        }
        let bytes = (disk.bytes_written() - before) as f64 / 6_400.0;
        println!("groups of {group}: {bytes:.1} bytes a message");
        assert!(bytes <= 300.0, "{bytes}");
    }
    let waiting = store.waiting(0);
    let segments = store.bytes(0) / (64 * 1024);
    assert!(segments > 40);
    store.close().unwrap();
    disk.take_bytes_read();
    let mut store = Store::open(disk.folder(), options()).unwrap();
    let read = disk.take_bytes_read();
    println!("{segments} segments: {read} bytes read to open them");
    assert!(disk.most_open() <= 8, "{} files were open at a time", disk.most_open());
    assert!(read < 64 * 1024 + 4096 + segments * 400, "{read}");
    assert_eq!(store.waiting(0), waiting);
    // Acknowledgements in groups of 64.
    let all = drain(&mut store);
    assert_eq!(all.len() as u64, waiting);
    let before = disk.bytes_written();
    for group in all.chunks(64) {
        for message in group {
            store.end(0, message.id, ACKED).unwrap();
        }
        assert!(store.commit(MakeSafe { messages: false, state: false }).is_ok());
    }
    let bytes = (disk.bytes_written() - before) as f64 / all.len() as f64;
    println!("{bytes:.2} bytes an acknowledgement");
    assert!(bytes <= 0.5, "{bytes}");
    store.close().unwrap();
    assert!(disk.used() < 2 << 20);
}

/// All kinds of work, and what is there of it when the store is opened again.
#[test]
fn every_kind_of_work_is_done() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let writer = Writer::start(store, Batching::default(), || {}).unwrap();
    let first = tokens(&writer).start;
    let mut works = Vec::new();
    for token in first..first + 4 {
        works.push(Work::Append { class: 0, token, body: body(token, 20) });
        works.push(Work::Identify { token, packet_id: token as u16 + 100 });
    }
    works.push(Work::Release { class: 0, token: first, packet_id: first as u16 + 100 });
    works.push(Work::End { class: 0, token: first + 1, outcome: ACKED });
    works.extend([7, 8].map(|packet_id| Work::Receive { packet_id, is_open: true }));
    works.push(Work::Receive { packet_id: 7, is_open: false });
    for (name, value) in [("kept", Some("value")), ("gone", Some("value")), ("gone", None)] {
        let value = value.map(|value| value.as_bytes().to_vec());
        works.push(Work::Note { kind: 3, name: name.into(), value });
    }
    for (n, work) in works.into_iter().enumerate() {
        let promise = [Promise::Sync, Promise::Batch, Promise::Written][n % 3];
        assert_eq!(writer.wait(work, promise, LONG), Some(Answer::Done));
    }
    writer.close().unwrap();
    let mut store = Store::open(disk.folder(), Options::default()).unwrap();
    assert_eq!(drain(&mut store).iter().map(|m| m.id).collect::<Vec<_>>(), [first + 2, first + 3]);
    let id = |token: u64| (token, token as u16 + 100);
    assert_eq!(store.packet_ids().collect::<Vec<_>>(), [id(first + 2), id(first + 3)]);
    assert_eq!(store.released().collect::<Vec<_>>(), [id(first)]);
    assert_eq!(store.received().collect::<Vec<_>>(), [8]);
    assert_eq!(store.notes(3).collect::<Vec<_>>(), [(&b"kept"[..], &b"value"[..])]);
    assert_eq!(store.fate(first + 1), Fate::Ended(ACKED));
}

#[test]
fn space_is_freed_whatever_is_promised() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options { segment_bytes: 2000, ..Options::default() }).unwrap();
    let writer = Writer::start(store, Batching::default(), || {}).unwrap();
    let first = tokens(&writer).start;
    for token in first..first + 100 {
        let work = Work::Append { class: 0, token, body: body(token, 100) };
        assert_eq!(writer.wait(work, Promise::Sync, LONG), Some(Answer::Done));
    }
    let files = || disk.files().keys().filter(|name| name.ends_with(".seg")).count();
    let before = files();
    assert!(before >= 6, "{before}");
    for token in (first..first + 100).filter(|token| token % 20 != 0) {
        let work = Work::End { class: 0, token, outcome: ACKED };
        assert_eq!(writer.wait(work, Promise::Written, LONG), Some(Answer::Done));
    }
    // It happens when the thread has nothing else to do: each of these waits until it has.
    let mut rounds = 0;
    while files() > 3 {
        let read = Work::Read { class: 0, after: 0, count: 100, bytes: 1 << 20 };
        let answer = writer.wait(read, Promise::Written, LONG);
        assert!(matches!(answer, Some(Answer::Messages(messages, false)) if messages.len() == 5));
        std::thread::yield_now();
        rounds += 1;
        assert!(rounds < 1_000, "{} files", files());
    }
    assert_eq!(writer.trouble(), None);
}

/// What was only written is lost when syncing fails: it is written again, also while the store is closed.
#[test]
fn closing_writes_again_what_was_lost_or_says_that_it_did_not() {
    for (syncs, succeeds) in [(1, true), (1_000_000, false)] {
        let disk = Disk::new();
        let store = Store::open(disk.folder(), Options::default()).unwrap();
        let bell = Bell::default();
        let writer = Writer::start(store, Batching::default(), bell.ring()).unwrap();
        let token = tokens(&writer).start;
        let append = |token| Work::Append { class: 0, token, body: body(token, 100) };
        assert_eq!(writer.wait(append(token), Promise::Written, LONG), Some(Answer::Done));
        disk.fail(Some(Fault::Sync(disk.operations() + 1, syncs)));
        assert_eq!(writer.close().is_ok(), succeeds, "{syncs}");
        disk.fail(None);
        let mut store = Store::open(disk.crash(&mut Random(0)).folder(), Options::default()).unwrap();
        let there: Vec<u64> = drain(&mut store).iter().map(|m| m.id).collect();
        assert!(!succeeds || there == [token], "{there:?}");
    }
}

#[test]
fn a_message_that_ends_while_it_waits_for_the_disk_is_not_written() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let bell = Bell::default();
    let writer = Writer::start(store, Batching { batch_ms: 1, ..Batching::default() }, bell.ring()).unwrap();
    let first = tokens(&writer).start;
    let append = |token| Work::Append { class: 0, token, body: body(token, 100) };
    assert_eq!(writer.wait(append(first), Promise::Sync, LONG), Some(Answer::Done));
    disk.set_read_only(true);
    let tickets = [1, 2].map(|n| writer.submit(append(first + n), Promise::Batch).unwrap());
    // The thread has met the failure.
    let failed = writer.wait(append(first + 3), Promise::Sync, LONG);
    assert!(matches!(failed, Some(Answer::Failed(error)) if error.kind() == Kind::ReadOnly));
    let end =
        writer.submit(Work::End { class: 0, token: first + 1, outcome: ACKED }, Promise::Batch).unwrap();
    let mut done = Vec::new();
    let mut collect = |ticket: u64| {
        bell.until(&writer, |results| {
            assert_eq!(results.answers, []);
            done.extend(results.done.iter().flat_map(|(a, b)| *a..=*b));
            done.contains(&ticket)
        });
    };
    collect(tickets[0]);
    disk.set_read_only(false);
    collect(tickets[1]);
    collect(end);
    writer.close().unwrap();
    let mut store = Store::open(disk.folder(), Options::default()).unwrap();
    assert_eq!(drain(&mut store).iter().map(|m| m.id).collect::<Vec<_>>(), [first, first + 2]);
}

/// Messages and notes are refused when there is no room, what ends is not: it makes room.
#[test]
fn notes_take_room_and_what_ends_is_never_refused() {
    let disk = Disk::new();
    let store = Store::open(disk.folder(), Options::default()).unwrap();
    let batching = Batching { max_pending: 5_000, ..Batching::default() };
    let writer = Writer::start(store, batching, || {}).unwrap();
    let token = tokens(&writer).start;
    let held = disk.hold();
    let note = || Work::Note { kind: 1, name: vec![1; 100], value: Some(vec![2; 1_000]) };
    let mut taken = 0;
    let error = loop {
        match writer.submit(note(), Promise::Sync) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10);
    };
    assert!(error.kind() == Kind::Full && error.to_string().contains("no more than 5000 may"), "{error}");
    assert!(taken >= 3, "{taken}");
    for _ in 0..100 {
        writer.submit(Work::End { class: 0, token, outcome: ACKED }, Promise::Written).unwrap();
    }
    drop(held);
    writer.close().unwrap();
}
