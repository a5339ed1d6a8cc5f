//! The tests of MQTT 3.1.1 that hold for MQTT 5.0 just so, once more with it: `Rig`, and what a server sends, are
//! those of 5.0 here.

#[path = "holds.rs"]
mod holds;
#[path = "ids.rs"]
mod ids;
#[path = "inbound.rs"]
mod inbound;
#[path = "keep_alive.rs"]
mod keep_alive;
#[path = "outgoing.rs"]
mod outgoing;
#[path = "overdue.rs"]
mod overdue;
#[path = "queue.rs"]
mod queue;
#[path = "subscriptions.rs"]
mod subscriptions;

// What is defined here goes before what comes from there.
use super::*;

type Rig = RigOf<true>;

fn connack(session_present: bool, code: u8) -> Vec<u8> {
    connack_as(Version::V5, session_present, code)
}

fn unsuback(id: u16) -> Vec<u8> {
    unsuback_of(id, 1)
}

fn unsuback_of(id: u16, filters: usize) -> Vec<u8> {
    let (properties, codes) = (Properties::EMPTY, &vec![0; filters][..]);
    encode_as(Version::V5, &Packet::UnsubAck(wire::UnsubAck { packet_id: id, properties, codes }))
}

fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    suback_as(Version::V5, id, codes)
}

fn publish(qos: QoS, id: u16, dup: bool, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_as(Version::V5, qos, id, dup, topic, payload)
}

/// PUBREC has taken the message over. A PUBCOMP that does not know the packet id answers a repeated PUBREL whose first
/// PUBCOMP was lost (MQTT 5.0 §3.7.2.1).
#[test]
fn what_the_server_took_it_cannot_refuse_any_more() {
    let mut rig = Rig::connected();
    let token = rig.must(Q2, "a");
    rig.sent();
    rig.feed(&pubrec(1));
    rig.feed(&[0x50, 3, 0, 1, 0x97]);
    assert_eq!(rig.sent(), ["PUBREL #1"; 2]);
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.again(true), ["PUBREL #1"]);
    assert_eq!(rig.feed(&[0x70, 3, 0, 1, 0x92]), [format!("PUBCOMP #1 token {token} a")]);
    assert_eq!(rig.outcomes(), [(token, Outcome::Acked)]);
}
