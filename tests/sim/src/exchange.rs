//! A few messages each way between the session and a broker, one small step at a time: what may happen next in a
//! state, and what must hold whatever happens. `every.rs` tries all of it.

use std::collections::{BTreeMap, VecDeque};

use mgos_mqtt::session::{Completion, Event, Limits, OnSessionLoss, Outcome, Publication, Session, Verdict};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::{Connect, Properties, QoS, Version};

use crate::codec::{self, Packet};

/// Nothing here takes time.
const NOW: Time = Time(1);
const TOPIC: &str = "t";

/// What one search looks at.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// MQTT 5.0 instead of 3.1.1.
    pub five: bool,
    /// The QoS of the messages to the broker, and of those from it.
    pub out: &'static [u8],
    pub inward: &'static [u8],
    pub window: u16,
    pub report: bool,
    /// How often the link may be lost, how often of these with the broker's sessions, and how often the broker may repeat
    /// itself on a link, as it may in MQTT 3.1.
    pub losses: u8,
    pub wipes: u8,
    pub repeats: u8,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Setting { five, out, inward, window, report, losses, wipes, repeats } = self;
        write!(f, "MQTT {}, ", if *five { "5.0" } else { "3.1.1" })?;
        let loss = if *report { "report" } else { "resend" };
        write!(f, "QoS {out:?} out, {inward:?} in, window {window}, {loss}, ")?;
        write!(f, "{losses} losses, {wipes} with the session, {repeats} repeated")
    }
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Publish,
    Connect,
    /// The kernel takes a packet.
    Write,
    BrokerReads,
    BrokerPublishes,
    ClientReads,
    BrokerRepeats,
    Lose,
    /// The link is lost while the handler of a message runs, or before it could be called.
    LoseInHandler,
    LoseUntold,
    /// The broker starts anew, without its sessions.
    Wipe,
}

impl Step {
    /// Whether it is a fault. Everything else goes on by itself.
    pub fn is_fault(self) -> bool {
        use Step::*;
        matches!(self, BrokerRepeats | Lose | LoseInHandler | LoseUntold | Wipe)
    }
}

/// A message to the broker, as an observer sees it.
#[derive(Clone, Debug, Default, Hash)]
struct Outward {
    token: u64,
    id: u16,
    /// Its PUBLISH was handed over whole: on this link, on an earlier one.
    written: bool,
    written_before: bool,
    /// The client knows that the broker has it.
    received: bool,
    /// How often the broker passed it on: in its present session, and ever.
    passed: u8,
    passed_ever: u8,
    outcome: Option<u8>,
}

/// A message from the broker.
#[derive(Clone, Debug, Default, Hash)]
struct Inward {
    told: u8,
    /// Its handlers returned with the link up, so that it was acknowledged.
    acknowledged: bool,
    /// It went with a session of the broker.
    lost: bool,
}

#[derive(Clone, Debug, Default, Hash)]
struct Broker {
    connected: bool,
    session: bool,
    subscribed: bool,
    /// QoS 2 ids received and not released, and their messages.
    received: BTreeMap<u16, u8>,
    /// Sent and not finished: packet id, message, whether PUBREC came.
    flight: Vec<(u16, u8, bool)>,
    /// The next message to be sent.
    next: u8,
}

/// The session, the link, the broker, and who watches them.
#[derive(Clone)]
pub struct World {
    setting: Setting,
    session: Session,
    link: bool,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    broker: Broker,
    out: Vec<Outward>,
    inward: Vec<Inward>,
    /// The last message whose PUBLISH went out on this link.
    last_on_link: Option<u8>,
    /// What came on this link and is to be answered there: packet type and id of the answer, how often.
    owed: BTreeMap<(u8, u16), u8>,
    losses: u8,
    wipes: u8,
    repeats: u8,
}

type Checked = Result<(), String>;

macro_rules! must {
    ($holds:expr, $($text:tt)*) => { if !$holds { return Err(format!($($text)*)); } };
}

impl World {
    pub fn new(setting: Setting) -> World {
        let on_session_loss = if setting.report { OnSessionLoss::Report } else { OnSessionLoss::Resend };
        let limits =
            Limits { window: setting.window, on_session_loss, always_subscribe: false, ..Limits::default() };
        let mut session = Session::new(limits);
        session.subscribe(TOPIC.into(), QoS::ExactlyOnce);
        World {
            setting,
            session,
            link: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            broker: Broker::default(),
            out: Vec::new(),
            inward: vec![Inward::default(); setting.inward.len()],
            last_on_link: None,
            owed: BTreeMap::new(),
            losses: setting.losses,
            wipes: setting.wipes,
            repeats: setting.repeats,
        }
    }

