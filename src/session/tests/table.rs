//! Every packet a server can send, in every state that a session can be in, in each version: docs/state-machine.md
//! is the table, and this compares it with the session, cell by cell.
//!
//! Nothing can be missing: what a session can be doing is taken apart by matches without a wildcard, all of it
//! must be in some state here, all sixteen packet types are tried in each of them, and each cell must be in
//! exactly one line of the table, the first that fits; a line that no cell needs is an error, too.

use std::collections::BTreeSet;

use super::super::RawAck;
use super::super::state::five::Exchange;
use super::super::state::ids::{RawUse, Use};
use super::super::state::outbox::Stage;
use super::super::state::{PendingEvent, State};
use super::*;

const TABLE: &str = include_str!("../../../docs/state-machine.md");
/// The page that names the number of its cells.
const RELIABILITY: &str = include_str!("../../../docs/reliability.md");

/// A packet id that is never in use.
const OTHER: u16 = 9;

/// A session that is doing one thing.
struct Case {
    rig: Rig,
    /// The packet id of what it is doing; 1 where it has none.
    id: u16,
    hold: Option<Hold>,
}

impl Case {
    fn new(version: Version) -> Case {
        let mut rig = Rig::new(Limits::default());
        rig.connect.version = version;
        Case { rig, id: 1, hold: None }
    }

    fn up(version: Version) -> Case {
        let mut case = Case::new(version);
        assert_eq!(case.rig.up(false), Vec::<String>::new());
        case
    }

    /// As text, what it is doing: the state of the connection, and all that is under way.
    fn doing(&self) -> BTreeSet<&'static str> {
        let s = &self.rig.s;
        assert_eq!(s.pending_event, PendingEvent::Nothing, "no handler runs");
        let mut doing = BTreeSet::from([match s.state {
            State::Closed => "closed",
            State::Open => "open",
            State::Connecting => "connecting",
            State::Up => "up",
            State::Closing => "closing",
        }]);
        for id in [self.id, OTHER] {
            doing.extend(s.sending.ids.get(id).map(|purpose| match purpose {
                Use::Unsent => "sending 0",
                Use::Publish(slot) => {
                    match (s.sending.outbox.get(slot).stage, s.sending.outbox.get(slot).qos) {
                        (Stage::Publish, _) if !s.sending.outbox.get(slot).is_sent(s.out.taken()) => {
                            "unwritten"
                        }
                        (Stage::Publish, QoS::ExactlyOnce) => "sent 2",
                        (Stage::Publish, _) => "sent 1",
                        (Stage::Release, _) => "released",
                        (Stage::Late, QoS::ExactlyOnce) => "late 2",
                        (Stage::Late, _) => "late 1",
                        (Stage::LateRelease, _) => "late released",
                        (Stage::Done, _) => unreachable!("its handler has returned"),
                    }
                }
                Use::Subscribe => "subscribing",
                Use::Unsubscribe => "unsubscribing",
                Use::Raw(RawUse::Publish1) => "raw 1",
                Use::Raw(RawUse::Publish2) => "raw 2",
                Use::Raw(RawUse::Released) => "raw released",
                Use::Raw(RawUse::Subscribe) => "raw subscribing",
                Use::Raw(RawUse::Unsubscribe) => "raw unsubscribing",
            }));
            doing.extend(s.inbound.is_known(id).then_some("received"));
        }
        let held = |hold| s.clone().let_go(hold, 0).is_ok();
        doing.extend((s.five.exchange != Exchange::None).then_some("authenticating"));
        doing.extend(self.hold.filter(|hold| held(*hold)).map(|_| "deferred"));
        // The next thing to wait for is PINGRESP, and not the end of a keep-alive interval.
        let soon = s.deadline().is_some_and(|at| at <= self.rig.now + Span::secs(10));
        doing.extend((soon && s.is_up()).then_some("pinging"));
        doing
    }

    fn disconnected(mut self) -> Case {
        self.rig.s.disconnect();
        assert_eq!(self.rig.sent().pop().as_deref(), Some("DISCONNECT"));
        self
    }

    fn published(mut self, qos: QoS) -> Case {
        self.rig.must(qos, "t");
        self.rig.sent();
        self
    }

    /// A message is sent, and not acknowledged in time.
    fn late(version: Version, qos: QoS) -> Case {
        let mut case = Case::up(version);
        case.rig.s.set_limits(Limits { ack_timeout: Span::secs(1), ..Limits::default() });
        case = case.published(qos);
        let by = case.rig.now + Span::secs(2);
        case.rig.look_until(by, |_| None);
        assert_eq!(case.rig.outcomes(), [(1, Outcome::TimedOut)]);
        case
    }

    fn fed(mut self, bytes: &[u8]) -> Case {
        self.rig.feed(bytes);
        self.rig.sent();
        self
    }

    /// The server's message with its id.
    fn publish(&self, qos: QoS) -> Vec<u8> {
        publish_as(self.rig.connect.version, qos, 1, false, "t", b"x")
    }

    fn received(self) -> Case {
        let bytes = self.publish(Q2);
        self.fed(&bytes)
    }

    /// CONNECT has an authentication method, and was sent.
    fn authenticating(version: Version) -> Case {
        let mut case = Case::new(version);
        case.rig.connect.properties = Properties::from_list(&METHOD);
        case.rig.open();
        case
    }

    fn raw(mut self, qos: QoS) -> Case {
        let publish = wire::Publish { qos, topic: "t", packet_id: 1, ..Default::default() };
        self.rig.s.raw_publish(&publish).unwrap();
        self.rig.sent();
        self
    }

    /// A message comes, and is held.
    fn deferred(mut self, qos: QoS) -> Case {
        let bytes = self.publish(qos);
        self.rig.s.input(self.rig.now, &bytes).unwrap();
        self.hold = self.rig.s.hold().unwrap();
        self.rig.s.handled(Verdict::Ack(0)).unwrap();
        self
    }
}

