//! The model broker: sessions, QoS 1 and 2 both ways, taking over, restarts, refusals. In some runs there are two, which
//! know nothing of each other.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::{self, Packet};
use crate::net::{Course, End};
use crate::watch::{In, Inbound, PULLED, Stage};
use crate::world::{Ev, World};

/// How one attempt to connect fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Name,
    NameSilent,
    Tcp,
    TcpSilent,
    /// A CONNACK with this code.
    Code(u8),
    /// The end of the stream instead of CONNACK.
    Closes,
    /// The broker accepts, and the link is cut before the client hears of it.
    Unheard,
    Silent,
}

/// A session, by client.
#[derive(Debug, Default)]
pub struct Session {
    pub server: usize,
    pub client: String,
    pub clean: bool,
    pub filters: Vec<(String, u8)>,
    /// Messages that wait.
    pub queue: VecDeque<u32>,
    /// Sent and not finished: packet id, message, and whether PUBREC came.
    pub flight: Vec<(u16, u32, bool)>,
    /// QoS 2 ids received and not released.
    pub received: BTreeMap<u16, u32>,
    pub last_id: u16,
    /// QoS 2 messages of sessions that were lost: the client may know their ids, until it reads a CONNACK that tells it. That
    /// of MQTT 3.1 cannot.
    pub stale: Vec<(u16, u32)>,
    pub link: Option<usize>,
}

impl Session {
    /// The message of a lost session by which the client knows this id.
    pub fn known(&self, id: u16, all: &[In], pulls: bool) -> Option<u32> {
        let known = |n: &u32| {
            let inn = &all[*n as usize];
            // What goes to the queue is known when it is there, everything else when a handler was told.
            !inn.released && (inn.delivered > 0 || inn.seen && pulls && inn.topic == PULLED)
        };
        self.stale.iter().filter(|(of, _)| *of == id).map(|(_, n)| *n).rfind(known)
    }
}

/// The broker does not send more at a time.
const WINDOW: usize = 10;

impl World {
    pub fn broker_reads(&mut self, l: usize, bytes: &[u8]) {
        let mut input = std::mem::take(&mut self.links[l].input);
        input.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((total, body)) = codec::frame(&input[at..]) {
            if input.len() - at < total || self.links[l].closed {
                break;
            }
            // Whether it is well-formed was checked as it left the client.
            if let Some(packet) = codec::parse(&input[at..at + total], body, false) {
                self.broker_takes(l, packet);
            }
            at += total;
        }
        input.drain(..at);
        self.links[l].input = input;
    }

    fn broker_takes(&mut self, l: usize, packet: Packet<'_>) {
        self.links[l].heard = self.now;
        if self.links[l].silent {
            return;
        }
        if let Packet::Connect { client, clean, keep_alive, .. } = packet {
            return self.broker_connects(l, client, clean, keep_alive);
        }
        let Some(s) = self.links[l].session else { return };
        match packet {
            Packet::Publish { qos, id, payload, .. } => {
                let n = u32::from_be_bytes(payload[..4].try_into().unwrap());
                if qos < 2 || !self.sessions[s].received.contains_key(&id) {
                    self.published(self.sessions[s].server, n);
                }
                match qos {
                    0 => {}
                    1 => self.send_in(l, &codec::ack(4, id), End::None),
                    _ => {
                        self.sessions[s].received.insert(id, n);
                        self.out[n as usize].rec_sent = Some(l);
                        self.send_in(l, &codec::ack(5, id), End::None);
                    }
                }
            }
            Packet::PubRel(id) => {
                self.sessions[s].received.remove(&id);
                self.send_in(l, &codec::ack(7, id), End::None);
            }
            Packet::PubAck(id) | Packet::PubComp(id) => {
                self.sessions[s].flight.retain(|f| f.0 != id);
                self.broker_pumps(s);
            }
            Packet::PubRec(id) => {
                if let Some(f) = self.sessions[s].flight.iter_mut().find(|f| f.0 == id) {
                    f.2 = true;
                }
                self.send_rel(l, id);
            }
            Packet::Subscribe { id, filters } => {
                let mut answer = vec![0x90, 2 + filters.len() as u8];
                answer.extend_from_slice(&id.to_be_bytes());
                for (filter, qos) in filters {
                    self.sessions[s].filters.retain(|(f, _)| f != filter);
                    self.sessions[s].filters.push((filter.to_owned(), qos));
                    answer.push(qos);
                }
                self.send_in(l, &answer, End::None);
            }
            Packet::Unsubscribe { id, filters } => {
                self.sessions[s].filters.retain(|(f, _)| !filters.contains(&&**f));
                self.send_in(l, &codec::ack(11, id), End::None);
            }
            Packet::PingReq => self.send_in(l, &[0xd0, 0], End::None),
            Packet::Disconnect => self.broker_closes(l, End::Fin),
            _ => {}
        }
    }

