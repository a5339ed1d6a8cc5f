//! The network: links in virtual time, and the transport that the client gets for one.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use mgos_mqtt::patience::Delivery;
use mgos_mqtt::transport::{Endpoint, SendQueue, Transport};
use mio::{Registry, Token};

use crate::watch::Tap;
use crate::world::{Ev, World, lock};

/// Errors of the system, as the kernel would say them.
const ECONNREFUSED: i32 = 111;
const ECONNRESET: i32 = 104;
pub const ETIMEDOUT: i32 = 110;

/// What a slow line's kernel takes before it is full, and what goes out at a time.
const KERNEL: u64 = 1_000;
const SEGMENT: usize = 50;

/// What follows a piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    None,
    Fin,
    Rst,
}

/// Bytes under way in one direction.
#[derive(Debug, Default)]
pub struct Pipe {
    pieces: VecDeque<(u64, Vec<u8>, Option<End>)>,
    /// When the last of them arrives: nothing overtakes.
    last: u64,
}

impl Pipe {
    fn delay(&mut self, until: u64, by: u64) {
        for (at, ..) in &mut self.pieces {
            *at = (*at + by).max(until);
        }
        self.last = (self.last + by).max(until);
    }
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Pending,
    Open,
    Failed(i32),
}

/// One connection between the client and the broker.
#[derive(Debug)]
pub struct Link {
    pub server: usize,
    pub course: Course,
    /// When it opens, if it does.
    pub opens: u64,
    pub token: Option<Token>,
    /// The client has given it up.
    pub gone: bool,
    /// A black hole.
    pub dead: bool,
    pub to_broker: Pipe,
    pub to_client: Pipe,
    /// What the client can read.
    pub arrived: VecDeque<u8>,
    pub fin: bool,
    pub rst: Option<i32>,
    /// Full until an event says otherwise.
    pub blocked: bool,
    /// The most bytes that pass at a time, 0 without limit.
    pub split: u64,
    pub latency: [u64; 2],
    /// What the line to the broker carries in a second, 0 without limit, and when it is free again.
    pub rate: u64,
    pub line_free: u64,
    /// What the client's kernel was given, and what the broker's has acknowledged; when that was more last, on the
    /// client's clock.
    pub given: u64,
    pub acknowledged: u64,
    pub moved_at: u64,
    /// A fault struck while it was there.
    pub harmed: bool,
    /// The broker's end.
    pub input: Vec<u8>,
    pub session: Option<usize>,
    pub closed: bool,
    pub heard: u64,
    pub keep_alive: u64,
    pub silent: bool,
    /// What an observer between client and kernel sees.
    pub tap: Tap,
}

impl World {
    /// The client opens a connection.
    pub fn dial(&mut self, me: &Arc<Mutex<World>>) -> io::Result<Box<dyn Transport>> {
        let latency = [0, 1].map(|_| self.rng.range(self.latency.0, self.latency.1));
        let opens = self.now + latency[0] + latency[1];
        let number = self.links.len();
        self.links.push(Link {
            server: self.asked_server,
            course: Course::Pending,
            opens,
            token: None,
            gone: false,
            dead: self.attempt == Some(crate::broker::Refusal::TcpSilent),
            to_broker: Pipe::default(),
            to_client: Pipe::default(),
            arrived: VecDeque::new(),
            fin: false,
            rst: None,
            blocked: false,
            split: if self.rng.one_in(self.split_odds) { self.rng.range(1, 9) } else { 0 },
            latency,
            rate: if self.rng.one_in(self.slow_odds) { self.rng.pick(&[200, 500, 2_000]) } else { 0 },
            line_free: 0,
            given: 0,
            acknowledged: 0,
            moved_at: 0,
            harmed: false,
            input: Vec::new(),
            session: None,
            closed: false,
            heard: 0,
            keep_alive: 0,
            silent: false,
            tap: Tap::default(),
        });
        self.cur = Some(number);
        self.asking = None;
        self.at(opens, Ev::Connect(number));
        self.note(|| format!("link {number} begins"));
        Ok(Box::new(Wire { world: me.clone(), link: number }))
    }

    pub fn connect_event(&mut self, l: usize) {
        let refused = self.attempt == Some(crate::broker::Refusal::Tcp)
            || self.now < self.down_until[self.links[l].server];
        let link = &mut self.links[l];
        if link.course != Course::Pending || link.dead || link.gone || link.opens > self.now {
            return;
        }
        link.course = if refused { Course::Failed(ECONNREFUSED) } else { Course::Open };
        link.heard = self.now;
        self.announce(l, false);
    }