/// The name of a state, and how a session comes into it.
type NamedState = (&'static str, fn(Version) -> Case);

const METHOD: [wire::Property<'static>; 1] = [(PropertyId::AuthenticationMethod, PropertyValue::Utf8("m"))];

/// All of them.
const STATES: &[NamedState] = &[
    ("closed", Case::new),
    ("open", |version| {
        let mut case = Case::new(version);
        case.rig.s.opened(case.rig.now, Span::secs(10), None);
        case
    }),
    ("connecting", |version| {
        let mut case = Case::new(version);
        case.rig.open();
        case
    }),
    ("up", Case::up),
    ("sending 0", |version| {
        let mut case = Case::up(version);
        case.rig.reserve(Q0, "t").unwrap();
        case
    }),
    ("unwritten", |version| {
        let mut case = Case::up(version);
        case.rig.must(Q1, "t");
        case
    }),
    ("sent 1", |version| Case::up(version).published(Q1)),
    ("sent 2", |version| Case::up(version).published(Q2)),
    ("released", |version| Case::up(version).published(Q2).fed(&pubrec(1))),
    ("late 1", |version| Case::late(version, Q1)),
    ("late 2", |version| Case::late(version, Q2)),
    ("late released", |version| Case::late(version, Q2).fed(&pubrec(1))),
    ("received", |version| Case::up(version).received()),
    ("deferred 1", |version| Case::up(version).deferred(Q1)),
    ("deferred 2", |version| Case::up(version).deferred(Q2)),
    ("subscribing", |version| {
        let mut case = Case::up(version);
        case.rig.s.subscribe("t".into(), Q1);
        case.rig.sent();
        case
    }),
    ("unsubscribing", |version| {
        let mut case = Case::up(version);
        case.rig.s.subscribe("t".into(), Q1);
        let mut case = case.fed(&suback_as(version, 1, &[1]));
        case.rig.s.unsubscribe("t");
        case.rig.sent();
        Case { id: 2, ..case }
    }),
    ("pinging", |version| {
        let mut case = Case::up(version);
        case.rig.s.raw_ping(case.rig.now).unwrap();
        case.rig.sent();
        case
    }),
    ("raw 1", |version| Case::up(version).raw(Q1)),
    ("raw 2", |version| Case::up(version).raw(Q2)),
    ("raw released", |version| {
        let mut case = Case::up(version).raw(Q2).fed(&pubrec(1));
        case.rig.s.raw_ack(RawAck::PubRel, 1).unwrap();
        case
    }),
    ("raw subscribing", |version| {
        let mut case = Case::up(version);
        case.rig.s.raw_subscribe(1, [("t", Q0)].into_iter()).unwrap();
        case.rig.sent();
        case
    }),
    ("raw unsubscribing", |version| {
        let mut case = Case::up(version);
        case.rig.s.raw_unsubscribe(1, ["t"].into_iter()).unwrap();
        case.rig.sent();
        case
    }),
    ("closing", |version| Case::up(version).disconnected()),
    ("closing, sent 1", |version| Case::up(version).published(Q1).disconnected()),
    ("closing, sent 2", |version| Case::up(version).published(Q2).disconnected()),
    ("closing, released", |version| Case::up(version).published(Q2).fed(&pubrec(1)).disconnected()),
    ("closing, received", |version| Case::up(version).received().disconnected()),
    ("closing, subscribing", |version| {
        let mut case = Case::up(version);
        case.rig.s.subscribe("t".into(), Q1);
        case.disconnected()
    }),
    ("given up", |version| {
        let mut case = Case::new(version);
        case.rig.open();
        case.rig.s.disconnect();
        case
    }),
    ("refused", |version| {
        let mut case = Case::new(version);
        case.rig.open();
        case.fed(&connack_as(version, false, refusal(version)))
    }),
];

/// Those of MQTT 5.0 alone.
const STATES_5: &[NamedState] = &[
    ("authenticating", Case::authenticating),
    ("reauthenticating", |version| {
        let mut case = Case::authenticating(version).fed(&connack_as(version, false, 0));
        case.rig.s.authenticate(wire::reason::REAUTHENTICATE, Properties::from_list(&METHOD)).unwrap();
        case.rig.sent();
        case
    }),
];

/// Of all states those that this version has.
fn states(version: Version) -> impl Iterator<Item = &'static NamedState> {
    let more = if version == Version::V5 { STATES_5 } else { &[] };
    STATES.iter().chain(more)
}

/// A code with which CONNACK refuses.
fn refusal(version: Version) -> u8 {
    if version == Version::V5 { 0x87 } else { 5 }
}

/// Everything that [`Case::doing`] can name.
const ALL_DOING: &[&str] = &[
    "authenticating",
    "closed",
    "closing",
    "connecting",
    "deferred",
    "late 1",
    "late 2",
    "late released",
    "open",
    "pinging",
    "raw 1",
    "raw 2",
    "raw released",
    "raw subscribing",
    "raw unsubscribing",
    "received",
    "released",
    "sending 0",
    "sent 1",
    "sent 2",
    "subscribing",
    "unsubscribing",
    "unwritten",
    "up",
];

/// The packets of one of the sixteen types, with the id of what is under way and with another.
fn packets(version: Version, kind: u8, id: u16) -> Vec<(String, Vec<u8>)> {
    let five = version == Version::V5;
    let ack = |name: &str, packet: fn(u16) -> Vec<u8>| {
        vec![(format!("{name} its id"), packet(id)), (format!("{name} other id"), packet(OTHER))]
    };
    let ack_of = |name: &str, bytes: &dyn Fn(u16) -> Vec<u8>| {
        vec![(format!("{name} its id"), bytes(id)), (format!("{name} other id"), bytes(OTHER))]
    };
    // With a reason code of 0x80 or more.
    let refusing = |name: &str, first: u8| {
        let list = ack_of(&format!("{name} refusing"), &|id| vec![first, 3, 0, id as u8, 0x97]);
        if five { list } else { Vec::new() }
    };
    let publish = |qos, id, dup| publish_as(version, qos, id, dup, "t", b"x");
    let one = |name: &str, bytes: Vec<u8>| vec![(name.to_owned(), bytes)];
    match kind {
        0 => one("type 0", vec![0x00, 0]),
        1 => one("CONNECT", encode(&Packet::Connect(CONNECT))),
        2 => [
            ("CONNACK", connack_as(version, false, 0)),
            ("CONNACK present", connack_as(version, true, 0)),
            ("CONNACK refusing", connack_as(version, false, refusal(version))),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec(),
        3 => {
            let mut list = one("PUBLISH 0", publish(Q0, 0, false));
            list.extend(ack_of("PUBLISH 1", &|id| publish(Q1, id, false)));
            list.extend(ack_of("PUBLISH 2", &|id| publish(Q2, id, false)));
            list.extend(ack_of("PUBLISH 2 DUP", &|id| publish(Q2, id, true)));
            list.extend(one("PUBLISH 3", b"\x36\x05\0\x01t\0\x01".to_vec()));
            list
        }
        4 => [ack("PUBACK", puback), refusing("PUBACK", 0x40)].concat(),
        5 => [ack("PUBREC", pubrec), refusing("PUBREC", 0x50)].concat(),
        6 => ack("PUBREL", pubrel),
        7 => ack("PUBCOMP", pubcomp),
        8 => one("SUBSCRIBE", b"\x82\x06\0\x01\0\x01t\0".to_vec()),
        9 => ack_of("SUBACK", &|id| suback_as(version, id, &[1])),
        10 => one("UNSUBSCRIBE", b"\xa2\x05\0\x01\0\x01t".to_vec()),
        11 if five => ack_of("UNSUBACK", &|id| vec![0xb0, 4, 0, id as u8, 0, 0]),
        11 => ack("UNSUBACK", unsuback),
        12 => one("PINGREQ", vec![0xc0, 0]),
        13 => one("PINGRESP", pingresp()),
        14 => one("DISCONNECT", vec![0xe0, 0]),
        15 if five => [
            ("AUTH", vec![0xf0, 0]),
            ("AUTH continue", b"\xf0\x06\x18\x04\x15\0\x01m".to_vec()),
            ("AUTH of another method", b"\xf0\x06\x18\x04\x15\0\x01n".to_vec()),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec(),
        15 => one("type 15", vec![0xf0, 0]),
        16.. => unreachable!("a packet type has four bits"),
    }
}

/// What a packet does to a session: what is told and answered, and what the session is doing then instead of before.
fn reaction(mut case: Case, bytes: &[u8]) -> (String, String) {
    let before = case.doing();
    let unwritten = case.rig.s.output().len();
    case.rig.s.received(case.rig.now);
    let event = match case.rig.s.input(case.rig.now, bytes) {
        Ok(step) => {
            assert_eq!(step.consumed, bytes.len());
            step.event
        }
        Err(failure) => {
            let five = case.rig.connect.version == Version::V5;
            let said = matches!(case.rig.s.state, State::Connecting | State::Up);
            assert!(!five || !said || failure.malformed.is_some() || failure.reason.is_some(), "{failure:?}");
            return (format!("error {}", failure.code.name()), String::new());
        }
    };
    if event.is_some() {
        case.rig.s.handled(Verdict::Ack(0)).unwrap();
    }
    let mut what: Vec<String> = event.iter().map(|event| told(event).into()).collect();
    let mut answers = &case.rig.s.output().pending()[unwritten..];
    while let Some(header) = Header::parse(answers).unwrap() {
        what.push(format!("{} back", header.packet.name()));
        answers = &answers[header.total()..];
    }
    let outcomes = case.rig.outcomes().into_iter().map(|(_, outcome)| match outcome {
        Outcome::Rejected(_) => "rejected".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    });
    what.extend(outcomes);
    if what.is_empty() {
        what.push("ignored".into());
    }
    let after = case.doing();
    let only = |these: &BTreeSet<&'static str>, those: &BTreeSet<&'static str>| {
        let names: Vec<&str> = these.difference(those).copied().collect();
        if names.is_empty() { "–".to_owned() } else { names.join(" and ") }
    };
    let change = if before == after {
        String::new()
    } else {
        format!("{} → {}", only(&before, &after), only(&after, &before))
    };
    (what.join(", "), change)
}

fn told(event: &Event) -> &'static str {
    match event {
        Event::ConnAck { code: 0, session_present: true } => "told: session kept",
        Event::ConnAck { code: 0, session_present: false } => "told: session new",
        Event::ConnAck { .. } => "told: refused",
        Event::Publish(_) => "delivered",
        Event::PubAck(a) if a.early && a.late => "told of its message, early and late",
        Event::PubAck(a) | Event::PubRec(a) | Event::PubComp(a) if a.late => "told of its message, late",
        Event::PubAck(a) if a.early => "told of its message, early",
        Event::PubAck(a) | Event::PubRec(a) | Event::PubComp(a) if a.token.is_some() => "told of its message",
        Event::PubAck(_) | Event::PubRec(_) | Event::PubComp(_) => "told",
        Event::PubRel(_) | Event::SubAck { .. } | Event::UnsubAck(_) | Event::PingResp => "told",
        Event::Unasked(..) => "logged",
        Event::Disconnect(_) | Event::Auth(_) => "told",
        Event::Oversize { .. } => unreachable!("they are small"),
    }
}

/// A line of the table.
struct Line {
    packets: Vec<&'static str>,
    states: Vec<&'static str>,
    version: &'static str,
    what: &'static str,
    change: &'static str,
    section: &'static str,
}

fn lines() -> Vec<Line> {
    let list = |cell: &'static str| cell.split("; ").collect();
    let rows = TABLE.lines().skip_while(|line| !line.starts_with("| packet ")).skip(2);
    rows.map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            <[&str; 6]>::try_from(cells).unwrap_or_else(|cells| panic!("six columns: {cells:?}"))
        })
        .map(|[packets, states, version, what, change, section]| Line {
            packets: list(packets),
            states: list(states),
            version,
            what,
            change,
            section,
        })
        .collect()
}