    fn send_rel(&mut self, l: usize, id: u16) {
        if let Some(entry) = self.links[l].tap.inbound.iter_mut().find(|i| i.id == id) {
            entry.stage = Stage::RelSent;
        }
        self.send_in(l, &codec::ack(6, id), End::None);
    }

    fn broker_connects(&mut self, l: usize, client: &str, clean: bool, keep_alive: u16) {
        let how = self.attempt.take();
        match how {
            Some(Refusal::Code(code)) => {
                self.send_in(l, &[0x20, 2, 0, code], End::Fin);
                self.links[l].closed = true;
                return;
            }
            Some(Refusal::Closes) => return self.broker_closes(l, End::Fin),
            Some(Refusal::Silent) => {
                self.links[l].silent = true;
                return;
            }
            _ => {}
        }
        self.links[l].keep_alive = u64::from(keep_alive) * 1_500_000;
        if keep_alive > 0 {
            self.at(self.now + self.links[l].keep_alive, Ev::BrokerIdle(l));
        }
        let server = self.links[l].server;
        let s = match self.sessions.iter().position(|s| s.server == server && s.client == client) {
            Some(s) => s,
            None => {
                self.sessions.push(Session {
                    server,
                    client: client.to_owned(),
                    clean: true,
                    ..Session::default()
                });
                self.sessions.len() - 1
            }
        };
        // Taking over: the old connection ends.
        if let Some(old) = self.sessions[s].link {
            self.broker_closes(old, End::Fin);
        }
        let present = !clean && !self.sessions[s].clean;
        if !present {
            self.forget_session(s);
            self.session_was_lost();
        }
        self.sessions[s].clean = clean;
        self.sessions[s].link = Some(l);
        self.links[l].session = Some(s);
        // MQTT 3.1 cannot say it: who did not ask for a clean session believes that it was kept.
        self.links[l].tap.present = if self.v31 { !clean } else { present };
        self.send_in(l, &[0x20, 2, u8::from(present && !self.v31), 0], End::None);
        for (id, n, released) in self.sessions[s].flight.clone() {
            if released {
                self.links[l].tap.inbound.push(Inbound {
                    id,
                    n,
                    qos: 2,
                    stage: Stage::RelSent,
                    again: true,
                    held: false,
                    either: false,
                });
                self.send_in(l, &codec::ack(6, id), End::None);
            } else {
                self.send_message(l, id, n, true);
            }
        }
        self.broker_pumps(s);
        if how == Some(Refusal::Unheard) {
            self.cut(l);
        }
    }

    /// The session of the client at the server that it uses.
    pub fn session(&self) -> Option<&Session> {
        self.sessions.iter().find(|s| s.server == self.server && s.client == self.client)
    }

    /// The client has a link to a server. If it is another one than before, nothing that was begun there is known here:
    /// what the client did not finish may arrive again, and so may what the other server has.
    pub fn opened(&mut self, l: usize) {
        let before = std::mem::replace(&mut self.server, self.links[l].server);
        if before == self.server {
            return;
        }
        self.session_was_lost();
        self.sessions.iter_mut().for_each(|s| s.stale.clear());
        self.deferred.iter_mut().for_each(|deferred| deferred.over = true);
        let other = self.sessions.iter().find(|s| s.server == before && s.client == self.client);
        let Some(other) = other else { return };
        for n in other.queue.iter() {
            self.inn[*n as usize].excused = true;
        }
        for (_, n, released) in &other.flight {
            let inn = &mut self.inn[*n as usize];
            inn.excused = true;
            if inn.qos == 2 && !released {
                inn.forgotten = inn.delivered > 0;
                inn.again += u32::from(inn.forgotten);
            }
        }
    }

