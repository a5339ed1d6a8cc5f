//! Messages over the receive limit.

use super::*;

fn limited(max_incoming: usize) -> Rig {
    Rig::connected_with(Limits { max_incoming, ..Limits::default() })
}

/// Feeds `bytes` in pieces of at most `piece`, as a reader would that keeps what was not consumed.
fn pieces(rig: &mut Rig, bytes: &[u8], piece: usize) -> Vec<String> {
    let mut kept = Vec::new();
    let mut events = Vec::new();
    for part in bytes.chunks(piece) {
        kept.extend_from_slice(part);
        let mut at = 0;
        loop {
            let step = rig.s.input(rig.now, &kept[at..]).unwrap();
            if let Some(event) = &step.event {
                events.push(rig.told(event, &kept[at..]));
                rig.s.handled(Verdict::Ack(0)).unwrap();
            }
            at += step.consumed;
            if step.consumed == 0 && step.event.is_none() {
                break;
            }
            if at == kept.len() {
                break;
            }
        }
        kept.drain(..at);
    }
    assert!(kept.is_empty());
    events
}

/// mqtt3: MQTT-4.5.0-2
#[test]
fn skipped_over_any_split_and_acknowledged_once() {
    let payload = [b'x'; 200];
    for (qos, answer) in [(Q0, None), (Q1, Some("PUBACK #7")), (Q2, Some("PUBREC #7"))] {
        let mut bytes = publish(qos, 7, false, "a/b", &payload);
        bytes.extend(publish(Q0, 0, false, "next", b"ok"));
        for piece in 1..=bytes.len() {
            let mut rig = limited(100);
            let id = if qos == Q0 { 0 } else { 7 };
            let expected = [format!("OVERSIZE{} #{id} a/b 200", qos.bits()), "MESSAGE0 next=ok".into()];
            assert_eq!(pieces(&mut rig, &bytes, piece), expected, "QoS {} in pieces of {piece}", qos.bits());
            assert_eq!(rig.sent(), answer.into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_limit_counts_the_whole_packet() {
    let bytes = publish(Q0, 0, false, "t", &[b'x'; 50]);
    let mut rig = limited(bytes.len());
    assert!(rig.feed(&bytes)[0].starts_with("MESSAGE0"));
    let mut rig = limited(bytes.len() - 1);
    assert_eq!(rig.feed(&bytes), ["OVERSIZE0 #0 t 50"]);
}

/// It is acknowledged, and told of, with the last byte, not before: the server may still count on being heard, and until then
/// it is not true that it was skipped and acknowledged.
#[test]
fn acknowledged_with_the_last_byte() {
    let bytes = publish(Q1, 7, false, "t", &[b'x'; 200]);
    let mut rig = limited(100);
    let (head, last) = bytes.split_at(bytes.len() - 1);
    assert_eq!(rig.feed(head), Vec::<String>::new());
    assert!(rig.s.output().is_empty());
    assert_eq!(rig.feed(last), ["OVERSIZE1 #7 t 200"]);
    assert_eq!(rig.sent(), ["PUBACK #7"]);
}

/// A limit so small that the topic alone is over it.
#[test]
fn without_a_payload() {
    let topic = "t".repeat(200);
    for (qos, answer) in [(Q0, None), (Q1, Some("PUBACK #7")), (Q2, Some("PUBREC #7"))] {
        let mut rig = limited(100);
        let mut bytes = publish(qos, 7, false, &topic, b"");
        bytes.extend(publish(Q0, 0, false, "next", b"ok"));
        for piece in [1, 7, 1_000] {
            let events = pieces(&mut rig, &bytes, piece);
            assert_eq!(events.last().unwrap(), "MESSAGE0 next=ok");
            assert_eq!(rig.sent(), answer.into_iter().collect::<Vec<_>>(), "QoS {}", qos.bits());
        }
    }
}

#[test]
fn a_repeated_qos_2_is_reported_once() {
    let mut rig = limited(100);
    let bytes = publish(Q2, 7, false, "t", &[b'x'; 200]);
    assert_eq!(rig.feed(&bytes).len(), 1);
    assert_eq!(rig.feed(&bytes), Vec::<String>::new());
    assert_eq!(rig.sent(), ["PUBREC #7", "PUBREC #7"]);
    rig.feed(&pubrel(7));
    assert_eq!(rig.sent(), ["PUBCOMP #7"]);
    assert_eq!(rig.feed(&bytes).len(), 1);
    // The same when the topic is all of it.
    let bytes = publish(Q2, 8, false, &"t".repeat(200), b"");
    assert_eq!(rig.feed(&bytes).len(), 1);
    assert_eq!(rig.feed(&bytes), Vec::<String>::new());
    assert_eq!(rig.sent(), ["PUBREC #7", "PUBREC #8", "PUBREC #8"]);
}

/// field: F-23
#[test]
fn a_link_that_breaks_inside_it() {
    let mut rig = limited(100);
    let bytes = publish(Q2, 7, false, "t", &[b'x'; 200]);
    let mut told = Vec::new();
    // Wherever it breaks, nothing is told: the message was not acknowledged, and will come again.
    for n in [10, 100, bytes.len() - 1] {
        told.extend(rig.feed(&bytes[..n]));
        assert_eq!(rig.again(true), Vec::<String>::new());
        // The new connection begins with a packet, not with the rest.
        assert_eq!(rig.feed(&publish(Q0, 0, false, "t", b"x")), ["MESSAGE0 t=x"]);
    }
    assert_eq!((told.len(), rig.s.counts().rx_oversize), (0, 0));
    told.extend(rig.feed(&bytes));
    assert_eq!(rig.sent(), ["PUBREC #7"]);
    // The answer may be lost; the message is not told of twice.
    rig.again(true);
    told.extend(rig.feed(&publish(Q2, 7, true, "t", &[b'x'; 200])));
    assert_eq!(rig.sent(), ["PUBREC #7"]);
    assert_eq!((told, rig.s.counts().rx_oversize), (vec!["OVERSIZE2 #7 t 200".to_string()], 1));
}

#[test]
fn after_the_link_its_rest_is_as_wrong_as_any_byte() {
    let mut rig = limited(100);
    let bytes = publish(Q2, 7, false, "t", &[b'x'; 200]);
    rig.feed(&bytes[..100]);
    rig.s.closed();
    assert_eq!(rig.try_feed(&bytes[100..]).unwrap_err().code, Code::Protocol);
}

#[test]
fn only_a_publish_may_be_that_large() {
    let mut rig = limited(100);
    let failure = rig.try_feed(&[0x90, 0xff, 0x7f]).unwrap_err();
    assert_eq!(failure.code, Code::Oversize);
}

#[test]
fn a_malformed_head_is_an_error() {
    for bytes in [&b"\x32\xff\x7f\0\x01#\0\x07"[..], b"\x32\xff\x7f\0\x01t\0\0"] {
        let mut rig = limited(100);
        assert_eq!(rig.try_feed(bytes).unwrap_err().code, Code::Protocol, "{bytes:?}");
    }
}
