//! The observer: sees every byte that passes between the client and its kernel, knows every message, and says what is
//! wrong at the moment it happens.

use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Dropped, Hold, Outcome};

use crate::codec::{self, Packet};
use crate::untaken::Untaken;
use crate::world::{Act, Ev, World};

/// A message that the application published.
#[derive(Clone, Debug)]
pub struct Out {
    pub topic: u8,
    pub qos: u8,
    pub size: usize,
    /// Which of the run's clients published it.
    pub instance: usize,
    /// `None` while the call runs.
    pub accepted: Option<bool>,
    pub token: u64,
    pub id: u16,
    /// The link on which it was handed to the kernel whole, first and last.
    pub first: Option<usize>,
    pub last: Option<usize>,
    /// The broker sent PUBREC on this link; the client read one; PUBREL went out on this link.
    pub rec_sent: Option<usize>,
    pub rec: bool,
    pub rel_due: bool,
    pub rel: Option<usize>,
    /// The client read the last acknowledgement.
    pub done: bool,
    /// It read PUBREC, or the last acknowledgement, on a link that ended before it took that for sure: see `untaken.rs`.
    pub maybe_rec: bool,
    pub maybe_done: bool,
    pub delivered: u32,
    /// The broker lost the session meanwhile: it may arrive again.
    pub lossy: bool,
    pub outcome: Option<Outcome>,
    /// A listener was given with it; how often it was called.
    pub listened: bool,
    pub heard: u32,
    /// The application took it back, and was told that it could.
    pub cancelled: bool,
    pub expires: bool,
    /// When the application had it, by the client's clock, and when the client read its first acknowledgement.
    pub made_at: u64,
    pub read_at: Option<u64>,
}

/// A message for the client.
#[derive(Clone, Debug)]
pub struct In {
    pub topic: u8,
    pub qos: u8,
    pub size: usize,
    pub instance: usize,
    pub delivered: u32,
    /// It need not arrive.
    pub excused: bool,
    /// The server that sent it.
    pub server: usize,
    /// The client read its PUBREL.
    pub released: bool,
    /// The client read it, and did not close the link by then.
    pub seen: bool,
    /// It read it, at all.
    pub taken: bool,
    /// Whether it has taken what it read last of this exchange cannot be known: see `untaken.rs`.
    pub unsure: bool,
    /// The client went to another server before it was finished, and does not know it any more.
    pub forgotten: bool,
    /// How often it did so: as often the message may come once more.
    pub again: u32,
}

/// How far an exchange that the broker began has come, on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Stage {
    Sent,
    Read,
    /// The handlers returned.
    Told,
    Rec,
    RelSent,
    RelRead,
}

#[derive(Clone, Copy, Debug)]
pub struct Inbound {
    pub id: u16,
    pub n: u32,
    pub qos: u8,
    pub stage: Stage,
    /// It was begun on an earlier link.
    pub again: bool,
    /// The handlers returned, but one of them deferred the acknowledgement, or refused the message.
    pub held: bool,
    /// A repetition of what the client knows, or a new message: only the client can tell. It is the latter if a handler
    /// is told of it.
    pub either: bool,
}

/// A message whose acknowledgement the application deferred.
#[derive(Clone, Copy, Debug)]
pub struct Deferred {
    pub hold: Hold,
    pub n: u32,
    pub qos: u8,
    /// On which it came.
    pub link: Option<usize>,
    /// The client knows that the session is lost, or went to another server: it does not hold the message any more, but
    /// the application does not know that.
    pub over: bool,
}

