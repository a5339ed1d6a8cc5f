//! Packet ids: one counter, nothing given twice.

use super::*;
use crate::session::state::id_map::IdMap;
use crate::session::state::ids::{PacketIds, Use};

fn large() -> Limits {
    Limits { window: 65_535, max_queue: 0x2_0000, max_outgoing_bytes: 1 << 30, ..Limits::default() }
}

/// mqtt3: MQTT-2.3.1-1 MQTT-2.3.1-2
/// mqtt5: MQTT-2.2.1-3
#[test]
fn one_counter_for_everything() {
    let mut rig = Rig::connected();
    rig.must(Q1, "a");
    rig.s.subscribe("f".into(), Q0);
    assert_eq!(rig.s.next_packet_id(), Ok(3));
    rig.s.unsubscribe("f");
    assert_eq!(rig.reserve(Q0, "zero").unwrap().packet_id, 5);
    rig.must(Q2, "b");
    let all =
        ["PUBLISH1 #1 a=a", "SUBSCRIBE #2 f:0", "UNSUBSCRIBE #4 f", "PUBLISH0 zero=x", "PUBLISH2 #6 b=b"];
    assert_eq!(rig.sent(), all);
}

/// mqtt3: MQTT-2.3.1-1 MQTT-2.3.1-2
/// mqtt5: MQTT-2.2.1-3 MQTT-4.3.2-1 MQTT-4.3.3-1
#[test]
fn wraps_past_zero_and_past_what_is_in_use() {
    let mut rig = Rig::connected_with(Limits { window: 3, ..large() });
    // Two exchanges that never end, at 1 and 3; 2 ends.
    for name in ["a", "b", "c"] {
        rig.must(Q1, name);
    }
    rig.sent();
    rig.feed(&puback(2));
    let mut ids = Vec::new();
    for _ in 0..65_535 {
        let id = rig.publish(Q1, "t", b"").unwrap().packet_id;
        rig.sent();
        rig.feed(&puback(id));
        ids.push(id);
    }
    let expected: Vec<u16> = (4..=65_535).chain([2]).chain([4, 5]).collect();
    assert_eq!(ids, expected);
}

#[test]
fn all_of_them_outstanding_then_none_left() {
    let mut rig = Rig::new(large());
    for n in 1..=u16::MAX {
        assert_eq!(rig.reserve(Q1, "t").unwrap().packet_id, n);
    }
    assert_eq!(rig.reserve(Q1, "t"), Err(Code::NoMoreMsgids));
    assert_eq!(rig.s.next_packet_id(), Err(Code::NoMoreMsgids));
    assert_eq!(rig.s.queue_len(), 65_535);
    // The token face needs an id only when its message is sent.
    let token = rig.must(Q1, "later");
    assert_eq!(rig.up(false).len(), 65_535);
    assert_eq!(rig.reserve(Q0, "t"), Err(Code::NoMoreMsgids));
    // QoS 0 without an id still goes.
    rig.must(Q0, "zero");
    assert_eq!(rig.s.raw_subscribe(9, [("f", Q0)].into_iter()), Err(Code::PacketIdInUse));
    rig.feed(&puback(40_000));
    assert_eq!(rig.sent(), ["PUBLISH0 zero=zero", "PUBLISH1 #40000 later=later"]);
    assert_eq!(rig.s.token_of(40_000), Some(token));
}

/// With no id free a subscription waits; the first id that comes free is its.
#[test]
fn a_subscription_gets_the_first_id_that_comes_free() {
    let mut rig = Rig::new(large());
    for _ in 1..=u16::MAX {
        rig.reserve(Q1, "t").unwrap();
    }
    rig.must(Q1, "behind");
    rig.s.subscribe("f".into(), Q1);
    assert_eq!(rig.up(false).len(), 65_535);
    assert_eq!(rig.s.pending_subscriptions(), 1);
    rig.feed(&puback(5));
    assert_eq!(rig.sent(), ["SUBSCRIBE #5 f:1"]);
    rig.feed(&puback(6));
    assert_eq!(rig.sent(), ["PUBLISH1 #6 behind=behind"]);
}

#[test]
fn a_token_can_be_found_by_its_id() {
    let mut rig = Rig::connected();
    let token = rig.must(Q1, "a");
    assert_eq!((rig.s.token_of(1), rig.s.token_of(2), rig.s.token_of(0)), (Some(token), None, None));
    rig.sent();
    rig.feed(&puback(1));
    assert_eq!(rig.s.token_of(1), None);
}

#[test]
fn ids_of_a_dead_connection_come_back_but_for_messages() {
    let mut rig = Rig::connected_with(large());
    let kept = rig.must(Q1, "kept");
    rig.s.subscribe("f".into(), Q0);
    for id in 100..40_000 {
        rig.s.raw_subscribe(id, [("r", Q0)].into_iter()).unwrap();
    }
    rig.down();
    assert_eq!(rig.s.token_of(1), Some(kept));
    rig.up(true);
    for id in 100..40_000 {
        rig.s.raw_unsubscribe(id, ["r"].into_iter()).unwrap();
    }
    assert_eq!(rig.s.raw_subscribe(1, [("r", Q0)].into_iter()), Err(Code::PacketIdInUse));
}

/// The table against an ordinary map, with the clusters that wrapping and reuse make.
#[test]
fn the_table_agrees_with_an_ordinary_map() {
    let mut map = IdMap::<u32>::new();
    let mut model = std::collections::BTreeMap::new();
    let mut seed = 7_u64;
    for step in 0..60_000_u32 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Ids from three narrow bands that share their low bits, so that they collide.
        let id = (1 + (seed >> 33) % 24 + (seed >> 60) % 3 * 0x4000) as u16;
        match seed >> 58 & 3 {
            0 | 1 => {
                map.insert(id, step).unwrap();
                model.insert(id, step);
            }
            2 => assert_eq!(map.remove(id), model.remove(&id)),
            _ => assert_eq!(map.get(id), model.get(&id).copied()),
        }
        assert_eq!(map.len(), model.len());
        if step % 4_096 == 0 {
            for id in 1..=u16::MAX {
                assert_eq!(map.get(id), model.get(&id).copied());
            }
            // A third goes at once, as when a connection is lost.
            map.retain(|value| value % 3 != 0);
            model.retain(|_, value| *value % 3 != 0);
        }
    }
    assert_eq!((map.get(0), map.remove(0)), (None, None));
    map.clear();
    assert_eq!(map.len(), 0);
    assert!(model.keys().all(|id| map.get(*id).is_none()));
}

#[test]
fn releasing_by_purpose_misses_none() {
    let mut ids = PacketIds::new();
    for n in 1..=1_000 {
        let purpose = if n % 3 == 0 { Use::Publish(n) } else { Use::Subscribe };
        assert_eq!(ids.take(purpose), Ok(n as u16));
    }
    ids.retain(|purpose| matches!(purpose, Use::Publish(_)));
    for n in 1..=1_000_u16 {
        assert_eq!(ids.get(n).is_some(), n % 3 == 0, "{n}");
    }
}