    pub fn announce(&mut self, l: usize, readable: bool) {
        if let (Some(token), Some(driver)) = (self.links[l].token, &self.driver) {
            driver.announce(token, readable);
        }
    }

    /// The broker sends.
    pub fn send_in(&mut self, l: usize, bytes: &[u8], end: End) {
        let wobble = self.rng.below(self.links[l].latency[1] / 4 + 1);
        let link = &mut self.links[l];
        if link.dead || link.rst.is_some() || link.gone {
            return;
        }
        let pipe = &mut link.to_client;
        let mut at = pipe.last.max(self.now + link.latency[1] + wobble);
        let step = if link.split > 0 { link.split as usize } else { bytes.len().max(1) };
        // Not more than a few pieces: behind them, the rest.
        for (i, piece) in bytes.chunks(step.max(bytes.len() / 12)).enumerate() {
            at += u64::from(i > 0) * 700;
            pipe.pieces.push_back((at, piece.to_vec(), None));
            self.seq += 1;
            self.queue.push(std::cmp::Reverse((at, self.seq, Ev::In(l))));
        }
        if end != End::None {
            pipe.pieces.push_back((at, Vec::new(), Some(end)));
            self.seq += 1;
            self.queue.push(std::cmp::Reverse((at, self.seq, Ev::In(l))));
        }
        pipe.last = at;
    }

    /// The client's kernel sends.
    fn send_out(&mut self, l: usize, bytes: Vec<u8>, end: Option<End>) {
        let link = &mut self.links[l];
        link.given += bytes.len() as u64;
        if link.dead {
            return;
        }
        // What a slow line carries arrives, and is acknowledged, bit by bit.
        let step = if link.rate > 0 { SEGMENT } else { usize::MAX };
        let mut rest = &bytes[..];
        loop {
            let (piece, more) = rest.split_at(rest.len().min(step));
            rest = more;
            let link = &mut self.links[l];
            let carried = (piece.len() as u64 * 1_000_000).checked_div(link.rate).unwrap_or(0);
            link.line_free = link.line_free.max(self.now) + carried;
            let at = link.to_broker.last.max(link.line_free + link.latency[0]);
            link.to_broker.last = at;
            link.to_broker.pieces.push_back((at, piece.to_vec(), end.filter(|_| rest.is_empty())));
            self.at(at, Ev::Out(l));
            if rest.is_empty() {
                return;
            }
        }
    }

    pub fn in_event(&mut self, l: usize) {
        let now = self.now;
        let link = &mut self.links[l];
        let mut any = false;
        while link.to_client.pieces.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, bytes, end) = link.to_client.pieces.pop_front().unwrap();
            if link.gone {
                continue;
            }
            any = true;
            link.arrived.extend(bytes);
            match end {
                Some(End::Fin) => link.fin = true,
                Some(End::Rst) => link.rst = Some(ECONNRESET),
                _ => {}
            }
        }
        if any {
            self.announce(l, true);
        }
    }

    pub fn out_event(&mut self, l: usize) {
        let now = self.now;
        while self.links[l].to_broker.pieces.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, bytes, end) = self.links[l].to_broker.pieces.pop_front().unwrap();
            let moved_at = self.client_now();
            let link = &mut self.links[l];
            link.acknowledged += bytes.len() as u64;
            link.moved_at = moved_at;
            if link.blocked && link.rate > 0 && link.given - link.acknowledged <= KERNEL / 2 {
                self.at(now, Ev::Writable(l));
            }
            if self.links[l].closed {
                continue;
            }
            if !bytes.is_empty() {
                self.broker_reads(l, &bytes);
            }
            if end.is_some() && !self.links[l].closed {
                self.broker_closes(l, End::Fin);
            }
        }
    }

    pub fn writable_event(&mut self, l: usize) {
        self.links[l].blocked = false;
        self.announce(l, false);
    }

    // -- what goes wrong ------------------------------------------------------------------------

    /// The link is reset at once at the client's end.
    pub fn reset(&mut self, l: usize, error: i32) {
        let link = &mut self.links[l];
        link.harmed = true;
        if link.course == Course::Pending {
            link.course = Course::Failed(ECONNREFUSED);
            return self.announce(l, false);
        }
        link.to_client.pieces.clear();
        link.arrived.clear();
        link.rst = Some(error);
        self.announce(l, true);
    }

    /// Both directions lose what is under way, and both ends learn it.
    pub fn cut(&mut self, l: usize) {
        self.links[l].harmed = true;
        self.links[l].to_broker.pieces.clear();
        self.broker_closes(l, End::None);
        if self.rng.one_in(2) || self.links[l].course == Course::Pending {
            self.reset(l, ECONNRESET);
        } else {
            self.links[l].to_client.pieces.clear();
            self.send_in(l, &[], End::Rst);
        }
    }

    pub fn late(&mut self, l: usize) {
        let by = self.rng.range(10_000, 3_000_000);
        self.links[l].to_broker.delay(0, by);
        self.links[l].latency[0] += by;
        let again: Vec<u64> = self.links[l].to_broker.pieces.iter().map(|p| p.0).collect();
        again.into_iter().for_each(|at| self.at(at, Ev::Out(l)));
        self.reset(l, ECONNRESET);
    }

    pub fn half_open(&mut self, l: usize) {
        let link = &mut self.links[l];
        link.dead = true;
        link.harmed = true;
        link.to_broker.pieces.clear();
        link.to_client.pieces.clear();
        // Some time or other the kernel gives up.
        self.at(self.now + 900_000_000, Ev::Kill(l));
    }

    /// Holds up what is under way, and later things behind it.
    pub fn hold(&mut self, l: usize, directions: [bool; 2], by: u64) {
        let until = self.now + by;
        let link = &mut self.links[l];
        link.harmed = true;
        if link.course == Course::Pending {
            link.opens = until;
            return self.at(until, Ev::Connect(l));
        }
        let mut again = Vec::new();
        for (direction, pipe) in [&mut link.to_broker, &mut link.to_client].into_iter().enumerate() {
            if directions[direction] {
                pipe.delay(until, 0);
                pipe.last = pipe.last.max(until);
                again.push(if direction == 0 { Ev::Out(l) } else { Ev::In(l) });
            }
        }
        again.into_iter().for_each(|ev| self.at(until, ev));
    }
}