/// What the observer knows of one link.
#[derive(Debug, Default)]
pub struct Tap {
    pub written: Vec<u8>,
    pub read: Vec<u8>,
    pub connect: bool,
    pub up: bool,
    pub present: bool,
    pub bye: bool,
    pub was_blocked: bool,
    pub ping: bool,
    /// Nothing was on its way to the broker ahead of it.
    pub ping_alone: bool,
    /// When something passed last, by the clock that the client's turn knows.
    pub last_out: u64,
    pub last_in: u64,
    /// The same, whatever time that believes it to be.
    pub out_at: u64,
    pub in_at: u64,
    /// Messages handed over on this link and not finished.
    pub flight: Vec<u32>,
    /// The last of them: they leave in the order in which they were accepted.
    pub last_tracked: Option<u32>,
    pub inbound: Vec<Inbound>,
    /// QoS 0 messages of the broker under way.
    pub q0_in: u32,
    /// SUBSCRIBE and UNSUBSCRIBE without an answer.
    pub asked: Vec<u16>,
    /// What the client read last.
    pub untaken: Vec<Untaken>,
}

/// The topic whose messages are fetched in some runs.
pub const PULLED: u8 = 2;

/// A payload: its number, then bytes that follow from it.
pub fn payload(n: u32, size: usize) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.extend((0..size).map(|i| (n as usize + i) as u8));
    bytes
}

impl World {
    fn intact(&self, bytes: &[u8], size: usize) -> bool {
        bytes.len() == 4 + size
            && bytes[4..]
                .iter()
                .enumerate()
                .all(|(i, b)| *b == (self.number(bytes).unwrap() as usize + i) as u8)
    }

    fn number(&self, bytes: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
    }

    // -- from the client ------------------------------------------------------------------------

    pub fn client_wrote(&mut self, l: usize, bytes: &[u8]) {
        let mut written = std::mem::take(&mut self.links[l].tap.written);
        written.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((total, body)) = codec::frame(&written[at..]) {
            if written.len() - at < total {
                break;
            }
            match codec::parse(&written[at..at + total], body, false) {
                Some(packet) => self.sent(l, packet),
                None => {
                    self.fail(format!("the client sent a malformed packet, {:x?}", &written[at..at + total]))
                }
            }
            at += total;
        }
        written.drain(..at);
        self.links[l].tap.written = written;
        self.links[l].tap.last_out = self.turn_now();
        self.links[l].tap.out_at = self.client_now();
        self.effects += 1;
    }

    fn sent(&mut self, l: usize, packet: Packet<'_>) {
        self.note(|| format!("link {l}: client sends {}", brief(&packet)));
        let tap = &self.links[l].tap;
        match (&packet, tap.connect, tap.up, tap.bye) {
            (Packet::Connect { .. }, false, _, _) => {}
            (_, false, _, _) => return self.fail("something before CONNECT".into()),
            (Packet::Connect { .. }, true, _, _) => return self.fail("a second CONNECT".into()),
            (_, true, false, _) => return self.fail("something before CONNACK was read".into()),
            (_, _, _, true) => return self.fail("something after DISCONNECT".into()),
            _ => {}
        }
        match packet {
            Packet::Connect { level, client, clean, keep_alive, user } => {
                let answered = self.asked.map(|attempt| attempt.to_string());
                if user != answered.as_deref() {
                    let text =
                        format!("CONNECT has the answer for attempt {user:?}, {answered:?} was asked for");
                    return self.fail(text);
                }
                if client != self.client
                    || level != if self.v31 { 3 } else { 4 }
                    || clean == self.kept
                    || u64::from(keep_alive) * 1_000_000 != self.keep_alive
                {
                    return self.fail(format!("a wrong CONNECT: {client:?}, clean {clean}, {keep_alive} s"));
                }
                self.links[l].tap.connect = true;
            }
            Packet::Publish { dup, qos, retain, topic, id, payload } => {
                let known = self.number(payload).filter(|n| (*n as usize) < self.out.len());
                let Some(n) = known else { return self.fail("an unknown message".into()) };
                let out = &self.out[n as usize];
                let right = out.qos == qos && !retain && topic == format!("o/{}", out.topic);
                if !right || !self.intact(payload, out.size) {
                    return self.fail(format!("message {n} is damaged"));
                }
                self.sent_publish(l, n, dup, qos, id);
            }
            Packet::PubRel(id) => {
                let Some(n) = self.ids.get(&id).copied().filter(|n| self.out[*n as usize].rec) else {
                    return self.fail(format!("PUBREL {id} without PUBREC"));
                };
                let out = &mut self.out[n as usize];
                (out.maybe_rec, out.maybe_done) = (false, false);
                if out.rel == Some(l) && !out.rel_due {
                    return self.fail(format!("PUBREL {id} twice"));
                }
                out.rel = Some(l);
                out.rel_due = false;
                self.in_flight(l, n);
            }
            Packet::PubAck(id) => self.answered(l, id, 1, Stage::Told, None),
            Packet::PubRec(id) => self.answered(l, id, 2, Stage::Told, Some(Stage::Rec)),
            Packet::PubComp(id) => self.answered(l, id, 2, Stage::RelRead, None),
            Packet::Subscribe { id, .. } | Packet::Unsubscribe { id, .. } => {
                if self.in_use(id, None).is_some() || self.links[l].tap.asked.contains(&id) {
                    return self.fail(format!("packet id {id} is in use"));
                }
                self.links[l].tap.asked.push(id);
            }
            Packet::PingReq => {
                let now = self.client_now();
                let tap = &self.links[l].tap;
                let quiet = now - tap.last_in.min(tap.last_out);
                if !tap.was_blocked && (self.keep_alive == 0 || quiet < self.keep_alive) {
                    return self.fail(format!("PINGREQ after {quiet} us, without need"));
                }
                // At most its own first byte.
                let alone = self.links[l].given - self.links[l].acknowledged <= 1;
                let tap = &mut self.links[l].tap;
                (tap.ping, tap.ping_alone) = (true, alone);
            }
            Packet::Disconnect if self.aborted == Some(l) => {
                self.fail("DISCONNECT, although the application wants its will to be published".into());
            }
            Packet::Disconnect => self.links[l].tap.bye = true,
            _ => self.fail("a packet that only servers send".into()),
        }
    }