    /// The state, whole: what is equal in it has the same future. The session prints no statistics, which nothing in it
    /// looks at.
    pub fn state(&self) -> impl std::hash::Hash + use<> {
        let session = format!("{:?}", self.session);
        let link = (self.link, self.up.clone(), self.down.clone(), self.last_on_link, self.owed.clone());
        (
            session,
            link,
            self.broker.clone(),
            self.out.clone(),
            self.inward.clone(),
            self.losses,
            self.wipes,
            self.repeats,
        )
    }

    /// Everything that may happen now.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut may = |holds: bool, step: Step| {
            if holds {
                steps.push(step);
            }
        };
        may(self.out.len() < self.setting.out.len(), Step::Publish);
        may(!self.link, Step::Connect);
        may(!self.session.output().is_empty(), Step::Write);
        may(!self.up.is_empty(), Step::BrokerReads);
        may(!self.down.is_empty(), Step::ClientReads);
        let broker = &self.broker;
        let waits = usize::from(broker.next) < self.setting.inward.len();
        may(broker.connected && broker.subscribed && waits, Step::BrokerPublishes);
        may(self.repeats > 0 && broker.connected && !broker.flight.is_empty(), Step::BrokerRepeats);
        if self.link && self.losses > 0 {
            may(true, Step::Lose);
            may(self.wipes > 0, Step::Wipe);
            let message = self.down.front().is_some_and(|packet| packet[0] >> 4 == 3);
            may(message, Step::LoseInHandler);
            may(message, Step::LoseUntold);
        }
        steps
    }

    /// Nothing more will happen by itself: everything must be done.
    pub fn is_done(&self) -> Checked {
        must!(self.session.is_up(), "not connected");
        let left =
            self.session.outstanding() + self.session.pending_subscriptions() + self.session.in_flight();
        must!(left == 0, "the session still has something to do");
        must!(self.broker.flight.is_empty(), "the broker still has {:?}", self.broker.flight);
        must!(
            self.broker.received.is_empty(),
            "the broker was not told to release {:?}",
            self.broker.received
        );
        for (m, out) in self.out.iter().enumerate() {
            must!(out.outcome.is_some(), "message {m} has no outcome");
        }
        for (k, inward) in self.inward.iter().enumerate() {
            must!(inward.told > 0 || inward.lost, "the broker's message {k} never came");
        }
        Ok(())
    }

    /// Takes a step; what it violates.
    pub fn take(&mut self, step: Step) -> Checked {
        match step {
            Step::Publish => self.publish()?,
            Step::Connect => self.connect()?,
            Step::Write => self.write()?,
            Step::BrokerReads => self.broker_reads()?,
            Step::BrokerPublishes => self.broker_publishes(),
            Step::ClientReads => self.client_reads(Verdict::Ack(0))?,
            Step::BrokerRepeats => {
                self.repeats -= 1;
                self.broker_sends(self.broker.flight[0]);
            }
            Step::Lose => self.lose(),
            Step::LoseInHandler => {
                self.client_reads(Verdict::ConnectionGone)?;
                self.lose();
            }
            Step::LoseUntold => {
                self.client_reads(Verdict::NotDelivered)?;
                self.lose();
            }
            Step::Wipe => {
                self.lose();
                self.wipe();
            }
        }
        self.outcomes()
    }

    // -- the client ---------------------------------------------------------------------------------

    fn publish(&mut self) -> Checked {
        let m = self.out.len() as u8;
        let qos = QoS::from_bits(self.setting.out[usize::from(m)]).expect("a QoS");
        let accepted = self.session.publish(&Publication::new(TOPIC, &[m], qos));
        let accepted = accepted.map_err(|code| format!("message {m} is refused: {}", code.name()))?;
        self.out.push(Outward { token: accepted.token, ..Outward::default() });
        Ok(())
    }

    fn connect(&mut self) -> Checked {
        self.session.opened(NOW, Span::ZERO, None);
        let connect = Connect {
            version: if self.setting.five { Version::V5 } else { Version::V311 },
            clean_session: false,
            keep_alive: 0,
            properties: Properties::EMPTY,
            client_id: "c",
            will: None,
            user_name: None,
            password: None,
        };
        self.link = true;
        self.session.connect(&connect, Span::ZERO).map_err(|code| code.name().into())
    }

    fn write(&mut self) -> Checked {
        let pending = self.session.output().pending();
        let (total, body) = codec::frame(pending).ok_or("half a packet")?;
        let bytes = pending.get(..total).ok_or("half a packet")?.to_vec();
        self.session.wrote(NOW, total);
        let packet = codec::parse(&bytes, body, self.setting.five).ok_or("a malformed packet")?;
        if let Packet::Publish { dup, id, payload, .. } = packet {
            let m = payload[0];
            let known = &self.out[usize::from(m)];
            must!(known.outcome.is_none(), "message {m} goes out after its outcome");
            must!(!known.written, "message {m} goes out twice on a link");
            must!(!known.received, "PUBLISH of message {m} after its PUBREC");
            must!(dup == known.written_before, "message {m} goes out with DUP {dup}");
            must!(known.id == 0 || known.id == id, "message {m} has another packet id than before");
            must!(self.last_on_link < Some(m), "message {m} after message {:?}", self.last_on_link);
            let open = |out: &&Outward| out.outcome.is_none() && out.id != 0;
            let in_flight = self.out.iter().filter(open).filter(|out| out.written || out.received).count();
            must!(in_flight < usize::from(self.setting.window), "message {m} is one too many");
            for (other, out) in self.out.iter().enumerate().filter(|(_, out)| open(out)) {
                must!(out.id != id || other == usize::from(m), "message {m} has the packet id of {other}");
            }
            self.last_on_link = Some(m);
            let out = &mut self.out[usize::from(m)];
            (out.id, out.written) = (id, true);
        }
        if let Packet::PubAck(id) | Packet::PubRec(id) | Packet::PubComp(id) = packet {
            let owed = self.owed.get_mut(&(bytes[0] >> 4, id)).filter(|owed| **owed > 0);
            *owed.ok_or(format!("{packet:?} for nothing that came on this link"))? -= 1;
        }
        self.up.push_back(bytes);
        Ok(())
    }

    fn client_reads(&mut self, verdict: Verdict) -> Checked {
        let bytes = self.down.pop_front().expect("a packet");
        let (_, body) = codec::frame(&bytes).expect("a packet");
        let packet = codec::parse(&bytes, body, self.setting.five).expect("a good packet");
        if self.setting.five && matches!(packet, Packet::ConnAck { present: false, .. }) {
            // In a new session nothing is repeated.
            self.out.iter_mut().for_each(|out| out.written_before = false);
        }
        let answer = match packet {
            Packet::Publish { qos: 1, id, .. } => Some((4, id)),
            Packet::Publish { qos: 2, id, .. } => Some((5, id)),
            Packet::PubRel(id) => Some((7, id)),
            _ => None,
        };
        if let Some(answer) = answer {
            *self.owed.entry(answer).or_default() += 1;
        }
        self.session.received(NOW);
        let failed = |failure: mgos_mqtt::session::Failure| {
            format!("the link ends with {} {}", failure.code.name(), failure.what)
        };
        let step = self.session.input(NOW, &bytes).map_err(failed)?;
        must!(step.consumed == bytes.len(), "{} of {} bytes taken", step.consumed, bytes.len());
        match &step.event {
            Some(Event::Publish(message)) if verdict != Verdict::NotDelivered => {
                let k = bytes[message.payload.start];
                let known = &self.inward[usize::from(k)];
                let twice = message.qos == QoS::ExactlyOnce && known.told > 0;
                must!(!twice, "the broker's message {k} is told twice");
                let first = known.told == 0 && self.inward[usize::from(k) + 1..].iter().any(|k| k.told > 0);
                must!(!first, "the broker's message {k} comes behind a later one");
                let known = &mut self.inward[usize::from(k)];
                known.told = 1;
                known.acknowledged |= verdict == Verdict::Ack(0);
            }
            Some(Event::PubRec(ack)) => {
                for out in self.out.iter_mut().filter(|out| Some(out.token) == ack.token) {
                    out.received = true;
                }
            }
            _ => {}
        }
        if step.event.is_some() {
            self.session.handled(verdict).map_err(failed)?;
        }
        Ok(())
    }

    fn outcomes(&mut self) -> Checked {
        while let Some(Completion { token, outcome, .. }) = self.session.take_completion() {
            let m = self.out.iter().position(|out| out.token == token).ok_or("an outcome of nothing")?;
            let wiped = self.wipes < self.setting.wipes;
            let out = &mut self.out[m];
            must!(out.outcome.is_none(), "message {m} has a second outcome");
            match outcome {
                Outcome::Acked => must!(out.passed_ever > 0, "message {m} is acked and never arrived"),
                Outcome::Lost => must!(wiped && self.setting.report, "message {m} is given up"),
                other => return Err(format!("message {m} ends with {other:?}")),
            }
            out.outcome = Some(u8::from(outcome == Outcome::Acked));
        }
        Ok(())
    }

    // -- the link -----------------------------------------------------------------------------------

    fn lose(&mut self) {
        self.losses -= 1;
        self.link = false;
        self.up.clear();
        self.down.clear();
        self.session.closed();
        self.broker.connected = false;
        self.last_on_link = None;
        self.owed.clear();
        for out in &mut self.out {
            out.written_before |= std::mem::take(&mut out.written);
        }
    }

    fn wipe(&mut self) {
        self.wipes -= 1;
        for (_, k, _) in self.broker.flight.drain(..) {
            self.inward[usize::from(k)].lost = true;
        }
        self.broker = Broker { next: self.broker.next, ..Broker::default() };
        for out in &mut self.out {
            out.passed = 0;
        }
    }

    // -- the broker ---------------------------------------------------------------------------------

    fn answer(&mut self, kind: u8, id: u16) {
        self.down.push_back(codec::ack(kind, id).to_vec());
    }

    fn broker_publishes(&mut self) {
        let taken = |id: &u16| self.broker.flight.iter().any(|(other, ..)| other == id);
        let id = (1..).find(|id| !taken(id)).expect("an id");
        let k = self.broker.next;
        self.broker.next += 1;
        self.broker.flight.push((id, k, false));
        let mut bytes = Vec::new();
        codec::publish(
            &mut bytes,
            self.setting.five,
            false,
            self.setting.inward[usize::from(k)],
            TOPIC,
            id,
            &[k],
        );
        self.down.push_back(bytes);
    }

    /// Once more what belongs to a message that is under way.
    fn broker_sends(&mut self, (id, k, received): (u16, u8, bool)) {
        if received {
            return self.answer(6, id);
        }
        let mut bytes = Vec::new();
        codec::publish(
            &mut bytes,
            self.setting.five,
            true,
            self.setting.inward[usize::from(k)],
            TOPIC,
            id,
            &[k],
        );
        self.down.push_back(bytes);
    }

    fn broker_reads(&mut self) -> Checked {
        let bytes = self.up.pop_front().expect("a packet");
        let (_, body) = codec::frame(&bytes).expect("a packet");
        match codec::parse(&bytes, body, self.setting.five).expect("checked when it was written") {
            Packet::Connect { .. } => {
                self.broker.connected = true;
                let present = std::mem::replace(&mut self.broker.session, true);
                self.down.push_back(codec::connack(self.setting.five, present, 0));
                for message in self.broker.flight.clone() {
                    self.broker_sends(message);
                }
            }
            Packet::Publish { qos, id, payload, .. } => {
                let m = payload[0];
                let known = if qos == 2 { self.broker.received.insert(id, m) } else { None };
                must!(known.is_none_or(|other| other == m), "message {m} has the packet id of {known:?}");
                if known.is_none() {
                    let behind = |out: &Outward| out.passed_ever > 0;
                    let first = self.out[usize::from(m)].passed_ever == 0;
                    let late = first && self.out[usize::from(m) + 1..].iter().any(behind);
                    must!(!late, "message {m} arrives behind a later one");
                    let out = &mut self.out[usize::from(m)];
                    must!(qos != 2 || out.passed == 0, "message {m} is passed on twice");
                    (out.passed, out.passed_ever) = (1, 1);
                }
                self.answer(if qos == 2 { 5 } else { 4 }, id);
            }
            Packet::PubAck(id) => {
                let qos1 = |k: u8| self.setting.inward[usize::from(k)] == 1;
                let ended = self.broker.flight.iter().find(|(other, k, _)| *other == id && qos1(*k)).copied();
                if let Some((_, k, _)) = ended {
                    must!(self.inward[usize::from(k)].acknowledged, "PUBACK of {k} before it was handled");
                }
                self.broker.flight.retain(|entry| Some(*entry) != ended);
            }
            Packet::PubRec(id) => {
                if let Some(entry) = self.broker.flight.iter_mut().find(|entry| entry.0 == id) {
                    must!(
                        self.inward[usize::from(entry.1)].told > 0,
                        "PUBREC of {} before it was told",
                        entry.1
                    );
                    entry.2 = true;
                }
                self.answer(6, id);
            }
            Packet::PubComp(id) => self.broker.flight.retain(|entry| entry.0 != id || !entry.2),
            Packet::PubRel(id) => {
                self.broker.received.remove(&id);
                self.answer(7, id);
            }
            Packet::Subscribe { id, .. } => {
                self.broker.subscribed = true;
                self.down.push_back(codec::suback(self.setting.five, 9, id, &[2]));
            }
            other => return Err(format!("{other:?} was not asked for")),
        }
        Ok(())
    }
}