    /// Nothing of a session is left but its number.
    pub fn forget_session(&mut self, s: usize) {
        let session = &mut self.sessions[s];
        let known = session.flight.iter().filter(|(_, n, _)| self.inn[*n as usize].qos == 2);
        session.stale.extend(known.map(|(id, n, _)| (*id, *n)));
        session.filters.clear();
        session.received.clear();
        session.clean = true;
        let lost: Vec<u32> = session.flight.drain(..).map(|f| f.1).chain(session.queue.drain(..)).collect();
        for n in lost {
            self.inn[n as usize].excused = true;
        }
    }

    /// The broker's end closes, for whatever reason.
    pub fn broker_closes(&mut self, l: usize, end: End) {
        if std::mem::replace(&mut self.links[l].closed, true) {
            return;
        }
        if end != End::None {
            self.send_in(l, &[], end);
        }
        if let Some(s) = self.links[l].session
            && self.sessions[s].link == Some(l)
        {
            self.sessions[s].link = None;
            if self.sessions[s].clean {
                self.forget_session(s);
                self.session_was_lost();
            }
        }
    }

    pub fn broker_idle(&mut self, l: usize) {
        let link = &self.links[l];
        if link.closed {
            return;
        }
        let due = link.heard + link.keep_alive;
        if due <= self.now {
            self.broker_closes(l, End::Fin);
        } else {
            self.at(due, Ev::BrokerIdle(l));
        }
    }

    pub fn restart(&mut self, lose: bool, down: u64) {
        let server = self.server;
        self.down_until[server] = self.now + down;
        let end = if self.rng.one_in(2) { End::Rst } else { End::Fin };
        for l in (0..self.links.len()).filter(|l| self.links[*l].server == server).collect::<Vec<_>>() {
            if self.links[l].course == Course::Pending && !self.links[l].gone {
                // The connection that was asked for is refused.
                self.cut(l);
            } else if !self.links[l].closed {
                self.broker_closes(l, end);
            }
        }
        if lose {
            let lost = |s: &usize| self.sessions[*s].server == server;
            (0..self.sessions.len())
                .filter(lost)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|s| self.forget_session(s));
            self.session_was_lost();
        }
    }

    /// Somebody publishes what the client subscribed to, perhaps.
    pub fn publish_to_client(&mut self, topic: u8, qos: u8) {
        let n = self.new_in(topic, qos);
        let s = self.sessions.iter().position(|s| s.server == self.server && s.client == self.client);
        let filter = format!("i/{topic}/#");
        let granted = s.and_then(|s| self.sessions[s].filters.iter().find(|f| f.0 == filter).map(|f| f.1));
        let (Some(s), Some(granted)) = (s, granted) else {
            self.inn[n as usize].excused = true;
            return;
        };
        self.inn[n as usize].qos = qos.min(granted);
        if qos == 0 && self.sessions[s].link.is_none() {
            self.inn[n as usize].excused = true;
            return;
        }
        self.sessions[s].queue.push_back(n);
        self.broker_pumps(s);
    }

    fn broker_pumps(&mut self, s: usize) {
        let Some(l) = self.sessions[s].link else { return };
        while self.sessions[s].flight.len() < WINDOW {
            let Some(n) = self.sessions[s].queue.pop_front() else { return };
            if self.inn[n as usize].qos == 0 {
                // What is under way when the link ends is lost.
                self.inn[n as usize].excused = true;
                self.send_message(l, 0, n, false);
                continue;
            }
            let session = &mut self.sessions[s];
            loop {
                session.last_id = session.last_id % self.broker_ids + 1;
                if session.flight.iter().all(|f| f.0 != session.last_id) {
                    break;
                }
            }
            let id = session.last_id;
            session.flight.push((id, n, false));
            self.send_message(l, id, n, false);
        }
    }

    fn send_message(&mut self, l: usize, id: u16, n: u32, dup: bool) {
        let message = &self.inn[n as usize];
        let mut bytes = Vec::with_capacity(64);
        let payload = crate::watch::payload(n, message.size);
        codec::publish(&mut bytes, false, dup, message.qos, &format!("i/{}/t", message.topic), id, &payload);
        if message.qos > 0 {
            let qos = message.qos;
            self.links[l].tap.inbound.push(Inbound {
                id,
                n,
                qos,
                stage: Stage::Sent,
                again: dup,
                held: false,
                either: false,
            });
        } else {
            self.links[l].tap.q0_in += 1;
        }
        self.send_in(l, &bytes, End::None);
    }
}