    fn sent_publish(&mut self, l: usize, n: u32, dup: bool, qos: u8, id: u16) {
        let out = &self.out[n as usize];
        if out.accepted == Some(false) {
            return self.fail(format!("message {n} was refused, and is sent"));
        }
        if out.instance != self.instance {
            return self.fail(format!("message {n} is of another client"));
        }
        if qos == 0 {
            if out.first.is_some() || dup {
                return self.fail(format!("QoS 0 message {n} again"));
            }
            self.out[n as usize].first = Some(l);
            self.links[l].tap.flight.push(n);
            return;
        }
        // What only timed out is still owed to the session.
        if out.done || out.outcome.is_some_and(|outcome| outcome != Outcome::TimedOut) {
            return self.fail(format!("message {n} is sent after its end"));
        }
        if out.cancelled {
            return self.fail(format!("message {n} is sent after it was cancelled"));
        }
        if out.rec && !out.maybe_rec {
            return self.fail(format!("message {n}: PUBLISH after PUBREC"));
        }
        if out.last == Some(l) {
            return self.fail(format!("message {n} twice on one link"));
        }
        if dup != out.first.is_some() {
            return self.fail(format!("message {n}: DUP {dup}, but was sent before: {:?}", out.first));
        }
        let had = out.id;
        match self.in_use(id, Some(n)) {
            Some(other) if other != n => {
                return self.fail(format!("packet id {id} is in use by message {other}"));
            }
            None if had != 0 => {
                return self.fail(format!("message {n} had packet id {had}, now {id}"));
            }
            None if self.links[l].tap.asked.contains(&id) => {
                return self.fail(format!("packet id {id} is in use by a SUBSCRIBE"));
            }
            _ => {}
        }
        if self.links[l].tap.last_tracked.is_some_and(|last| last > n) {
            return self.fail(format!("order: message {n} after {:?}", self.links[l].tap.last_tracked));
        }
        self.links[l].tap.last_tracked = Some(n);
        self.ids.insert(id, n);
        let out = &mut self.out[n as usize];
        if std::mem::take(&mut out.maybe_rec) {
            (out.rec, out.rel_due) = (false, false);
        }
        out.maybe_done = false;
        out.id = id;
        out.first = out.first.or(Some(l));
        out.last = Some(l);
        self.in_flight(l, n);
    }

