//! One run's world: its time, its events, its script, and the faults that strike it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mgos_mqtt::driver::{Loop, Question};

use crate::broker::{Refusal, Session};
use crate::net::{Course, End, Link};
use crate::plan::{Fault, Phase, Table, Target};
use crate::rng::Rng;
use crate::watch::{Deferred, In, Out, Stage};

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ev {
    Connect(usize),
    In(usize),
    Out(usize),
    Writable(usize),
    Kill(usize),
    BrokerIdle(usize),
    Name(usize),
    Traffic,
    /// The application does something.
    Act(Act),
}

/// What the application is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Publish(u8),
    Subscribe,
    Unsubscribe,
    /// Takes the message published last back.
    Cancel,
    /// Acknowledges the oldest message whose acknowledgement was deferred until now.
    Acknowledge,
    /// Fetches what is in the queue.
    Fetch,
    /// Gives the oldest message back that it fetched.
    Release,
    Reconfigure,
    Reconnect,
    Free,
    /// Three calls in any order.
    Calls,
    Connect,
    Disconnect,
    Abort,
    /// Closes the present link only, with DISCONNECT or without.
    Drop(bool),
    /// Sets the options that it has.
    Options,
    /// Gives the credentials for the attempt with this number, which may be over.
    Answer(u64),
}

/// See the module.
pub struct World {
    pub now: u64,
    /// How far the client's clock has leapt ahead.
    pub offset: u64,
    clock: Arc<AtomicU64>,
    pub rng: Rng,
    pub queue: BinaryHeap<Reverse<(u64, u64, Ev)>>,
    pub seq: u64,
    pub driver: Option<Loop>,
    pub links: Vec<Link>,
    /// The link that the client has.
    pub cur: Option<usize>,
    pub questions: Vec<Option<Question>>,
    /// The question that the client waits for, and when it is answered.
    pub asking: Option<(usize, u64)>,

    // The broker.
    pub sessions: Vec<Session>,
    /// By server.
    pub down_until: Vec<u64>,
    pub refusals: VecDeque<Refusal>,
    /// How the present attempt is to fail.
    pub attempt: Option<Refusal>,
    pub broker_ids: u16,

    // What the run is like.
    pub qos: u8,
    pub kept: bool,
    /// It speaks MQTT 3.1.
    pub v31: bool,
    pub latency: (u64, u64),
    pub split_odds: u64,
    pub slow_odds: u64,
    /// How often the client asked what was acknowledged.
    pub looks: u64,
    pub window: u16,
    /// How long an acknowledgement may take; 0 is for ever.
    pub ack_timeout: u64,
    pub keep_alive: u64,
    /// One message in so many is held by the application, for a while: deferred, or refused.
    pub hold_odds: u64,
    /// The last topic's messages are fetched instead of delivered.
    pub pulls: bool,
    /// They are to be fetched as soon as the loop has nothing to do.
    pub fetches: bool,

    // The messages.
    pub out: Vec<Out>,
    pub inn: Vec<In>,
    pub ids: BTreeMap<u16, u32>,
    /// The messages of the present client by token.
    pub tokens: BTreeMap<u64, u32>,
    pub max_bytes: usize,
    pub last_out: Vec<Option<u32>>,
    pub last_in: Vec<Option<u32>>,
    /// What the application will acknowledge, and what it refused and will get again.
    pub deferred: VecDeque<Deferred>,
    pub refused: BTreeSet<u32>,
    /// QoS 2 messages that were fetched and given back.
    pub released: BTreeSet<u32>,
    pub client: String,
    /// The server that it used last, and the one whose name it asked for last.
    pub server: usize,
    pub asked_server: usize,
    pub instance: usize,
    pub freeing: bool,
    /// The link that the application gave up, and the one that it gave up without DISCONNECT.
    pub left: Option<usize>,
    pub left_at: u64,
    pub aborted: Option<usize>,
    /// The application wants the connection to be up.
    pub intends: bool,
    /// It asked for the end of the link or attempt that there is.
    pub ending: bool,
    /// It makes credentials for each attempt, sometimes later than that is over; and for which it was asked last.
    pub hooked: bool,
    pub asked: Option<u64>,
    /// The filters that the client wants.
    pub wanted: Vec<(String, u8)>,

