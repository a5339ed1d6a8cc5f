//! Messages that come in one piece, and handlers that do something in the middle of them: what a handler does holds
//! for the very next message, although the client has read that one already.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, Message, ProfileSource, Slot};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::{Header, Packet, Publish, QoS, Version};

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

type Act = dyn Fn(&Arc<Conn>, &Message<'_>) + Send + Sync;

/// What handlers share: the connection, what they were told, and what to do then.
struct Shared {
    conn: OnceLock<Arc<Conn>>,
    log: Mutex<Vec<String>>,
    act: Box<Act>,
}

/// A handler with a name.
struct Named(&'static str, Arc<Shared>);

impl Callback<Conn> for Named {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        let Event::Message(message) = event else { return };
        let Named(name, shared) = self;
        let payload = String::from_utf8_lossy(message.payload);
        shared.log.lock().unwrap().push(format!("{name} {}={payload}", message.topic.as_str()));
        (shared.act)(shared.conn.get().unwrap(), message);
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // User code like any other: it may look at the connection, so no lock may be held.
        if let Some(conn) = self.1.conn.get() {
            conn.unsent_bytes();
        }
        self.1.log.lock().unwrap().push(format!("{} ends", self.0));
    }
}

/// A client that is connected.
struct Rig {
    driver: Loop,
    conn: Arc<Conn>,
    link: TcpStream,
    shared: Arc<Shared>,
}

fn rig(act: impl Fn(&Arc<Conn>, &Message<'_>) + Send + Sync + 'static) -> Rig {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = Some(listener.local_addr().unwrap().to_string());
    let profile = Profile { enable: true, server, ..Profile::default() };
    let driver = Loop::new(Clock::monotonic()).unwrap();
    let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
    let context = Arc::new(Context::new(driver.clone()));
    let conn = Conn::new(context, 1, profiles, Settings::default()).unwrap();
    let shared = Arc::new(Shared { conn: OnceLock::new(), log: Mutex::default(), act: Box::new(act) });
    assert!(shared.conn.set(conn.clone()).is_ok());
    conn.connect().unwrap();
    let server = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        let mut header = [0; 2];
        link.read_exact(&mut header).unwrap();
        link.read_exact(&mut vec![0; usize::from(header[1])]).unwrap();
        link.write_all(b"\x20\x02\0\0").unwrap();
        link
    });
    let end = driver.now() + Span::secs(20);
    assert!(driver.wait(Some(end), &mut || conn.is_connected()).unwrap());
    Rig { driver, conn, link: server.join().unwrap(), shared }
}

impl Rig {
    fn subscribe(self, filter: &str, name: &'static str) -> Rig {
        subscribe(&self.shared, filter, name);
        self
    }

    /// Sends all of it in one piece, and at its end something that is always answered. When the answer is there, or
    /// the client is gone, the server closes.
    ///
    /// What the handlers were told, and what was written, without the SUBSCRIBEs and UNSUBSCRIBEs.
    fn run(self, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
        const LAST: &[u8] = &[0x62, 2, 0x0f, 0xff];
        const ANSWER: &[u8] = &[0x70, 2, 0x0f, 0xff];
        let bytes = [bytes, LAST].concat();
        let mut link = self.link;
        let server = std::thread::spawn(move || {
            link.write_all(&bytes).unwrap();
            let (mut written, mut some) = (Vec::new(), [0; 4096]);
            while !written.ends_with(ANSWER) {
                // A client that aborts may reset the link.
                let n = link.read(&mut some).unwrap_or(0);
                if n == 0 {
                    return written;
                }
                written.extend_from_slice(&some[..n]);
            }
            written.truncate(written.len() - ANSWER.len());
            written
        });
        let end = self.driver.now() + Span::secs(20);
        let over = &mut || !self.conn.is_connected() || self.conn.is_gone();
        assert!(self.driver.wait(Some(end), over).unwrap());
        let log = self.shared.log.lock().unwrap().clone();
        self.conn.free(None);
        (log, packets(&server.join().unwrap()))
    }
}

fn subscribe(shared: &Arc<Shared>, filter: &str, name: &'static str) {
    let callback = Box::new(Named(name, shared.clone()));
    let conn = shared.conn.get().unwrap();
    conn.subscribe(filter, Q2, Identity(name.as_ptr() as usize, 0), Kind::Message.bit(), callback).unwrap();
}