    fn in_flight(&mut self, l: usize, n: u32) {
        let out = &self.out;
        let flight = &mut self.links[l].tap.flight;
        flight.retain(|n| {
            !out[*n as usize].done && (out[*n as usize].qos > 0 || out[*n as usize].delivered == 0)
        });
        if !flight.contains(&n) {
            flight.push(n);
        }
        let tracked = flight.iter().filter(|n| out[**n as usize].qos > 0).count();
        if tracked > usize::from(self.window) {
            self.fail(format!("{tracked} messages in flight, the window is {}", self.window));
        }
    }

    fn answered(&mut self, l: usize, id: u16, qos: u8, due: Stage, then: Option<Stage>) {
        let inbound = &mut self.links[l].tap.inbound;
        let Some(at) = inbound.iter().position(|i| i.id == id && i.qos == qos && i.stage == due) else {
            let text = match inbound.iter().find(|i| i.id == id) {
                Some(i) => {
                    format!("an acknowledgement of {id} at the wrong time, {:?}, due at {due:?}", i.stage)
                }
                None => format!("an acknowledgement of {id}, which did not come on this link"),
            };
            return self.fail(text);
        };
        let earlier =
            |i: &&Inbound| i.qos == qos && !i.either && matches!(i.stage, Stage::Read | Stage::Told);
        if due == Stage::Told
            && let Some(first) = inbound[..at].iter().find(earlier)
        {
            let text = format!("an acknowledgement of {id} before that of {}", first.id);
            return self.fail(text);
        }
        match then {
            Some(stage) => inbound[at].stage = stage,
            None => drop(inbound.remove(at)),
        }
    }

    // -- to the client --------------------------------------------------------------------------

    pub fn client_read(&mut self, l: usize, bytes: &[u8]) {
        // Who reads on has taken what came before.
        self.links[l].tap.untaken.clear();
        let mut read = std::mem::take(&mut self.links[l].tap.read);
        read.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((total, body)) = codec::frame(&read[at..]) {
            if read.len() - at < total {
                break;
            }
            let packet = codec::parse(&read[at..at + total], body, false).expect("the model broker is right");
            self.received(l, packet);
            at += total;
        }
        read.drain(..at);
        self.links[l].tap.read = read;
        self.links[l].tap.last_in = self.turn_now();
        self.links[l].tap.in_at = self.client_now();
        self.effects += 1;
    }

