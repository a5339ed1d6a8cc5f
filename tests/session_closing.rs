//! Closing from inside a handler: what was delivered is acknowledged before DISCONNECT.

use mgos_mqtt::session::{Limits, Session, Verdict};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::{Connect, Properties, Version};

const DISCONNECT: [u8; 2] = [0xe0, 0];

fn session_that_is_up(now: Time) -> Session {
    let mut session = Session::new(Limits::default());
    session.opened(now, Span::secs(10), None);
    let connect = Connect {
        version: Version::V311,
        clean_session: false,
        keep_alive: 60,
        properties: Properties::default(),
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
    };
    session.connect(&connect, Span::secs(10)).unwrap();
    session.input(now, &[0x20, 2, 0, 0]).unwrap();
    session.handled(Verdict::Ack(0)).unwrap();
    assert!(session.is_up());
    session.wrote(now, session.output().len());
    session
}

#[test]
fn a_message_whose_handler_disconnects_is_acknowledged_first() {
    for (qos, ack) in [(1, 0x40), (2, 0x50)] {
        let now = Time::default();
        let mut session = session_that_is_up(now);
        let publish = [0x30 | qos << 1, 5, 0, 1, b't', 0, 7];
        assert!(session.input(now, &publish).unwrap().event.is_some());
        session.disconnect();
        assert!(!session.is_up());
        assert!(session.output().is_empty(), "not before the handlers returned");
        session.handled(Verdict::Ack(0)).unwrap();
        assert_eq!(session.output().pending(), [&[ack, 2, 0, 7][..], &DISCONNECT].concat(), "QoS {qos}");
    }
}

#[test]
fn without_a_message_the_disconnect_goes_out_at_once() {
    let now = Time::default();
    let mut session = session_that_is_up(now);
    session.disconnect();
    session.disconnect();
    assert_eq!(session.output().pending(), DISCONNECT);
}

#[test]
fn nothing_is_left_of_a_disconnect_when_the_link_is_lost_first() {
    let now = Time::default();
    let mut session = session_that_is_up(now);
    session.input(now, &[0x32, 5, 0, 1, b't', 0, 7]).unwrap();
    session.disconnect();
    session.closed();
    session.handled(Verdict::ConnectionGone).unwrap();
    session.opened(now, Span::secs(10), None);
    assert!(session.output().is_empty());
}