fn packets(mut bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(header) = Header::parse(bytes).unwrap() {
        let (packet, rest) = bytes.split_at(header.total());
        bytes = rest;
        match Packet::decode(Version::V311, &header, &packet[usize::from(header.header_len)..]).unwrap() {
            Packet::Publish(publish) => all.push(format!("PUBLISH {}", publish.topic)),
            Packet::PubAck(ack) => all.push(format!("PUBACK {}", ack.packet_id)),
            Packet::PubRec(ack) => all.push(format!("PUBREC {}", ack.packet_id)),
            Packet::PubComp(ack) => all.push(format!("PUBCOMP {}", ack.packet_id)),
            Packet::PubRel(ack) => all.push(format!("PUBREL {}", ack.packet_id)),
            Packet::Disconnect(_) => all.push("DISCONNECT".into()),
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(bytes.is_empty());
    all
}

/// Messages as (QoS, id, topic); the payload is the number of the message.
fn messages(all: &[(QoS, u16, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, &(qos, packet_id, topic)) in (1..).zip(all) {
        let payload = format!("{n}");
        let payload = payload.as_bytes();
        let publish = Publish { qos, packet_id, topic, payload, ..Publish::default() };
        publish.encode(Version::V311, &mut bytes).unwrap();
    }
    bytes
}

fn is(message: &Message<'_>, n: &str) -> bool {
    message.payload == n.as_bytes()
}

#[test]
fn each_goes_to_its_own_handler() {
    let all =
        messages(&[(Q0, 0, "a"), (Q0, 0, "a"), (Q1, 1, "b"), (Q0, 0, "a"), (Q0, 0, "c"), (Q0, 0, "c/d")]);
    let rig =
        rig(|_, _| {}).subscribe("a", "A").subscribe("b", "B").subscribe("c", "C").subscribe("c/d", "D");
    let (log, written) = rig.run(&all);
    assert_eq!(log, ["A a=1", "A a=2", "B b=3", "A a=4", "C c=5", "D c/d=6"]);
    assert_eq!(written, ["PUBACK 1"]);
}

#[test]
fn wildcards_and_the_slot_get_theirs_too() {
    let all = messages(&[(Q0, 0, "a"), (Q0, 0, "a"), (Q0, 0, "b"), (Q0, 0, "a")]);
    let (log, _) = rig(|_, _| {}).subscribe("a", "A").subscribe("+", "W").run(&all);
    assert_eq!(log, ["W a=1", "A a=1", "W a=2", "A a=2", "W b=3", "W a=4", "A a=4"]);
    let rig = rig(|_, _| {}).subscribe("a", "A");
    rig.conn.set_slot(Slot::Message, Some(Box::new(Named("S", rig.shared.clone())))).unwrap();
    assert_eq!(rig.run(&all).0, ["A a=1", "S a=1", "A a=2", "S a=2", "S b=3", "A a=4", "S a=4"]);
}

#[test]
fn one_that_unsubscribes_gets_no_more_and_ends_with_no_lock_held() {
    let rig = rig(|conn, message| {
        if is(message, "2") {
            assert!(conn.unsubscribe("a", None).unwrap());
        }
    });
    let all = messages(&[(Q1, 1, "a"), (Q1, 2, "a"), (Q1, 3, "a"), (Q1, 4, "b")]);
    let (log, written) = rig.subscribe("a", "A").subscribe("b", "B").run(&all);
    assert_eq!(log, ["A a=1", "A a=2", "A ends", "B b=4"]);
    assert_eq!(written, ["PUBACK 1", "PUBACK 2", "PUBACK 3", "PUBACK 4"]);
}

#[test]
fn another_thread_takes_it_away() {
    let rig = rig(|conn, message| {
        if is(message, "2") {
            let conn = conn.clone();
            std::thread::spawn(move || assert!(conn.unsubscribe("a", None).unwrap())).join().unwrap();
        }
    });
    let all = messages(&[(Q0, 0, "a"), (Q0, 0, "a"), (Q0, 0, "a")]);
    assert_eq!(rig.subscribe("a", "A").run(&all).0, ["A a=1", "A a=2", "A ends"]);
}

#[test]
fn a_second_handler_gets_the_next_one() {
    let added = OnceLock::new();
    let holder: Arc<OnceLock<Arc<Shared>>> = Arc::new(added);
    let shared = holder.clone();
    let rig = rig(move |_, message| {
        if is(message, "2") {
            subscribe(shared.get().unwrap(), "a", "B");
        }
    });
    assert!(holder.set(rig.shared.clone()).is_ok());
    let all = messages(&[(Q0, 0, "a"), (Q0, 0, "a"), (Q0, 0, "a")]);
    assert_eq!(rig.subscribe("a", "A").run(&all).0, ["A a=1", "A a=2", "B a=3", "A a=3"]);
}

#[test]
fn what_is_published_goes_before_the_acknowledgement() {
    let rig = rig(|conn, message| {
        if message.packet_id % 2 == 0 {
            conn.publish(Publication::new("answer", b"", Q0)).unwrap();
        }
    });
    let all = messages(&[(Q1, 1, "a"), (Q1, 2, "a"), (Q1, 3, "a"), (Q2, 4, "a"), (Q1, 5, "a")]);
    let (log, written) = rig.subscribe("a", "A").run(&all);
    assert_eq!(log, ["A a=1", "A a=2", "A a=3", "A a=4", "A a=5"]);
    let expected =
        ["PUBACK 1", "PUBLISH answer", "PUBACK 2", "PUBACK 3", "PUBLISH answer", "PUBREC 4", "PUBACK 5"];
    assert_eq!(written, expected);
}

#[test]
fn one_that_is_held_holds_the_next_ones_up() {
    let held = Arc::new(Mutex::new(None));
    let rig = rig(move |conn, message| {
        if is(message, "2") {
            *held.lock().unwrap() = conn.defer().unwrap();
        } else if is(message, "4") {
            conn.acknowledge(held.lock().unwrap().take().unwrap()).unwrap();
            conn.publish(Publication::new("now", b"", Q0)).unwrap();
        }
    });
    let all = messages(&[(Q1, 1, "a"), (Q1, 2, "a"), (Q1, 3, "a"), (Q1, 4, "a"), (Q1, 5, "a")]);
    let (log, written) = rig.subscribe("a", "A").run(&all);
    assert_eq!(log.len(), 5);
    assert_eq!(written, ["PUBACK 1", "PUBACK 2", "PUBACK 3", "PUBLISH now", "PUBACK 4", "PUBACK 5"]);
}

#[test]
fn one_that_is_refused_is_not_acknowledged_and_the_next_ones_wait() {
    let rig = rig(|conn, message| {
        if is(message, "2") {
            conn.refuse(0x80).unwrap();
        }
    });
    let all = messages(&[(Q1, 1, "a"), (Q1, 2, "a"), (Q1, 3, "a")]);
    let (log, written) = rig.subscribe("a", "A").run(&all);
    assert_eq!(log[..3], ["A a=1", "A a=2", "A a=3"]);
    assert_eq!(written, ["PUBACK 1"]);
}

#[test]
fn after_a_disconnect_nothing_more_is_told_and_the_present_one_is_acknowledged() {
    for graceful in [true, false] {
        let rig = rig(move |conn, message| {
            if is(message, "2") {
                if graceful { conn.disconnect().unwrap() } else { conn.abort().unwrap() }
            }
        });
        let all = messages(&[(Q1, 1, "a"), (Q1, 2, "a"), (Q1, 3, "a")]);
        let (log, written) = rig.subscribe("a", "A").run(&all);
        assert_eq!(log, ["A a=1", "A a=2"]);
        let expected: &[&str] = if graceful { &["PUBACK 1", "PUBACK 2", "DISCONNECT"] } else { &[] };
        assert_eq!(written, expected);
    }
}

#[test]
fn after_a_free_nothing_more_is_told() {
    let rig = rig(|conn, message| {
        if is(message, "2") {
            conn.free(None);
        }
    });
    let all = messages(&[(Q0, 0, "a"), (Q0, 0, "a"), (Q0, 0, "a")]);
    let log = rig.subscribe("a", "A").run(&all).0;
    assert_eq!(log[..2], ["A a=1", "A a=2"]);
    assert!(!log.iter().any(|line| line == "A a=3"));
}

#[test]
fn exactly_once_within_one_piece() {
    let mut bytes = messages(&[(Q2, 7, "a"), (Q2, 7, "a"), (Q2, 8, "a")]);
    bytes.extend_from_slice(&[0x62, 2, 0, 7]);
    bytes.extend_from_slice(&messages(&[(Q2, 7, "a"), (Q2, 8, "a")]));
    bytes.extend_from_slice(&[0x62, 2, 0, 8, 0x62, 2, 0, 9]);
    let (log, written) = rig(|_, _| {}).subscribe("a", "A").run(&bytes);
    assert_eq!(log, ["A a=1", "A a=3", "A a=1"]);
    let recs =
        ["PUBREC 7", "PUBREC 7", "PUBREC 8", "PUBCOMP 7", "PUBREC 7", "PUBREC 8", "PUBCOMP 8", "PUBCOMP 9"];
    assert_eq!(written, recs);
}

#[test]
fn a_handler_of_the_connection_is_told_of_each_release() {
    struct Releases(Arc<Shared>);
    impl Callback<Conn> for Releases {
        fn call(&self, _: &Conn, event: &Event<'_>) {
            self.0.log.lock().unwrap().push(format!("{event:?}"));
        }
    }
    let rig = rig(|_, _| {}).subscribe("a", "A");
    let callback = Box::new(Releases(rig.shared.clone()));
    rig.conn.add_handler(Identity(9, 9), Kind::PubRel.bit(), callback).unwrap();
    let mut bytes = messages(&[(Q2, 1, "a"), (Q2, 2, "a")]);
    bytes.extend_from_slice(&[0x62, 2, 0, 1, 0x62, 2, 0, 2]);
    assert_eq!(rig.run(&bytes).0, ["A a=1", "A a=2", "PubRel(1)", "PubRel(2)", "PubRel(4095)"]);
}

/// A handler of the connection that notes which acknowledgements it is told of, and then acts.
struct Acks(&'static str, Arc<Shared>, Box<AckAct>);

type AckAct = dyn Fn(&Arc<Conn>, u16) + Send + Sync;

impl Callback<Conn> for Acks {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        let (Event::PubAck(ack, topic, _) | Event::PubComp(ack, topic, _)) = event else { return };
        let Acks(name, shared, act) = self;
        let topic = topic.map_or("", |topic| topic.as_str());
        shared.log.lock().unwrap().push(format!("{name} {} {topic}", ack.packet_id));
        act(shared.conn.get().unwrap(), ack.packet_id);
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        if let Some(conn) = self.1.conn.get() {
            conn.unsent_bytes();
        }
        self.1.log.lock().unwrap().push(format!("{} ends", self.0));
    }
}

/// Publishes `n` messages, which the server answers all in one piece; what the handlers were told.
fn acknowledge(
    n: u16,
    qos: QoS,
    rig: Rig,
    act: impl Fn(&Arc<Conn>, u16) + Send + Sync + 'static,
) -> Vec<String> {
    let acks = Acks("A", rig.shared.clone(), Box::new(act));
    rig.conn.add_handler(Identity(1, 1), Kind::PubAck.bit() | Kind::PubComp.bit(), Box::new(acks)).unwrap();
    for n in 1..=n {
        let topic = format!("t/{n}");
        let message = Publication { reserve_id: true, ..Publication::new(&topic, b"", qos) };
        assert_eq!(rig.conn.publish(message).unwrap().packet_id, n);
    }
    // They have to be written before they can be acknowledged.
    let end = rig.driver.now() + Span::secs(20);
    assert!(rig.driver.wait(Some(end), &mut || rig.conn.output_level() == 0).unwrap());
    let answers = |first: u8| (1..=n).flat_map(move |n| [first, 2, (n >> 8) as u8, n as u8]);
    let bytes: Vec<u8> = match qos {
        Q1 => answers(0x40).collect(),
        _ => answers(0x50).chain(answers(0x70)).collect(),
    };
    rig.run(&bytes).0
}

fn lines(name: &str, ids: impl IntoIterator<Item = u16>) -> Vec<String> {
    ids.into_iter().map(|id| format!("{name} {id} t/{id}")).collect()
}

#[test]
fn acknowledgements_in_one_piece_are_told_in_order_with_their_topics() {
    for qos in [Q1, Q2] {
        assert_eq!(acknowledge(15, qos, rig(|_, _| {}), |_, _| {}), lines("A", 1..=15));
    }
}

#[test]
fn a_handler_removed_in_the_middle_is_told_of_no_further_acknowledgement() {
    let log = acknowledge(15, Q1, rig(|_, _| {}), |conn, id| {
        if id == 7 {
            assert!(conn.remove_handler(Identity(1, 1)));
        }
    });
    assert_eq!(log, [lines("A", 1..=7), vec!["A ends".into()]].concat());
}

#[test]
fn a_handler_added_in_the_middle_is_told_of_the_next_acknowledgement() {
    let rig = rig(|_, _| {});
    let shared = rig.shared.clone();
    let log = acknowledge(5, Q1, rig, move |conn, id| {
        if id == 2 {
            let second = Acks("B", shared.clone(), Box::new(|_, _| {}));
            conn.add_handler(Identity(2, 2), Kind::PubAck.bit(), Box::new(second)).unwrap();
        }
    });
    let both = (3..=5).flat_map(|id| [lines("B", [id]), lines("A", [id])].concat());
    assert_eq!(log[..8], lines("A", 1..=2).into_iter().chain(both).collect::<Vec<_>>());
}

#[test]
fn a_subscriber_added_in_the_middle_is_told_of_the_next_acknowledgement() {
    let rig = rig(|_, _| {});
    let shared = rig.shared.clone();
    let log = acknowledge(4, Q1, rig, move |conn, id| {
        if id == 2 {
            let second = Acks("B", shared.clone(), Box::new(|_, _| {}));
            let kinds = Kind::PubAck.bit();
            conn.subscribe("t/4", Q0, Identity(2, 2), kinds, Box::new(second)).unwrap();
        }
    });
    assert_eq!(log[..5], ["A 1 t/1", "A 2 t/2", "A 3 t/3", "B 4 t/4", "A 4 t/4"]);
}

#[test]
fn an_acknowledgement_goes_to_who_subscribed_to_its_topic() {
    let kinds = Kind::PubAck.bit();
    for alone in [false, true] {
        let rig = rig(|_, _| {});
        let shared = rig.shared.clone();
        let log = acknowledge(5, Q1, rig, move |conn, id| {
            if id != 1 {
                return;
            }
            let exact = Acks("exact", shared.clone(), Box::new(|_, _| {}));
            conn.subscribe("t/2", Q0, Identity(2, 2), kinds, Box::new(exact)).unwrap();
            let wild = Acks(
                "wild",
                shared.clone(),
                Box::new(|conn, id| {
                    assert_eq!(conn.unsubscribe("+/3", Some(Identity(3, 3))), Ok(true), "{id}");
                }),
            );
            conn.subscribe("+/3", Q0, Identity(3, 3), kinds, Box::new(wild)).unwrap();
            if alone {
                assert!(conn.remove_handler(Identity(1, 1)));
            }
        });
        let expected: &[&str] = if alone {
            &["A 1 t/1", "A ends", "exact 2 t/2", "wild 3 t/3", "wild ends"]
        } else {
            &["A 1 t/1", "exact 2 t/2", "A 2 t/2", "wild 3 t/3", "A 3 t/3", "wild ends", "A 4 t/4", "A 5 t/5"]
        };
        assert_eq!(log[..expected.len()], *expected);
        assert_eq!(log.len(), expected.len());
    }
}

/// What is published in a handler finds the messages that are acknowledged at the same time out of its way.
#[test]
fn handlers_of_acknowledgements_publish_and_look_about() {
    let log = acknowledge(5, Q1, rig(|_, _| {}), |conn, id| {
        if id <= 5 {
            let message = Publication { reserve_id: true, ..Publication::new("next", b"payload", Q1) };
            conn.publish(message).unwrap();
            assert_eq!(conn.token_of(id).err(), Some(mgos_mqtt::error::Code::NotFound));
        }
    });
    assert_eq!(log[..5], lines("A", 1..=5));
}

#[test]
fn after_a_free_no_acknowledgement_is_told() {
    let log = acknowledge(5, Q1, rig(|_, _| {}), |conn, id| {
        if id == 2 {
            conn.free(None);
        }
    });
    assert_eq!(log[..2], lines("A", 1..=2));
    assert!(!log.iter().any(|line| line.starts_with("A 3")), "{log:?}");
}

#[test]
fn what_is_wrong_ends_the_connection_behind_what_was_right() {
    for wrong in
        [&b"\x30\x05\0\x03a/#"[..], b"\x32\x05\0\x01a\0\0", b"\x36\x05\0\x01a\0\x01", b"\x38\x03\0\x01a"]
    {
        let mut bytes = messages(&[(Q0, 0, "a"), (Q0, 0, "a")]);
        bytes.extend_from_slice(wrong);
        bytes.extend_from_slice(&messages(&[(Q0, 0, "a")]));
        let (log, _) = rig(|_, _| {}).subscribe("a", "A").run(&bytes);
        assert_eq!(log, ["A a=1", "A a=2"], "{wrong:?}");
    }
}

#[test]
fn over_the_limit_is_skipped_between_others() {
    let rig = rig(|conn, message| {
        if is(message, "1") {
            conn.set_receive_limit(10).unwrap();
        }
    });
    let mut bytes = messages(&[(Q1, 1, "a")]);
    let publish = Publish { qos: Q1, packet_id: 2, topic: "a", payload: &[b'x'; 20], ..Publish::default() };
    publish.encode(Version::V311, &mut bytes).unwrap();
    bytes.extend_from_slice(&messages(&[(Q1, 3, "a")]));
    let (log, written) = rig.subscribe("a", "A").run(&bytes);
    assert_eq!(log, ["A a=1", "A a=1"]);
    assert_eq!(written, ["PUBACK 1", "PUBACK 2", "PUBACK 3"]);
}