    fn received(&mut self, l: usize, packet: Packet<'_>) {
        self.note(|| format!("link {l}: client gets {}", brief(&packet)));
        let (turn, now) = (self.turn_now(), self.client_now());
        let session = self.links[l].session;
        let tap = &mut self.links[l].tap;
        match packet {
            Packet::ConnAck { code, .. } => {
                // The keep-alive begins, unless the application has given the link up.
                tap.up = code == 0 && self.left != Some(l);
                tap.last_out = turn;
                tap.out_at = now;
                if tap.up
                    && !tap.present
                    && let Some(s) = session
                {
                    self.sessions[s].stale.clear();
                    self.deferred.iter_mut().for_each(|deferred| deferred.over = true);
                }
            }
            Packet::Publish { qos: 0, .. } => {
                tap.q0_in = tap.q0_in.saturating_sub(1);
                self.fetch_later();
            }
            Packet::Publish { dup, id, .. } => {
                let entry = tap.inbound.iter_mut().find(|i| i.id == id && i.stage == Stage::Sent);
                let Some(entry) = entry else { return };
                // A repetition of what was delivered is only acknowledged, when it is not held any more.
                if let Some(s) = session
                    && dup
                    && entry.qos == 2
                    && !self.inn[entry.n as usize].taken
                    && let Some(old) = self.sessions[s].known(id, &self.inn, self.pulls)
                {
                    // With the id of one that it knows, of a session that was lost: taken for that.
                    self.inn[entry.n as usize].excused = true;
                    entry.either = self.inn[entry.n as usize].unsure || self.inn[old as usize].unsure;
                    if !entry.either {
                        entry.n = old;
                    }
                }
                let n = entry.n;
                tap.untaken.push(Untaken::Message(n));
                let inn = &mut self.inn[n as usize];
                inn.seen |= self.left != Some(l) && !tap.bye;
                // Where the client was told that it is connected it knows of what is not marked that it is new.
                inn.taken |= tap.up;
                let known = entry.qos == 2 && inn.delivered > 0 && !inn.forgotten;
                let deferred = self.deferred.iter().any(|d| d.n == n && !d.over);
                entry.held = known && (self.refused.contains(&n) || deferred);
                // What waits in the queue is held until it was fetched and given back.
                if self.pulls && self.inn[n as usize].topic == PULLED {
                    entry.held = entry.qos == 1 || !known || !self.released.contains(&n);
                }
                entry.stage = if known && !entry.held || entry.either { Stage::Told } else { Stage::Read };
                self.fetch_later();
            }
            Packet::PubAck(id) | Packet::PubComp(id) => {
                if let Some(n) = self.ids.remove(&id) {
                    tap.untaken.push(Untaken::Done { n, lost: false });
                    let out = &mut self.out[n as usize];
                    out.done = true;
                    out.read_at.get_or_insert(self.now + self.offset);
                    tap.flight.retain(|other| *other != n);
                }
            }
            Packet::PubRec(id) => {
                if let Some(n) = self.ids.get(&id) {
                    tap.untaken.push(Untaken::Received(*n));
                    let out = &mut self.out[*n as usize];
                    out.rec = true;
                    out.rel_due = true;
                    out.read_at.get_or_insert(self.now + self.offset);
                }
            }
            Packet::PubRel(id) => {
                if let Some(entry) = tap.inbound.iter_mut().find(|i| i.id == id && i.stage == Stage::RelSent)
                {
                    entry.stage = Stage::RelRead;
                    tap.untaken.push(Untaken::Released { id, n: entry.n });
                    self.inn[entry.n as usize].released = true;
                    if let Some(s) = session {
                        self.sessions[s].stale.retain(|(of, _)| *of != id);
                    }
                }
            }
            Packet::SubAck { id } | Packet::UnsubAck(id) => tap.asked.retain(|other| *other != id),
            Packet::PingResp => tap.ping = false,
            _ => {}
        }
    }

    /// The application gives up the present link, in order.
    pub fn leaves(&mut self) {
        if self.left != self.cur {
            (self.left, self.left_at) = (self.cur, self.now);
            self.leaves_untaken();
        }
    }

    /// The client gives up a link. If the application wanted that, and nothing else was wrong, the broker has
    /// everything by then, DISCONNECT too: it has taken as long as that takes on a slow line, but for one on which
    /// that is a minute.
    pub fn closed_by_the_client(&mut self, l: usize) {
        let link = &self.links[l];
        let in_order = self.left == Some(l) && link.tap.up && !link.harmed && !self.freeing;
        if in_order && !link.closed && self.now - self.left_at < 50_000_000 {
            let left = link.given - link.acknowledged;
            self.fail(format!("closed with {left} bytes under way, DISCONNECT written: {}", link.tap.bye));
        }
    }

    pub fn link_ended(&mut self, l: usize) {
        self.ends_untaken(l);
        let tap = &mut self.links[l].tap;
        tap.flight = Vec::new();
        tap.inbound = Vec::new();
        tap.asked = Vec::new();
        self.effects += 1;
        self.note(|| format!("link {l} is given up"));
    }

    // -- at the two ends ------------------------------------------------------------------------