/// Whether a cell of the table that says `any`, or a name, or the beginning of one, means this.
fn means(cell: &[&str], name: &str) -> bool {
    let one = |said: &str| {
        said == "any"
            || name == said
            || name.strip_prefix(said).is_some_and(|rest| rest.starts_with([' ', ',']))
    };
    cell.iter().any(|said| one(said))
}

/// mqtt3: MQTT-4.8.0-1
/// mqtt5: MQTT-4.3.3-4 MQTT-4.3.3-5 MQTT-4.12.0-5 MQTT-4.12.0-6 MQTT-4.13.1-1
#[test]
fn the_table_is_what_the_session_does() {
    let lines = lines();
    let mut used = vec![false; lines.len()];
    let mut wrong = String::new();
    let mut cells = 0;
    let mut seen = BTreeSet::new();
    for (version, number) in [(Version::V31, "3.1"), (Version::V311, "3.1.1"), (Version::V5, "5.0")] {
        for (state, make) in states(version) {
            seen.extend(make(version).doing());
            for kind in 0..16 {
                for (packet, bytes) in packets(version, kind, make(version).id) {
                    cells += 1;
                    let (what, change) = reaction(make(version), &bytes);
                    let fits = |line: &Line| {
                        let version =
                            line.version.is_empty() || line.version.split("; ").any(|said| said == number);
                        version && means(&line.packets, &packet) && means(&line.states, state)
                    };
                    let Some(at) = lines.iter().position(fits) else {
                        wrong +=
                            &format!("{packet} while {state}, {number}: missing: | {what} | {change} |\n");
                        continue;
                    };
                    used[at] = true;
                    if (lines[at].what, lines[at].change) != (&what, &change) {
                        let said = format!("| {} | {} |", lines[at].what, lines[at].change);
                        wrong +=
                            &format!("{packet} while {state}, {number}: | {what} | {change} |, not {said}\n");
                    }
                }
            }
        }
    }
    for (line, used) in lines.iter().zip(used) {
        if !used || line.section.is_empty() {
            wrong +=
                &format!("never reached, or without a section: {:?} in {:?}\n", line.packets, line.states);
        }
    }
    assert!(wrong.is_empty(), "docs/state-machine.md is wrong:\n{wrong}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ALL_DOING, "some state is missing");
    let counted = format!("{},{:03} cells", cells / 1000, cells % 1000);
    assert!(TABLE.contains(&counted), "docs/state-machine.md does not say that there are {counted}");
    assert!(RELIABILITY.contains(&counted), "docs/reliability.md does not say that there are {counted}");
}

/// Each state is described.
#[test]
fn the_states_are_those_of_the_table() {
    let described: Vec<&str> = TABLE
        .lines()
        .skip_while(|line| !line.starts_with("| state "))
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.split(" | ").next())
        .map(str::trim)
        .collect();
    let names: Vec<&str> = STATES.iter().chain(STATES_5).map(|(name, _)| *name).collect();
    assert_eq!(described, names);
}
