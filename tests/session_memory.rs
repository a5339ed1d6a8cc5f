//! Memory of the session: a steady stream of messages asks for none, and when there is none, what was
//! accepted is still sent once there is some again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;

use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Event, Failure, Limits, Outcome, Publication, Session, Verdict};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::{self, Connect, Header, Packet, PacketType, Properties, QoS, Version};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Allocations that are granted before memory is out.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Bytes that were granted and not given back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Counts, and runs out of memory when it is told to, both for the asking thread alone.
struct Counting;

fn hold(more: usize, less: usize) {
    HELD.set(HELD.get() + more as isize - less as isize);
}

fn granted() -> bool {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    match LEFT.get() {
        usize::MAX => true,
        0 => false,
        left => {
            LEFT.set(left - 1);
            true
        }
    }
}

// SAFETY: every block comes from `System` and goes back to it; null is a permitted answer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !granted() {
            return core::ptr::null_mut();
        }
        hold(layout.size(), 0);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !granted() {
            return core::ptr::null_mut();
        }
        hold(size, layout.size());
        // SAFETY: `block` came from `System` with this layout; `size` is the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` with `granted` allocations; everything that was refused shows in its result.
fn with_memory_for<R>(granted: usize, work: impl FnOnce() -> R) -> R {
    LEFT.set(granted);
    let result = work();
    LEFT.set(usize::MAX);
    result
}

/// With room for one packet, so that the test itself needs no memory.
struct Link {
    session: Session,
    now: Time,
    answer: Vec<u8>,
}

impl Link {
    fn new(keep_alive: u16) -> Link {
        let mut link =
            Link { session: Session::new(Limits::default()), now: Time(1), answer: Vec::with_capacity(4096) };
        link.up(keep_alive).unwrap();
        link
    }

    fn up(&mut self, keep_alive: u16) -> Result<(), Failure> {
        self.open(keep_alive);
        self.feed(b"\x20\x02\0\0")
    }

    fn open(&mut self, keep_alive: u16) {
        self.session.opened(self.now, Span::secs(10), None);
        let connect = Connect {
            version: Version::V311,
            clean_session: false,
            keep_alive,
            properties: Properties::EMPTY,
            client_id: "c",
            will: None,
            user_name: None,
            password: None,
        };
        self.session.connect(&connect, Span::secs(10)).unwrap();
        let all = self.session.output().len();
        self.session.wrote(self.now, all);
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.session.received(self.now);
        let step = self.session.input(self.now, bytes)?;
        assert_eq!(step.consumed, bytes.len());
        self.session.handled(Verdict::Ack(0))
    }