    /// The broker takes a message.
    pub fn published(&mut self, server: usize, n: u32) {
        let out = &mut self.out[n as usize];
        out.delivered += 1;
        if out.delivered == 1 {
            let place = ((out.instance * 4 + usize::from(out.topic)) * 3 + usize::from(out.qos)) * 2 + server;
            if self.last_out.len() <= place {
                self.last_out.resize(place + 1, None);
            }
            let last = self.last_out[place].replace(n);
            if last.is_some_and(|last| last > n) {
                self.fail(format!("order: the broker got message {n} after {last:?}"));
            }
        } else if out.qos == 0 || (out.qos == 2 && !out.lossy) {
            let text = format!("message {n}, QoS {}, arrived {} times", out.qos, out.delivered);
            self.fail(text);
        }
    }

    /// The broker lost its session: what was handed over and not finished may be repeated.
    pub fn session_was_lost(&mut self) {
        for out in self.out.iter_mut().filter(|out| out.first.is_some() && !out.done) {
            out.lossy = true;
        }
        self.lost_untaken();
    }

    /// A handler is told of a message, for the `attempt`th time since it came; its number.
    pub fn delivered(&mut self, topic: &str, qos: u8, bytes: &[u8], attempt: u32) -> Option<u32> {
        let known = self.number(bytes).filter(|n| (*n as usize) < self.inn.len());
        let Some(n) = known else {
            self.fail("a handler got an unknown message".into());
            return None;
        };
        let inn = &self.inn[n as usize];
        if inn.qos != qos || topic != format!("i/{}/t", inn.topic) || !self.intact(bytes, inn.size) {
            self.fail(format!("a handler got message {n} damaged"));
        }
        if (attempt > 1) != self.refused.contains(&n) && (attempt > 1 || qos == 2) {
            self.fail(format!("a handler got message {n} for the {attempt}th time"));
        }
        self.took(n);
        let inn = &mut self.inn[n as usize];
        inn.delivered += 1;
        inn.forgotten = false;
        if inn.delivered == 1 {
            let place =
                ((inn.instance * 4 + usize::from(inn.topic)) * 3 + usize::from(inn.qos)) * 2 + inn.server;
            if self.last_in.len() <= place {
                self.last_in.resize(place + 1, None);
            }
            let last = self.last_in[place].replace(n);
            if last.is_some_and(|last| last > n) {
                self.fail(format!("order: a handler got message {n} after {last:?}"));
            }
        } else if qos == 2 && inn.again > 0 {
            inn.again -= 1;
        } else if qos != 1 && attempt == 1 {
            self.fail(format!("a handler got message {n}, QoS {qos}, again"));
        }
        Some(n)
    }

    /// The handlers returned, and nobody holds the message, or not any more.
    pub fn told(&mut self, n: u32) -> Option<u32> {
        let entry = self.unanswered(n)?;
        entry.stage = Stage::Told;
        entry.held = false;
        Some(n)
    }

    /// It was another copy of the message that nobody holds any more, one that came earlier.
    pub fn takes_back(&mut self, told: Option<u32>) {
        let (Some(cur), Some(n)) = (self.cur, told) else { return };
        if let Some(entry) =
            self.links[cur].tap.inbound.iter_mut().find(|i| i.n == n && i.stage == Stage::Told)
        {
            (entry.stage, entry.held) = (Stage::Read, true);
        }
    }

    /// Whether the application refuses a message. What comes again from here and from the server, too, nobody can tell
    /// apart: after another server, and with MQTT 3.1.
    pub fn may_refuse(&mut self, qos: u8) -> bool {
        let alone = qos == 0 || self.down_until.len() == 1 && (qos == 2 || !self.v31);
        alone && self.rng.one_in(2)
    }

    /// The handlers returned, and somebody holds the message.
    pub fn held(&mut self, n: u32) {
        if let Some(entry) = self.unanswered(n) {
            entry.held = true;
        }
    }

    fn unanswered(&mut self, n: u32) -> Option<&mut Inbound> {
        self.links[self.cur?].tap.inbound.iter_mut().find(|i| i.n == n && i.stage == Stage::Read)
    }

    /// A message came that may be in the queue.
    fn fetch_later(&mut self) {
        if self.pulls {
            let at = self.now + self.rng.range(0, 5_000_000);
            self.at(at, Ev::Act(Act::Fetch));
        }
    }

