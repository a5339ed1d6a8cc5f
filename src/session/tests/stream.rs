//! Any split of the byte stream gives the same events; no bytes make it panic.

use proptest::prelude::*;

use super::*;

/// Events and answers, with the stream cut at `cuts`.
fn run(bytes: &[u8], cuts: &[usize], max_incoming: usize) -> (Vec<String>, Vec<String>, Option<Code>) {
    let mut rig = Rig::connected_with(Limits { max_incoming, ..Limits::default() });
    for name in ["a", "b", "c", "d"] {
        rig.must(if name < "c" { Q1 } else { Q2 }, name);
    }
    rig.s.subscribe("f".into(), Q1);
    rig.sent();
    let mut events = Vec::new();
    let mut answers = Vec::new();
    let mut kept = Vec::new();
    let mut from = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        kept.extend_from_slice(&bytes[from..end]);
        from = end;
        let mut at = 0;
        while at < kept.len() {
            let step = match rig.s.input(rig.now, &kept[at..]) {
                Ok(step) => step,
                Err(failure) => {
                    answers.extend(rig.sent());
                    return (events, answers, Some(failure.code));
                }
            };
            assert!(step.consumed <= kept.len() - at);
            if step.consumed == 0 {
                assert_eq!(step.event, None);
                break;
            }
            if let Some(event) = &step.event {
                events.push(rig.told(event, &kept[at..]));
                rig.s.handled(Verdict::Ack(0)).unwrap();
            }
            at += step.consumed;
        }
        kept.drain(..at);
        answers.extend(rig.sent());
    }
    (events, answers, None)
}

/// A packet that a server may send, right or wrong.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let id = 1..8_u16;
    prop_oneof![
        4 => (0..3_u8, id.clone(), any::<bool>(), "[a-c/]{1,5}", 0..300_usize).prop_map(|(qos, id, dup, topic, len)| {
            let qos = QoS::from_bits(qos).unwrap();
            publish(qos, id, dup && qos != Q0, &topic, &vec![b'x'; len])
        }),
        1 => id.clone().prop_map(puback),
        1 => id.clone().prop_map(pubrec),
        1 => id.clone().prop_map(pubrel),
        1 => id.prop_map(pubcomp),
        1 => Just(suback(5, &[1])),
        1 => Just(pingresp()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same(
        packets in prop::collection::vec(packet(), 1..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        limit in prop_oneof![Just(120_usize), Just(1 << 20)],
    ) {
        let bytes = packets.concat();
        prop_assert_eq!(run(&bytes, &cuts, limit), run(&bytes, &[], limit));
    }

    #[test]
    fn byte_by_byte_gives_the_same(packets in prop::collection::vec(packet(), 1..5)) {
        let bytes = packets.concat();
        let all: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(run(&bytes, &all, 120), run(&bytes, &[], 120));
    }

    /// Hostile bytes, in each state: an error or an event, and the session can go on afterwards.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), state in 0..4, limit in 2..400_usize) {
        let mut rig = Rig::new(Limits { max_incoming: limit, ..Limits::default() });
        rig.must(Q2, "t");
        rig.s.subscribe("f".into(), Q1);
        match state {
            0 => {}
            1 => rig.s.opened(rig.now, Span::secs(10), None),
            2 => rig.open(),
            _ => drop(rig.up(false)),
        }
        hostile(&mut rig, &bytes);
        rig.down();
        rig.s.set_limits(Limits::default());
        rig.up(true);
        rig.must(Q0, "alive");
        prop_assert!(rig.sent().contains(&"PUBLISH0 alive=alive".to_string()));
    }

    /// Valid packets with bytes changed get further into the machine than noise.
    #[test]
    fn damaged_packets_never_panic(
        packets in prop::collection::vec(packet(), 1..8),
        damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = packets.concat();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let mut rig = Rig::connected_with(Limits { max_incoming: 200, ..Limits::default() });
        rig.must(Q2, "t");
        rig.sent();
        hostile(&mut rig, &bytes);
        rig.again(true);
    }
}

fn hostile(rig: &mut Rig, bytes: &[u8]) {
    let mut at = 0;
    while let Ok(step) = rig.s.input(rig.now, &bytes[at..]) {
        if let Some(event) = &step.event {
            rig.told(event, &bytes[at..]);
        }
        if rig.s.handled(Verdict::Ack(0)).is_err() || step.consumed == 0 {
            break;
        }
        at += step.consumed;
        if at == bytes.len() {
            break;
        }
    }
}
