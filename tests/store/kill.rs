//! A process that uses a store is killed at any moment, again and again; the next one finds what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use mgos_mqtt::store::{
    Answer, Batching, Folder, Message, Options, Outcome, Promise, Store, Stored, Work, Writer,
};

use crate::store_support::Random;

/// The folder for the process that is killed; it is a test like the others, and does nothing without this.
const FOLDER: &str = "MGOS_MQTT_TEST_STORE";

fn body(token: u64) -> Vec<u8> {
    let payload = vec![token as u8; (token % 400) as usize];
    let message = Message { topic: b"killed", payload: &payload, qos: 1, ..Message::default() };
    let mut body = Vec::new();
    message.encode(&mut body).unwrap();
    body
}

fn open(folder: &Path) -> Store {
    let options = Options { segment_bytes: 8 * 1024, ..Options::default() };
    Store::open(Box::new(Folder::new(folder).unwrap()), options).unwrap()
}

/// Says something at once, whatever the test's harness does with its output.
fn say(what: char, token: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {token}").and_then(|()| out.flush()).unwrap();
}

/// Publishes and acknowledges until it is killed: `+` accepted, `?` about to end, `-` ended.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let writer =
        Writer::start(open(Path::new(&folder)), Batching { batch_ms: 2, ..Batching::default() }, || {})
            .unwrap();
    let Some(Answer::Tokens(tokens)) = writer.wait(Work::Reserve, Promise::Sync, None) else { panic!() };
    // Tokens are handed over in their order.
    let next = Mutex::new(tokens);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (writer, next) = (&writer, &next);
            scope.spawn(move || {
                loop {
                    // A class of its own for each thread: within it tokens ascend.
                    let token = next.lock().unwrap().next().unwrap();
                    let append = Work::Append { class: thread, token, body: body(token) };
                    assert_eq!(writer.wait(append, Promise::Sync, None), Some(Answer::Done));
                    say('+', token);
                    if token % 5 != 0 {
                        say('?', token);
                        let end = Work::End { class: thread, token, outcome: Outcome { kind: 0, detail: 0 } };
                        let promise = if token % 2 == 0 { Promise::Sync } else { Promise::Written };
                        assert_eq!(writer.wait(end, promise, None), Some(Answer::Done));
                        say('-', token);
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_that_it_was_promised() {
    let folder = std::env::temp_dir().join(format!("mgos-mqtt-kill-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut random = Random(7);
    let (mut accepted, mut ending, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut last = 0;
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::the_process_that_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut left = random.below(150);
        let out = child.stdout.take().unwrap();
        let mut is_killed = false;
        if left == 0 {
            child.kill().unwrap();
            is_killed = true;
        }
        for line in BufReader::new(out).lines() {
            let line = line.unwrap();
            let Some((what, token)) = line.split_once(' ').filter(|(what, _)| what.len() == 1) else {
                continue;
            };
            let token: u64 = token.parse().unwrap();
            match what {
                "+" => assert!(token > last && accepted.insert(token), "token {token} came twice"),
                "?" => assert!(ending.insert(token)),
                "-" => assert!(ended.insert(token)),
                _ => unreachable!("{line}"),
            }
            left = left.saturating_sub(1);
            if left == 0 && !is_killed {
                child.kill().unwrap();
                is_killed = true;
            }
        }
        child.wait().unwrap();
        assert!(is_killed, "round {round}: it ended by itself");
        last = accepted.last().copied().unwrap_or(last);
        let mut store = open(&folder);
        let mut there = BTreeMap::new();
        for class in 0..4 {
            let mut out = Vec::<Stored>::new();
            while store.read(class, out.last().map_or(0, |m| m.id), 50, 1 << 16, &mut out).unwrap() {}
            there.extend(out.into_iter().map(|message| (message.id, message.body)));
        }
        for token in accepted.difference(&ending) {
            assert!(there.contains_key(token), "round {round}: message {token} is lost");
        }
        for (token, there) in &there {
            assert_eq!(*there, body(*token), "round {round}: message {token}");
            assert!(!ended.contains(token), "round {round}: message {token} ended, and is there again");
        }
    }
    println!("{} messages accepted, {} ended", accepted.len(), ended.len());
    assert!(ended.len() > 100);
    std::fs::remove_dir_all(&folder).unwrap();
}