    /// The application gives back a message that it fetched.
    pub fn releases(&mut self, n: u32, qos: u8, link: Option<usize>) -> Option<u32> {
        if qos == 2 {
            self.released.insert(n);
        }
        (link == self.cur || qos == 2).then(|| self.told(n))?
    }

    /// Whether the client has this link and means to keep it.
    pub fn keeps(&self, link: Option<usize>) -> bool {
        link.is_some_and(|l| {
            self.cur == Some(l) && self.left != Some(l) && self.links[l].tap.up && !self.links[l].tap.bye
        })
    }

    /// The application acknowledges a message that it deferred: that may be written at once.
    pub fn acknowledges(&mut self, Deferred { n, qos, link, over, .. }: Deferred) -> Option<u32> {
        // QoS 2 on a later link, too, if the session is still there.
        (link == self.cur || qos == 2 && !over).then(|| self.told(n))?
    }

    /// This was the answer.
    pub fn acknowledged(&mut self, deferred: Deferred, told: Option<u32>, answer: Result<(), Code>) {
        let Deferred { n, qos, link, .. } = deferred;
        match answer {
            Ok(()) if qos == 2 || link.is_some() && link == self.cur => {}
            Err(Code::Stale) if !self.keeps(link) => self.takes_back(told),
            _ => self.fail(format!("message {n} was acknowledged: {answer:?}, {deferred:?}")),
        }
    }

    /// Whether an acknowledgement is due that does not stand in line behind a message that is held.
    fn owes_acknowledgement(&self, l: usize) -> bool {
        self.links[l].tap.inbound.iter().any(|i| i.stage == Stage::RelRead)
            || self.first_unacknowledged(l).any(|first| !first.held)
    }

    /// The handlers of a message have returned, nobody holds it, and its acknowledgement was not written.
    fn told_and_owed(&self, l: usize) -> bool {
        // One of QoS 2 that was told on an earlier link is only answered, when its turn comes.
        let owed = |first: &Inbound| first.qos == 1 && !first.held && first.stage == Stage::Told;
        self.first_unacknowledged(l).any(owed)
    }

    /// The message whose acknowledgement is the next, of each QoS.
    fn first_unacknowledged(&self, l: usize) -> impl Iterator<Item = &Inbound> {
        let inbound = &self.links[l].tap.inbound;
        let first = |qos| {
            let waits = |i: &&Inbound| !i.either && matches!(i.stage, Stage::Read | Stage::Told);
            inbound.iter().filter(waits).find(move |i| i.qos == qos)
        };
        [1, 2].into_iter().filter_map(first)
    }

    /// An accepted publish ended.
    pub fn ended(&mut self, n: u32, outcome: Outcome) {
        if outcome == Outcome::Acked {
            self.was_done(n);
        }
        let out = &mut self.out[n as usize];
        if let Some(before) = out.outcome.replace(outcome) {
            return self.fail(format!("message {n} has two outcomes, {before:?} and {outcome:?}"));
        }
        let unsent = out.first.is_none();
        let waited = (self.now + self.offset).saturating_sub(out.made_at);
        let right = match outcome {
            Outcome::Acked => out.qos > 0 && out.done && out.delivered > 0,
            Outcome::Sent => out.qos == 0 && !unsent,
            Outcome::Dropped(Dropped::Link) => out.qos == 0,
            Outcome::Dropped(Dropped::Overflow) => out.qos > 0 && unsent,
            Outcome::Lost => out.qos > 0 && out.lossy,
            Outcome::Expired => out.expires && unsent,
            Outcome::Cancelled => out.cancelled && unsent,
            Outcome::TimedOut => {
                let is_over = |waited: u64| self.ack_timeout > 0 && waited >= self.ack_timeout;
                // Where callbacks are slow the outcome is told long after it was so, and what was late may have come.
                let was_over = out.read_at.is_some_and(|at| is_over(at.saturating_sub(out.made_at)));
                let read = out.rec || out.done;
                out.qos > 0 && is_over(waited) && (!read || self.slow > 0 && was_over)
            }
            Outcome::Abandoned => self.freeing,
            Outcome::Rejected(_) => false,
        };
        if !right {
            let text = format!("message {n} ended as {outcome:?}: {out:?}");
            self.fail(text);
        }
    }

