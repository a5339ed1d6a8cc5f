//! Memory: an encoder that gets none changes nothing, and the hot paths allocate none.

mod wire_common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mgos_mqtt::wire::{
    Ack, ConnAck, Connect, Disconnect, EncodeError, Packet, PacketType, Properties, PropertyId,
    PropertyValue, Publish, QoS, SubAck, Subscribe, SubscribeOptions, UnsubAck, Unsubscribe, Version, Will,
    encode_ack, encode_empty,
};
use wire_common::{VERSIONS, decode};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts, and on demand is out of memory, both for the asking thread alone.
struct Counting;

// SAFETY: every block comes from `System` and goes back to it; null is a permitted answer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        if EXHAUSTED.get() {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        if EXHAUSTED.get() {
            return core::ptr::null_mut();
        }
        // SAFETY: `block` came from `System` with this layout; `size` is the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of allocations that `work` asked for.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// One allocation at most, the right answer without memory, and an untouched output then.
fn check(what: &str, encode: impl Fn(&mut Vec<u8>) -> Result<(), EncodeError>) {
    let mut out = Vec::new();
    let mut result = Ok(());
    assert_eq!(allocations(|| result = encode(&mut out)), 1, "{what}");
    assert_eq!(result, Ok(()), "{what}");
    let size = out.len();

    for before in [&b""[..], b"kept"] {
        let mut out = before.to_vec();
        out.shrink_to_fit();
        EXHAUSTED.set(true);
        let result = encode(&mut out);
        EXHAUSTED.set(false);
        assert_eq!(result, Err(EncodeError::NoMemory), "{what}");
        assert_eq!(out, before, "{what}");
    }

    // The reservation is for the packet and no more.
    let mut out = Vec::with_capacity(size);
    assert_eq!(allocations(|| result = encode(&mut out)), 0, "{what}");
    assert_eq!(result, Ok(()), "{what}");
}

#[test]
fn encoders() {
    let list = [(PropertyId::UserProperty, PropertyValue::Pair("name", "value"))];
    for version in VERSIONS {
        let properties = match version {
            Version::V5 => Properties::from_list(&list),
            _ => Properties::EMPTY,
        };
        let will = Will { topic: "w", payload: b"gone", qos: QoS::AtLeastOnce, retain: true, properties };
        let connect = Connect {
            version,
            clean_session: true,
            keep_alive: 60,
            properties,
            client_id: "client",
            will: Some(will),
            user_name: Some("user"),
            password: Some(b"password"),
        };
        let publish = Publish {
            topic: "some/topic",
            qos: QoS::AtLeastOnce,
            packet_id: 9,
            payload: &[7; 1_000],
            properties,
            ..Publish::default()
        };
        let codes: &[u8] = if version == Version::V5 { &[0, 0] } else { &[] };
        let packets = [
            Packet::Connect(connect),
            Packet::ConnAck(ConnAck { properties, ..ConnAck::default() }),
            Packet::Publish(publish),
            Packet::Publish(Publish { payload: b"", ..publish }),
            Packet::PubAck(Ack { properties, ..Ack::new(9) }),
            Packet::SubAck(SubAck { packet_id: 9, properties, codes: &[0; 300] }),
            Packet::UnsubAck(UnsubAck { packet_id: 9, properties, codes }),
            Packet::PingReq,
            Packet::Disconnect(Disconnect { reason: 0, properties }),
        ];
        for packet in packets {
            check(packet.packet_type().name(), |out| packet.encode(version, out));
        }
        let filters = [("a/b", SubscribeOptions::default()), ("#", QoS::ExactlyOnce.into())];
        check("SUBSCRIBE", |out| Subscribe::encode(out, version, 9, properties, filters.into_iter()));
        let filters = ["a/b", "#"];
        check("UNSUBSCRIBE", |out| Unsubscribe::encode(out, version, 9, properties, filters.into_iter()));
    }
    check("encode_ack", |out| encode_ack(PacketType::PubRec, 1, out));
    check("encode_empty", |out| encode_empty(PacketType::PingReq, out));
}

#[test]
fn decoding_allocates_nothing() {
    let packets: [(Version, &[u8]); 5] = [
        (Version::V311, b"\x33\x09\0\x03a/b\x12\x34hi"),
        (Version::V5, b"\x33\x0d\0\x03a/b\x12\x34\x03\x23\0\x07hi"),
        (Version::V5, b"\x40\x09\0\x03\x80\x05\x1f\0\x02no"),
        (Version::V5, b"\x82\x0d\0\x0a\0\0\x03a/+\x02\0\x01#\0"),
        (Version::V311, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c1"),
    ];
    for (version, bytes) in packets {
        let mut good = false;
        assert_eq!(allocations(|| good = decode(version, bytes).is_ok()), 0);
        assert!(good, "{bytes:02x?}");
    }
}