/// The client's end of a link.
struct Wire {
    world: Arc<Mutex<World>>,
    link: usize,
}

impl Transport for Wire {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        lock(&self.world).links[self.link].token = Some(token);
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {
        lock(&self.world).links[self.link].token = None;
    }

    fn connected(&mut self) -> io::Result<bool> {
        let mut world = lock(&self.world);
        match world.links[self.link].course {
            Course::Pending => Ok(false),
            Course::Open => {
                world.opened(self.link);
                Ok(true)
            }
            Course::Failed(os) => Err(io::Error::from_raw_os_error(os)),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut world = lock(&self.world);
        let link = &mut world.links[self.link];
        if link.arrived.is_empty() {
            return match (link.rst, link.fin) {
                (Some(os), _) => Err(io::Error::from_raw_os_error(os)),
                (None, true) => Ok(0),
                (None, false) => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let most = if link.split > 0 { link.split as usize } else { usize::MAX };
        let n = buf.len().min(link.arrived.len()).min(most);
        for (to, from) in buf.iter_mut().zip(link.arrived.drain(..n)) {
            *to = from;
        }
        world.client_read(self.link, &buf[..n]);
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = lock(&self.world);
        let world = &mut *world;
        let link = &mut world.links[self.link];
        if let Some(os) = link.rst {
            return Err(io::Error::from_raw_os_error(os));
        }
        if link.blocked {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut n = bytes.len();
        if link.rate > 0 {
            n = n.min(KERNEL.saturating_sub(link.given - link.acknowledged) as usize);
            if n < bytes.len() {
                link.blocked = true;
                link.tap.was_blocked = true;
            }
            if n == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        if link.split > 0 && !link.blocked {
            n = n.min(world.rng.range(1, link.split) as usize + n / 6);
            link.blocked = true;
            link.tap.was_blocked = true;
            let at = world.now + world.rng.range(100, 1_500);
            world.at(at, Ev::Writable(self.link));
        }
        world.client_wrote(self.link, &bytes[..n]);
        world.send_out(self.link, bytes[..n].to_vec(), None);
        Ok(n)
    }

    fn delivery(&self, _: u64, _: SendQueue) -> Option<Delivery> {
        let mut world = lock(&self.world);
        world.looks += 1;
        let link = &world.links[self.link];
        Some(Delivery { left: link.given - link.acknowledged, moved: link.acknowledged })
    }

    fn shutdown(&mut self) {
        lock(&self.world).send_out(self.link, Vec::new(), Some(End::Fin));
    }

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut world = lock(&self.world);
        world.closed_by_the_client(self.link);
        let link = &mut world.links[self.link];
        link.gone = true;
        link.arrived.clear();
        link.to_client.pieces.clear();
        if world.cur == Some(self.link) {
            world.cur = None;
        }
        world.send_out(self.link, Vec::new(), Some(End::Fin));
        world.link_ended(self.link);
    }
}