    /// The link on which PINGREQ is due by now for sure, whatever came in.
    pub fn ping_due(&self) -> Option<usize> {
        let l = self.cur?;
        let link = &self.links[l];
        let open = link.course == crate::net::Course::Open && link.tap.up && !link.tap.bye && !link.blocked;
        let quiet = self.client_now().saturating_sub(link.tap.out_at);
        (open && self.keep_alive > 0 && !link.tap.ping && quiet > self.keep_alive).then_some(l)
    }

    /// A round is over in which callbacks were slow: PINGREQ has left if it was due before on link `due`, and what they
    /// brought about was written.
    pub fn nothing_waits(&mut self, due: Option<usize>) {
        let Some(l) = self.cur else { return };
        let link = &self.links[l];
        if link.course != crate::net::Course::Open || link.blocked || link.tap.bye || !link.tap.up {
            return;
        }
        if link.fin || link.rst.is_some() {
            return;
        }
        if due == Some(l) && self.ping_due().is_some() {
            self.fail("PINGREQ waits for slow callbacks".into());
        } else if self.told_and_owed(l) {
            self.fail("an acknowledgement waits for slow callbacks".into());
        }
    }

    /// Nothing is left to do at this moment: so nothing may lie about.
    pub fn at_rest(&mut self, unwritten: usize) {
        self.takes_all();
        let Some(l) = self.cur else { return };
        let link = &self.links[l];
        if link.course != crate::net::Course::Open {
            return;
        }
        let problem = if !link.arrived.is_empty() || (link.fin || link.rst.is_some()) && link.token.is_some()
        {
            Some("the client does not read what came")
        } else if link.blocked || link.tap.bye || !link.tap.up {
            None
        } else if unwritten > 0 {
            Some("the client does not write what it has to")
        } else if self.owes_acknowledgement(l) {
            Some("the client owes an acknowledgement")
        } else if link.tap.flight.iter().any(|n| self.out[*n as usize].rel_due) {
            Some("the client owes a PUBREL")
        } else {
            None
        };
        if let Some(problem) = problem {
            return self.fail(problem.into());
        }
        let link = &self.links[l];
        if self.keep_alive == 0 || !link.tap.up || link.blocked || link.tap.bye {
            return;
        }
        if self.slow > 0 {
            // When a turn that takes long looks at the clock, is its own business: see `nothing_waits`.
            return;
        }
        // While the answer to a PINGREQ is late, anything else that comes is a sign of life, too.
        let (tap, now) = (&link.tap, self.client_now());
        let (quiet, most) = match tap.ping {
            // As long as anything is acknowledged, too, which is looked after four times in that time.
            true => {
                // But where nothing is ahead of it, at the end of that time only, or an idle client would wake up for it: if a
                // part of it has arrived by then and the rest has not, it has that time once more.
                let most = self.keep_alive.min(10_000_000);
                let again = if tap.ping_alone && link.given > link.acknowledged { most } else { most / 4 };
                (now - tap.in_at.max(tap.out_at).max(link.moved_at), most + again)
            }
            false => (now - tap.in_at.min(tap.out_at), self.keep_alive),
        };
        if quiet > most + 1 {
            let missed = if tap.ping { "the silence of the broker is not noticed" } else { "no PINGREQ" };
            self.fail(format!("{missed} for {quiet} us"));
        }
    }
}

fn brief(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish { dup, qos, topic, id, payload, .. } => format!(
            "PUBLISH q{qos} id {id} dup {dup} {topic} no. {}",
            u32::from_be_bytes(payload[..4].try_into().unwrap_or_default())
        ),
        other => format!("{other:?}"),
    }
}
