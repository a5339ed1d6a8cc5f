//! What the server allows, as CONNACK says it.

use super::*;

/// Connects to a server that has these limits.
fn connected_to(rig: &mut Rig, limits: &[wire::Property<'_>]) {
    rig.connect = V5;
    rig.open();
    rig.feed(&connack5(false, limits));
}

#[test]
fn no_more_are_in_flight_than_the_server_receives() {
    let mut rig = Rig::new(Limits { window: 3, ..Limits::default() });
    connected_to(&mut rig, &[(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(2))]);
    for n in 0..4 {
        rig.must(Q1, &format!("t{n}"));
    }
    assert_eq!(rig.sent(), ["PUBLISH1 #1 t0=t0", "PUBLISH1 #2 t1=t1"]);
    rig.feed(&puback(1));
    assert_eq!(rig.sent(), ["PUBLISH1 #3 t2=t2"]);
    // The next server has no such limit: the window is all there is.
    rig.down();
    connected_to(&mut rig, &[]);
    assert_eq!(rig.sent().len(), 3);
    assert_eq!(rig.s.in_flight(), 3);
}

#[test]
fn no_packet_is_larger_than_the_server_takes() {
    let mut rig = Rig::new(Limits::default());
    connected_to(&mut rig, &[(PropertyId::MaximumPacketSize, PropertyValue::FourByte(20))]);
    // A byte each: type, remaining length, length of the properties; two of the topic's length, and the packet id.
    for (qos, payload) in [(Q0, 14), (Q1, 12), (Q2, 12)] {
        assert!(rig.publish(qos, "t", &vec![b'x'; payload]).is_ok());
        assert_eq!(rig.publish(qos, "t", &vec![b'x'; payload + 1]), Err(Code::TooLarge));
    }
    let over = rig.s.over_limit(&Publication::new("t", &[b'x'; 15], Q0));
    let said = "the message takes 21 bytes, and the maximum packet size of the server is 20";
    assert_eq!(over.to_string(), said);
}