    /// The server reads everything there is and answers it.
    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            let pending = self.session.output().pending();
            let Some(header) = Header::parse(pending).unwrap() else { return Ok(()) };
            let body = &pending[usize::from(header.header_len)..header.total()];
            self.answer.clear();
            let ack = |packet, id, out: &mut Vec<u8>| wire::encode_ack(packet, id, out).unwrap();
            match Packet::decode(Version::V311, &header, body).unwrap() {
                Packet::Publish(p) if p.qos == QoS::AtLeastOnce => {
                    ack(PacketType::PubAck, p.packet_id, &mut self.answer)
                }
                Packet::Publish(p) if p.qos == QoS::ExactlyOnce => {
                    ack(PacketType::PubRec, p.packet_id, &mut self.answer)
                }
                Packet::PubRel(a) => ack(PacketType::PubComp, a.packet_id, &mut self.answer),
                Packet::PubRec(a) => ack(PacketType::PubRel, a.packet_id, &mut self.answer),
                Packet::PingReq => self.answer.extend_from_slice(b"\xd0\0"),
                _ => {}
            }
            self.session.wrote(self.now, header.total());
            if !self.answer.is_empty() {
                let answer = std::mem::take(&mut self.answer);
                let result = self.feed(&answer);
                self.answer = answer;
                result?;
            }
        }
    }

    fn publish(&mut self, qos: QoS, reserve_id: bool, payload: &[u8]) -> Result<u64, Code> {
        let message = Publication { reserve_id, ..Publication::new("some/topic", payload, qos) };
        self.session.publish(&message).map(|accepted| accepted.token)
    }
}

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn a_steady_stream_asks_for_no_memory() {
    let mut link = Link::new(60);
    let payload = [b'x'; 1_000];
    let incoming: Vec<Vec<u8>> = ALL
        .iter()
        .map(|&qos| {
            let mut bytes = Vec::new();
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { 9 };
            let publish =
                wire::Publish { qos, topic: "a/b", packet_id, payload: &payload, ..Default::default() };
            publish.encode(Version::V311, &mut bytes).unwrap();
            bytes
        })
        .collect();
    let round = |link: &mut Link| {
        for qos in ALL {
            for reserve in [false, true] {
                for _ in 0..15 {
                    link.publish(qos, reserve, &payload).unwrap();
                }
            }
        }
        for bytes in &incoming {
            link.feed(bytes).unwrap();
        }
        link.serve().unwrap();
        let mut ended = 0;
        while link.session.take_completion().is_some() {
            ended += 1;
        }
        assert_eq!(ended, 90);
        // Never a whole interval of silence: that is when memory is given back.
        link.now = link.now + Span::secs(1);
        link.session.timeout(link.now, None).unwrap();
    };
    for _ in 0..100 {
        round(&mut link);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1_000 {
        round(&mut link);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// The same with hundreds in flight: no number of buffers is the limit of what is used again.
#[test]
fn a_wide_window_asks_for_no_memory() {
    let mut link = Link::new(60);
    link.session.set_limits(Limits { window: 1_000, ..Limits::default() });
    let round = |link: &mut Link| {
        for _ in 0..500 {
            link.publish(QoS::AtLeastOnce, true, &[b'x'; 256]).unwrap();
        }
        assert!(link.session.in_flight() > 400);
        link.serve().unwrap();
        while link.session.take_completion().is_some() {}
    };
    for _ in 0..10 {
        round(&mut link);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..10 {
        round(&mut link);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// A reconnect with everything in flight asks for none either, once the buffers have grown.
/// What a burst needed goes back in the first quiet moment: a keep-alive interval without traffic, and a loop that then
/// asks for the output's buffer.
#[test]
fn a_quiet_moment_gives_memory_back() {
    let mut link = Link::new(60);
    link.session.shrink_output();
    let before = HELD.get();
    let payload = [7; 1000];
    for qos in ALL {
        for _ in 0..100 {
            link.publish(qos, false, &payload).unwrap();
        }
    }
    assert!(HELD.get() > before + 300_000);
    link.serve().unwrap();
    while link.session.take_completion().is_some() {}
    link.session.shrink_output();
    link.now = link.now + Span::secs(60);
    link.session.timeout(link.now, None).unwrap();
    link.serve().unwrap();
    link.session.shrink_output();
    // Of a queue of completions a few places may stay.
    assert!(HELD.get() < before + 1_000, "{} bytes are still held", HELD.get() - before);
}

#[test]
fn redelivery_asks_for_no_memory() {
    let mut link = Link::new(60);
    for _ in 0..50 {
        link.publish(QoS::AtLeastOnce, true, b"payload").unwrap();
    }
    let lose = |link: &mut Link| {
        let all = link.session.output().len();
        link.session.wrote(link.now, all);
        link.session.closed();
        link.up(60).unwrap();
    };
    lose(&mut link);
    lose(&mut link);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        lose(&mut link);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// Memory runs out at each point in turn of publishing, writing and being answered.
#[test]
fn refused_while_publishing() {
    for granted in 0..60 {
        let mut link = Link::new(0);
        let payload = vec![b'x'; 3_000];
        let mut accepted = [None; 30];
        let failed = with_memory_for(granted, || {
            for (n, place) in accepted.iter_mut().enumerate() {
                match link.publish(ALL[n % 3], n % 2 == 0, &payload) {
                    Ok(token) => *place = Some(token),
                    Err(code) => assert_eq!(code, Code::NoMemory),
                }
            }
            link.serve().is_err()
        });
        let mut open: BTreeSet<u64> = accepted.iter().copied().flatten().collect();
        if failed {
            // An answer could not be made: that ends a connection, and nothing else.
            link.session.closed();
            link.up(0).unwrap();
        }
        // With memory, the next publish sets everything in motion again.
        open.insert(link.publish(QoS::AtLeastOnce, false, b"last").unwrap());
        link.serve().unwrap();
        while let Some(completion) = link.session.take_completion() {
            assert!(open.remove(&completion.token), "{granted}");
            let expected = [Outcome::Acked, Outcome::Sent];
            assert!(failed || expected.contains(&completion.outcome), "{granted}: {completion:?}");
        }
        assert_eq!(open, BTreeSet::new(), "{granted}");
        assert_eq!(link.session.queue_len(), 0);
    }
}

/// What a session needs for publishing is made by the first message. Without memory for that, or for any part of the
/// message, it is as if nothing had been asked.
#[test]
fn refused_at_the_first_publish() {
    for qos in ALL {
        for granted in 0..4 {
            let mut link = Link::new(60);
            link.session.shrink_output();
            let refused = with_memory_for(granted, || link.publish(qos, true, b"x").err());
            if refused.is_none() {
                continue;
            }
            assert_eq!(refused, Some(Code::NoMemory), "{qos:?} {granted}");
            assert_eq!((link.session.accepted(), link.session.outstanding()), (0, 0));
            assert!(link.session.output().is_empty());
            assert_eq!(link.session.counts().accepted, 0);
            assert_eq!(link.session.take_completion(), None);
            let token = link.publish(qos, true, b"x").unwrap();
            assert_eq!((link.session.accepted(), link.session.token_of(1)), (1, Some(token)));
            link.serve().unwrap();
            assert_eq!(link.session.take_completion().map(|ended| ended.token), Some(token));
        }
    }
}

/// Subscribing needs packet ids: without memory for them, the filter is asked for as soon as there is some.
#[test]
fn refused_at_the_first_packet_id() {
    let mut link = Link::new(60);
    assert_eq!(with_memory_for(0, || link.session.next_packet_id()), Err(Code::NoMemory));
    assert_eq!(link.session.next_packet_id(), Ok(1));

    let mut link = Link::new(60);
    link.session.shrink_output();
    link.session.desire("a/b".into(), QoS::AtLeastOnce, None);
    with_memory_for(0, || link.session.flush_subscriptions());
    assert!(link.session.output().is_empty());
    assert_eq!(link.session.pending_subscriptions(), 1);
    link.session.flush_subscriptions();
    assert_eq!(link.session.output().pending()[0], 0x82);
}

/// A message over the limit needs memory to be skipped: without it the connection ends, and the server sends the
/// message again, if it has to.
#[test]
fn refused_while_skipping() {
    let limits = Limits { max_incoming: 100, ..Limits::default() };
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut link = Link::new(60);
        link.session.set_limits(limits.clone());
        let mut large = Vec::new();
        let publish =
            wire::Publish { qos, topic: "t", packet_id: 7, payload: &[b'x'; 200], ..Default::default() };
        publish.encode(Version::V311, &mut large).unwrap();
        let failure = with_memory_for(0, || link.session.input(link.now, &large).err());
        assert_eq!(failure.map(|failure| failure.code), Some(Code::NoMemory), "{qos:?}");
        assert_eq!(link.session.counts().rx_oversize, 0);
        link.session.closed();
        link.open(60);
        link.feed(b"\x20\x02\x01\0").unwrap();
        let step = link.session.input(link.now, &large).unwrap();
        assert_eq!(step.event, None);
        let skipped = link.session.input(link.now, &large[step.consumed..]).unwrap();
        assert_eq!(step.consumed + skipped.consumed, large.len());
        assert!(matches!(skipped.event, Some(Event::Oversize { size: 200, .. })));
        link.session.handled(Verdict::Ack(0)).unwrap();
        assert_eq!(link.session.counts().rx_oversize, 1);
    }
}

/// What waited for the connection cannot be encoded when it comes.
#[test]
fn refused_while_sending_what_waits() {
    for granted in 0..8 {
        let mut link = Link::new(0);
        link.session.closed();
        for _ in 0..5 {
            link.publish(QoS::AtLeastOnce, false, &[b'x'; 5_000]).unwrap();
        }
        link.open(0);
        with_memory_for(granted, || link.feed(b"\x20\x02\0\0")).unwrap();
        link.publish(QoS::AtMostOnce, false, b"").unwrap();
        link.publish(QoS::AtLeastOnce, false, b"last").unwrap();
        link.serve().unwrap();
        assert_eq!(std::iter::from_fn(|| link.session.take_completion()).count(), 7, "{granted}");
    }
}

/// A QoS 2 message is not delivered if it cannot be remembered: it would be delivered again.
/// mqtt3: MQTT-4.8.0-2
#[test]
fn refused_while_receiving() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut link = Link::new(60);
        link.session.shrink_output();
        let mut failures = 0;
        let mut packets = Vec::new();
        for packet_id in 1..40 {
            let mut bytes = Vec::new();
            let publish = wire::Publish { qos, topic: "t", packet_id, payload: b"x", ..Default::default() };
            publish.encode(Version::V311, &mut bytes).unwrap();
            packets.push(bytes);
        }
        for bytes in &packets {
            let mut deliveries = 0;
            for granted in [0, 1, usize::MAX] {
                let failure = with_memory_for(granted, || match link.session.input(link.now, bytes) {
                    Ok(step) => {
                        deliveries += usize::from(step.event.is_some());
                        link.session.handled(Verdict::Ack(0)).err()
                    }
                    Err(failure) => Some(failure),
                });
                if let Some(failure) = failure {
                    assert_eq!(failure.code, Code::NoMemory);
                    failures += 1;
                    // The server keeps the session and sends it again.
                    link.session.closed();
                    link.open(60);
                    link.feed(b"\x20\x02\x01\0").unwrap();
                    link.session.shrink_output();
                }
            }
            if qos == QoS::ExactlyOnce {
                assert_eq!(deliveries, 1);
            } else {
                assert!(deliveries >= 1);
            }
        }
        assert!(failures > 0, "{qos:?}: there was always memory");
    }
}

fn message(qos: QoS, packet_id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publish = wire::Publish { qos, topic: "t", packet_id, payload: b"x", ..Default::default() };
    publish.encode(Version::V311, &mut bytes).unwrap();
    bytes
}

/// Messages that are acknowledged later, in another order than they came.
#[test]
fn holding_asks_for_no_memory() {
    let mut link = Link::new(60);
    let packets: Vec<_> = [QoS::AtLeastOnce, QoS::ExactlyOnce]
        .iter()
        .flat_map(|&qos| (1..20).map(move |id| (qos, id, message(qos, id))))
        .collect();
    let mut held = Vec::with_capacity(packets.len());
    let round = |link: &mut Link, held: &mut Vec<_>| {
        for (_, _, bytes) in &packets {
            link.session.input(link.now, bytes).unwrap();
            held.push(link.session.hold().unwrap().unwrap());
            link.session.handled(Verdict::Ack(0)).unwrap();
        }
        while let Some(hold) = held.pop() {
            link.session.let_go(hold, 0).unwrap();
        }
        link.serve().unwrap();
    };
    for _ in 0..10 {
        round(&mut link, &mut held);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        round(&mut link, &mut held);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// A hold that there is no memory for leaves nothing behind: the message is sent again, and delivered again.
#[test]
fn refused_while_holding() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for granted in 0..4 {
            let mut link = Link::new(60);
            let bytes = message(qos, 7);
            link.session.input(link.now, &bytes).unwrap();
            let hold = with_memory_for(granted, || link.session.hold());
            if let Err(code) = hold {
                assert_eq!(code, Code::NoMemory);
                link.session.handled(Verdict::NotDelivered).unwrap();
                assert!(link.session.output().is_empty());
                link.session.closed();
                link.open(60);
                link.feed(b"\x20\x02\x01\0").unwrap();
                assert!(link.session.input(link.now, &bytes).unwrap().event.is_some());
                link.session.hold().unwrap().unwrap();
            } else {
                assert!(granted > 0);
            }
            link.session.handled(Verdict::Ack(0)).unwrap();
            assert!(link.session.output().is_empty(), "it is held");
        }
    }
}

/// There was room for the outcomes of those that are outstanding as long as no outcome was remembered.
#[test]
fn remembering_more_from_now_on_needs_no_memory_for_what_is_outstanding() {
    let mut link = Link::new(0);
    link.session.set_limits(Limits { outcome_history: 0, window: 100, ..Limits::default() });
    link.session.tell_all_completions(false);
    let tokens: Vec<u64> = (0..40)
        .map(|_| link.session.publish(&Publication::new("t", b"x", QoS::AtLeastOnce)).unwrap().token)
        .collect();
    let all = link.session.output().len();
    link.session.wrote(link.now, all);
    link.session.set_limits(Limits { outcome_history: 1_000, window: 100, ..Limits::default() });
    // In this order, none of them can share a place with another.
    with_memory_for(0, || (1..=40).rev().all(|id| link.feed(&[0x40, 2, 0, id]).is_ok()));
    assert_eq!(link.session.counts().acked, 40);
    // The last ones are known as far as there was memory for them.
    assert_eq!(link.session.remembered(tokens[0]), Some(Outcome::Acked));
    assert_eq!(link.session.remembered(tokens[39]), None);
}