    // The script.
    pub target: Option<Target>,
    pub acts: Vec<Act>,
    pub messages_left: u64,
    pub calm: bool,
    pub table: Table,
    pub faults: u64,
    /// Counts what the client did that can be seen.
    pub effects: u64,
    /// Time leapt or the host was busy since the last failure: the next attempt may be late.
    pub late: bool,
    /// How long each callback takes that can come in numbers; 0 if they are quick.
    pub slow: u64,
    /// How many of those ran in the present round.
    pub slow_ran: u32,
    /// The client has seen that they are slow.
    pub slow_known: bool,
    /// When the present round of the loop began, on the client's clock.
    pub round: Option<u64>,
    /// Time has passed within a round since the client had nothing left to do.
    pub turn_took_time: bool,
    pub trace: Option<Vec<String>>,
    pub bad: Option<String>,
}

pub fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(clock: Arc<AtomicU64>, rng: Rng, qos: u8, kept: bool, trace: bool) -> World {
        World {
            now: 0,
            offset: 0,
            clock,
            rng,
            queue: BinaryHeap::new(),
            seq: 0,
            driver: None,
            links: Vec::new(),
            cur: None,
            questions: Vec::new(),
            asking: None,
            sessions: Vec::new(),
            down_until: vec![0],
            refusals: VecDeque::new(),
            attempt: None,
            broker_ids: 65_535,
            qos,
            kept,
            v31: false,
            latency: (1_000, 1_000),
            split_odds: 4,
            slow_odds: 1_000,
            looks: 0,
            window: 20,
            ack_timeout: 0,
            keep_alive: 0,
            hold_odds: 0,
            pulls: false,
            fetches: false,
            out: Vec::new(),
            inn: Vec::new(),
            ids: BTreeMap::new(),
            tokens: BTreeMap::new(),
            max_bytes: 1 << 20,
            last_out: Vec::new(),
            last_in: Vec::new(),
            deferred: VecDeque::new(),
            refused: BTreeSet::new(),
            released: BTreeSet::new(),
            client: String::new(),
            server: 0,
            asked_server: 0,
            instance: 0,
            freeing: false,
            left: None,
            left_at: 0,
            aborted: None,
            intends: false,
            ending: false,
            hooked: false,
            asked: None,
            wanted: Vec::new(),
            target: None,
            acts: Vec::new(),
            messages_left: 0,
            calm: false,
            table: Table::new(),
            faults: 0,
            effects: 0,
            late: false,
            slow: 0,
            slow_ran: 0,
            slow_known: false,
            round: None,
            turn_took_time: false,
            trace: trace.then(Vec::new),
            bad: None,
        }
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>16.6} {}", self.now as f64 / 1e6, text()));
        }
    }

    pub fn fail(&mut self, text: String) {
        self.note(|| format!("VIOLATED: {text}"));
        self.bad.get_or_insert(text);
    }

    pub fn at(&mut self, time: u64, event: Ev) {
        self.seq += 1;
        self.queue.push(Reverse((time, self.seq, event)));
    }

    pub fn client_now(&self) -> u64 {
        self.now + self.offset
    }

    /// The time as the client's turn knows it: it asks once, and a slow handler does not change that.
    pub fn turn_now(&self) -> u64 {
        self.round.unwrap_or(self.client_now())
    }

    pub fn set_now(&mut self, now: u64) {
        self.now = now;
        self.turn_took_time |= self.round.is_some_and(|round| round < self.client_now());
        self.clock.store(self.client_now(), SeqCst);
    }

    pub fn next_event(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets time pass and everything happen that does not need the client.
    pub fn pass_until(&mut self, until: u64) {
        while self.next_event().is_some_and(|at| at <= until) {
            let Reverse((at, _, event)) = self.queue.pop().unwrap();
            self.set_now(at.max(self.now));
            self.happen(event);
        }
        self.set_now(until.max(self.now));
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Connect(l) => self.connect_event(l),
            Ev::In(l) => self.in_event(l),
            Ev::Out(l) => self.out_event(l),
            Ev::Writable(l) => self.writable_event(l),
            Ev::Kill(l) if !self.links[l].gone => {
                self.reset(l, crate::net::ETIMEDOUT);
                self.broker_closes(l, End::None);
            }
            Ev::Kill(_) => {}
            Ev::BrokerIdle(l) => self.broker_idle(l),
            Ev::Name(q) => self.name_event(q),
            Ev::Traffic => self.traffic(),
            Ev::Act(act) => self.acts.push(act),
        }
    }

    /// What was acknowledged before, the client sees now.
    fn seen_late(&mut self) {
        let now = self.client_now();
        self.links.iter_mut().for_each(|link| link.moved_at = now);
    }

    /// A callback takes its time.
    pub fn slow_callback(&mut self) {
        if self.slow > 0 {
            self.late = true;
            self.slow_ran += 1;
            self.pass_until(self.now + self.slow);
        }
    }

    /// After a round of the loop: no more than a few slow callbacks have run in it, and nothing that is due has waited for
    /// more than those. PINGREQ was `due` on this link when it began.
    pub fn after_round(&mut self, due: Option<usize>) {
        // An outcome has two callbacks, its listener and the handler.
        let most = if self.slow_known { 2 } else { 17 };
        let ran = std::mem::take(&mut self.slow_ran);
        if ran > most {
            self.fail(format!("{ran} slow callbacks in one round, {most} may be"));
        }
        self.slow_known |= ran >= 16;
        if self.slow > 0 {
            self.nothing_waits(due);
        }
    }

    /// A name was asked for: a new attempt begins.
    pub fn ask(&mut self, question: Question) {
        self.attempt = self.refusals.pop_front();
        self.asked_server = usize::from(question.host() == "backup.test");
        self.questions.push(Some(question));
        let q = self.questions.len() - 1;
        let at = self.now + self.rng.range(500, 20_000);
        self.asking = Some((q, at));
        self.effects += 1;
        if self.attempt != Some(Refusal::NameSilent) {
            self.at(at, Ev::Name(q));
        }
        let how = self.attempt;
        self.note(|| format!("name {q} is asked for, to fail by {how:?}"));
    }

    fn name_event(&mut self, q: usize) {
        if self.asking.is_none_or(|(asked, at)| asked != q || at > self.now) {
            return;
        }
        self.asking = None;
        let Some(question) = self.questions[q].take() else { return };
        let port = question.port();
        question.answer(match self.attempt {
            Some(Refusal::Name) => Err(std::io::ErrorKind::NotFound.into()),
            _ => Ok(vec![([192, 0, 2, 1], port).into()]),
        });
    }

    /// Some messages in either direction, and when the next come.
    fn traffic(&mut self) {
        if self.messages_left == 0 || self.calm {
            return;
        }
        let burst = self.slow > 0 && self.rng.one_in(4);
        for _ in 0..if burst { 40 } else { self.rng.range(1, 5) } {
            if self.messages_left == 0 {
                return;
            }
            self.messages_left -= 1;
            let qos = self.some_qos();
            if self.rng.one_in(2) {
                self.acts.push(Act::Publish(qos));
                if self.rng.one_in(12) {
                    self.acts.push(Act::Cancel);
                }
            } else {
                let topic = self.rng.below(3) as u8;
                self.publish_to_client(topic, qos);
            }
        }
        let pause = match self.rng.below(8) {
            0 => self.rng.range(1_000_000, 20_000_000),
            1..4 => self.rng.range(0, 3_000),
            _ => self.rng.range(3_000, 300_000),
        };
        self.at(self.now + pause, Ev::Traffic);
    }

    fn some_qos(&mut self) -> u8 {
        if self.rng.one_in(3) { self.rng.below(3) as u8 } else { self.qos }
    }

    pub fn new_out(&mut self, qos: u8) -> u32 {
        let size = self.size();
        self.out.push(Out {
            topic: self.rng.below(3) as u8,
            qos,
            size,
            instance: self.instance,
            accepted: None,
            token: 0,
            id: 0,
            first: None,
            last: None,
            rec_sent: None,
            rec: false,
            rel_due: false,
            rel: None,
            done: false,
            maybe_rec: false,
            maybe_done: false,
            delivered: 0,
            lossy: false,
            outcome: None,
            listened: false,
            heard: 0,
            cancelled: false,
            expires: false,
            made_at: self.client_now(),
            read_at: None,
        });
        self.out.len() as u32 - 1
    }

    pub fn new_in(&mut self, topic: u8, qos: u8) -> u32 {
        let size = self.size();
        self.inn.push(In {
            topic,
            qos,
            size,
            instance: self.instance,
            delivered: 0,
            excused: false,
            server: self.server,
            released: false,
            forgotten: false,
            seen: false,
            taken: false,
            unsure: false,
            again: 0,
        });
        self.inn.len() as u32 - 1
    }

    fn size(&mut self) -> usize {
        match self.rng.below(20) {
            0 => self.rng.range(100, 900) as usize,
            1 => 0,
            _ => self.rng.range(1, 30) as usize,
        }
    }

    // -- the script -----------------------------------------------------------------------------

    /// Whether the client is in the phase that the run waits for.
    pub fn in_phase(&self) -> bool {
        let Some(Target { phase, qos, .. }) = self.target else { return false };
        let Some(l) = self.cur else {
            return match phase {
                Phase::Waiting => self.asking.is_none() && !self.freeing,
                Phase::Resolving => self.asking.is_some(),
                _ => false,
            };
        };
        let link = &self.links[l];
        let tap = &link.tap;
        if link.gone || link.rst.is_some() || link.fin || link.dead {
            return false;
        }
        if link.course == Course::Pending {
            return phase == Phase::Connecting;
        }
        if link.closed {
            return phase == Phase::Closing && tap.bye;
        }
        if tap.bye {
            return phase == Phase::Closing;
        }
        if !tap.up {
            return phase == Phase::Greeting && link.course == Course::Open;
        }
        let of = |n: &u32| &self.out[*n as usize];
        let flight = || tap.flight.iter().map(of).filter(move |out| out.qos == qos && !out.done);
        let inbound = || tap.inbound.iter().filter(move |i| i.qos == qos);
        let publish = |bytes: &[u8]| bytes.first().is_some_and(|b| b >> 4 == 3 && b >> 1 & 3 == qos);
        match phase {
            Phase::Subscribing => !tap.asked.is_empty(),
            Phase::Idle => {
                let unfinished = tap.flight.iter().map(of).any(|out| !out.done && out.qos > 0);
                !unfinished
                    && tap.inbound.is_empty()
                    && tap.asked.is_empty()
                    && tap.written.is_empty()
                    && tap.read.is_empty()
            }
            Phase::MidOut => publish(&tap.written),
            Phase::MidIn => publish(&tap.read),
            Phase::OutSent if qos == 0 => flight().any(|out| out.delivered == 0),
            Phase::OutSent => flight().any(|out| out.last == Some(l) && !out.rec),
            Phase::OutRec => flight().any(|out| out.rec_sent == Some(l) && out.rel != Some(l)),
            Phase::OutRel => flight().any(|out| out.rel == Some(l)),
            Phase::InSent if qos == 0 => tap.q0_in > 0,
            Phase::InSent => inbound().any(|i| i.stage < Stage::Told),
            Phase::InRec => inbound().any(|i| i.stage == Stage::Rec),
            Phase::InRel => inbound().any(|i| i.stage > Stage::Rec),
            Phase::Resumed => flight().any(|out| out.first != Some(l)) || inbound().any(|i| i.again),
            _ => false,
        }
    }

    /// Whether help has to come now: what is to be repeated must be cut while it is under way.
    pub fn is_ripe(&self) -> bool {
        let Some(Target { phase: Phase::Resumed, qos, .. }) = self.target else { return false };
        self.linked().is_some_and(|l| self.to_be_repeated(l, qos))
    }

    /// Whether a new link would find something to be repeated after this one.
    fn to_be_repeated(&self, l: usize, qos: u8) -> bool {
        let tap = &self.links[l].tap;
        tap.flight.iter().any(|n| self.out[*n as usize].qos == qos)
            || (self.kept && tap.inbound.iter().any(|i| i.qos == qos))
    }

    /// The link, if the client is connected.
    pub fn linked(&self) -> Option<usize> {
        self.cur.filter(|l| self.links[*l].tap.up && !self.links[*l].dead && !self.links[*l].tap.bye)
    }

    /// Brings the client nearer to the phase that the run waits for.
    pub fn help(&mut self) {
        let Some(Target { phase, qos, .. }) = self.target else { return };
        let Some(l) = self.linked() else { return };
        let topic = self.rng.below(3) as u8;
        self.calm = phase == Phase::Idle;
        self.note(|| format!("helping towards {phase:?}"));
        match phase {
            Phase::Waiting | Phase::Resolving | Phase::Connecting | Phase::Greeting => self.cut(l),
            Phase::Subscribing => self.acts.push(Act::Subscribe),
            Phase::Idle => {}
            Phase::MidOut => {
                self.links[l].split = 5;
                self.acts.push(Act::Publish(qos));
            }
            Phase::MidIn => {
                self.links[l].split = 5;
                self.publish_to_client(topic, qos);
            }
            Phase::OutSent | Phase::OutRec | Phase::OutRel => self.acts.push(Act::Publish(qos)),
            Phase::InSent | Phase::InRec | Phase::InRel | Phase::Handler => {
                self.publish_to_client(topic, qos)
            }
            Phase::Resumed => {
                if self.to_be_repeated(l, qos) {
                    self.cut(l);
                } else if self.rng.one_in(3) && self.kept {
                    self.publish_to_client(topic, qos);
                } else {
                    self.acts.push(Act::Publish(qos));
                }
            }
            Phase::Closing => self.acts.push(Act::Reconnect),
        }
    }

    /// The fault strikes. What only the application can do is left in `acts`.
    pub fn strike(&mut self) {
        let Some(target) = self.target.take() else { return };
        self.note(|| {
            format!("FAULT {} while {}, QoS {}", target.fault.text(), target.phase.text(), target.qos)
        });
        self.table.count(target, self.kept);
        self.faults += 1;
        self.calm = false;
        let cur = self.cur;
        if !matches!(target.fault, Fault::Reconfigure | Fault::Reconnect) {
            self.links.iter_mut().for_each(|link| link.harmed = true);
        }
        match (target.fault, cur) {
            (Fault::Fin, Some(l)) => self.broker_closes(l, End::Fin),
            (Fault::Rst, Some(l)) => self.cut(l),
            (Fault::HalfOpen, Some(l)) => self.half_open(l),
            (Fault::Late, Some(l)) => self.late(l),
            (Fault::Split, Some(l)) => self.links[l].split = self.rng.range(1, 4),
            (Fault::Stall, Some(l)) => {
                let by = self.rng.range(300_000, 25_000_000);
                self.hold(l, [true, true], by);
            }
            (Fault::Delay, Some(l)) => {
                let (by, direction) = (self.rng.range(20_000, 3_000_000), self.rng.one_in(2));
                self.hold(l, [direction, !direction], by);
                self.links[l].latency[usize::from(!direction)] += by / 8;
            }
            (Fault::Stall | Fault::Delay, None) => {
                if let Some((q, at)) = self.asking {
                    let by = self.rng.range(20_000, 15_000_000);
                    self.asking = Some((q, at + by));
                    self.at(at + by, Ev::Name(q));
                }
            }
            (Fault::RestartKept | Fault::RestartLost, _) => {
                let most = if self.down_until.len() > 1 { 60_000_000 } else { 15_000_000 };
                let down = if self.rng.one_in(2) { 0 } else { self.rng.range(1_000, most) };
                self.restart(target.fault == Fault::RestartLost, down);
                if self.rng.one_in(4) {
                    self.refusals.push_back(Refusal::Unheard);
                }
            }
            (Fault::Refused, _) => {
                // With a backup, often until it takes over.
                let most = if self.down_until.len() > 1 { 8 } else { 3 };
                for _ in 0..self.rng.range(1, most) {
                    let code = self.rng.range(1, 5) as u8;
                    let ways = [
                        Refusal::Name,
                        Refusal::NameSilent,
                        Refusal::Tcp,
                        Refusal::TcpSilent,
                        Refusal::Code(code),
                        Refusal::Code(code),
                        Refusal::Closes,
                        Refusal::Unheard,
                        Refusal::Silent,
                    ];
                    let way = self.rng.pick(&ways);
                    self.refusals.push_back(way);
                }
                if let Some(l) = cur {
                    self.cut(l);
                }
            }
            (Fault::ClockStep, _) => {
                let most = self.rng.pick(&[2_000_000, 60_000_000, 86_400_000_000, 50 * 86_400_000_000]);
                self.offset += self.rng.range(1_000, most);
                self.late = true;
                let now = self.now;
                self.set_now(now);
                self.seen_late();
            }
            (Fault::Busy, _) => {
                self.late = true;
                let most = self.rng.pick(&[50_000, 1_000_000, 30_000_000]);
                let until = self.now + self.rng.range(1_000, most);
                self.pass_until(until);
                self.seen_late();
            }
            (Fault::Reconfigure, _) => self.acts.push(Act::Reconfigure),
            (Fault::Reconnect, _) => self.acts.push(Act::Reconnect),
            (Fault::Free, _) => self.acts.push(Act::Free),
            (Fault::Calls, _) => self.acts.push(Act::Calls),
            (_, None) => {}
        }
    }
}
