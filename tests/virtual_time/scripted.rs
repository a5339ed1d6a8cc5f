//! A server of MQTT 3.1.1 or 5.0 in virtual time: it accepts, answers PINGREQ, and fails as the test says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::transport::{Endpoint, Stream, Transport};
use mio::{Registry, Token};

pub(crate) const START: Time = Time(3_000_000_000);
const PINGRESP: [u8; 2] = [0xd0, 0];
const REFUSED: i32 = if cfg!(target_os = "linux") { 111 } else { 61 };

/// What the server does.
pub(crate) struct Behaviour {
    /// Connections are refused otherwise.
    pub(crate) up: bool,
    /// What CONNECT is answered with.
    pub(crate) connack: &'static [u8],
    /// Nothing that is sent gets there, and nothing comes back.
    pub(crate) silent: bool,
    /// How long the answer to PINGREQ takes.
    pub(crate) round_trip: Span,
    /// A link on which nothing was sent for so long swallows everything from then on.
    pub(crate) forgets_after: Option<Span>,
    /// What the name service says.
    pub(crate) name: Vec<SocketAddr>,
    /// Whether it says anything.
    pub(crate) name_service: NameService,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NameService {
    Answers,
    Fails,
    Silent,
}

struct State {
    does: Behaviour,
    /// Every attempt to open a connection.
    dials: Vec<(Endpoint, Time)>,
    links: Vec<Arc<Mutex<Link>>>,
    /// How many PINGREQ arrived, and when.
    pings: Vec<Time>,
    /// The links on which a PINGRESP is under way, and when it arrives; the next one first.
    under_way: VecDeque<(Time, Arc<Mutex<Link>>)>,
    /// Every name that was looked up.
    names: Vec<String>,
}

struct Link {
    token: Option<Token>,
    to_client: VecDeque<u8>,
    ended: bool,
    /// Bytes are swallowed.
    dead: bool,
    /// When something went through it last.
    last: Time,
}

/// Virtual time, a loop in it, and the server.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) driver: Loop,
    now: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
    pub(crate) context: Arc<Context>,
}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
    /// The time of the world that was made last, and what the device's clock says at its beginning.
    static CLOCK: RefCell<Arc<AtomicU64>> = RefCell::default();
    static WALL: Cell<f64> = const { Cell::new(0.0) };
}

/// Seconds since 1970, as the device believes.
fn wall_clock() -> f64 {
    WALL.get() + CLOCK.with_borrow(|clock| Time(clock.load(SeqCst)).since(START).0 as f64 / 1e6)
}

/// Where random numbers begin: for each connection of a test elsewhere, and in each run the same.
fn seed() -> u64 {
    let mut z = SEED.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    SEED.set(z);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl World {
    pub(crate) fn new() -> World {
        SEED.set(0);
        WALL.set(2e9);
        let now = Arc::new(AtomicU64::new(START.0));
        CLOCK.set(now.clone());
        let clock = now.clone();
        let does = Behaviour {
            up: true,
            connack: &[0x20, 2, 0, 0],
            silent: false,
            round_trip: Span::ZERO,
            forgets_after: None,
            name: vec![SocketAddr::from(([192, 0, 2, 1], 1883))],
            name_service: NameService::Answers,
        };
        let (links, under_way, names) = (Vec::new(), VecDeque::new(), Vec::new());
        let state = State { does, dials: Vec::new(), links, pings: Vec::new(), under_way, names };
        let state = Arc::new(Mutex::new(state));
        let names = state.clone();
        let driver = Loop::with_name_service(
            Clock::from_fn(move || Time(clock.load(SeqCst))),
            Arc::new(move |question| {
                let mut state = names.lock().unwrap();
                state.names.push(question.host().to_owned());
                match state.does.name_service {
                    NameService::Answers => question.answer(Ok(state.does.name.clone())),
                    NameService::Fails => {
                        question.answer(Err(io::Error::other("no name server")));
                    }
                    NameService::Silent => drop(question),
                }
            }),
        )
        .unwrap();
        let mut context = Context::new(driver.clone());
        let (on, shared, clock) = (driver.clone(), state.clone(), now.clone());
        context.random_seed = seed;
        context.wall_clock = wall_clock;
        context.dial = Arc::new(move |endpoint, _| {
            let mut state = shared.lock().unwrap();
            let now = Time(clock.load(SeqCst));
            state.dials.push((endpoint.clone(), now));
            if !state.does.up {
                return Err(io::Error::from_raw_os_error(REFUSED));
            }
            let dead = state.does.silent;
            let link = Link { token: None, to_client: VecDeque::new(), ended: false, dead, last: now };
            let link = Arc::new(Mutex::new(link));
            state.links.push(link.clone());
            let wire = Wire { link, shared: shared.clone(), on: on.clone(), clock: clock.clone() };
            Ok(Stream::Other(Box::new(wire)))
        });
        World { driver, now, state, context: Arc::new(context) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.now.load(SeqCst))
    }

    /// Seconds since 1970, as the device believes.
    pub(crate) fn wall_clock(&self) -> f64 {
        wall_clock()
    }

    /// The device's clock is set.
    pub(crate) fn set_wall_clock(&self, seconds: f64) {
        WALL.set(WALL.get() + seconds - wall_clock());
    }

    /// Changes what the server does from now on.
    pub(crate) fn server(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().does);
    }

    /// Every link says this, and ends.
    pub(crate) fn end_links(&self, last_words: &[u8]) {
        for link in std::mem::take(&mut self.state().links) {
            let mut link = link.lock().unwrap();
            link.to_client.extend(last_words);
            link.ended = true;
            if let Some(token) = link.token {
                self.driver.announce(token, true);
            }
        }
    }

    /// What is sent on a link that there is goes nowhere.
    pub(crate) fn swallow(&self) {
        for link in &self.state().links {
            link.lock().unwrap().dead = true;
        }
    }

    pub(crate) fn pings(&self) -> Vec<Time> {
        self.state().pings.clone()
    }

    /// The attempts since this was asked last.
    pub(crate) fn take_dials(&self) -> Vec<(Endpoint, Time)> {
        std::mem::take(&mut self.state().dials)
    }

    /// The names that were looked up since this was asked last.
    pub(crate) fn take_names(&self) -> Vec<String> {
        std::mem::take(&mut self.state().names)
    }

    pub(crate) fn conn(&self, profile: Profile, settings: Settings) -> Arc<Conn> {
        self.conn_of(ProfileSource::Fixed(Arc::new(profile)), settings)
    }

    pub(crate) fn conn_of(&self, source: ProfileSource, settings: Settings) -> Arc<Conn> {
        Conn::new(self.context.clone(), 1, vec![source], settings).unwrap()
    }

    /// Lets everything happen that needs no time.
    pub(crate) fn settle(&self) {
        for _ in 0..10_000 {
            self.driver.poll(Some(Span::ZERO)).unwrap();
            if self.driver.next_timeout() != Some(Span::ZERO) {
                return;
            }
        }
        panic!("it goes on and on");
    }

    /// What was under way until now arrives.
    fn arrive(&self) {
        let mut state = self.state();
        while state.under_way.front().is_some_and(|(at, _)| *at <= self.now()) {
            let (_, link) = state.under_way.pop_front().unwrap();
            let mut link = link.lock().unwrap();
            if !link.dead {
                link.last = self.now();
                link.to_client.extend(PINGRESP);
                if let Some(token) = link.token {
                    self.driver.announce(token, true);
                }
            }
        }
    }

    /// Goes from deadline to deadline until then.
    pub(crate) fn run(&self, span: Span) {
        let until = self.now() + span;
        self.run_until(until, || false);
    }

    /// As [`run`](World::run), until it is `done`; whether it is.
    pub(crate) fn run_until(&self, until: Time, mut done: impl FnMut() -> bool) -> bool {
        loop {
            self.arrive();
            self.settle();
            if done() {
                return true;
            }
            let left = until.since(self.now());
            if left == Span::ZERO {
                return false;
            }
            let answer = self.state().under_way.front().map(|(at, _)| at.since(self.now()));
            let step = self.driver.next_timeout().into_iter().chain(answer).fold(left, Span::min);
            self.now.fetch_add(step.0, SeqCst);
        }
    }
}

struct Wire {
    link: Arc<Mutex<Link>>,
    shared: Arc<Mutex<State>>,
    on: Loop,
    clock: Arc<AtomicU64>,
}

impl Transport for Wire {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        self.link.lock().unwrap().token = Some(token);
        self.on.announce(token, false);
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {
        self.link.lock().unwrap().token = None;
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut link = self.link.lock().unwrap();
        let n = buf.len().min(link.to_client.len());
        for (to, byte) in buf.iter_mut().zip(link.to_client.drain(..n)) {
            *to = byte;
        }
        match (n, link.ended) {
            (0, false) => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(n),
        }
    }

    /// The client writes whole packets, one or more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.lock().unwrap();
        let mut link = self.link.lock().unwrap();
        let now = Time(self.clock.load(SeqCst));
        link.dead |= state.does.forgets_after.is_some_and(|limit| now.since(link.last) >= limit);
        if link.dead {
            return Ok(bytes.len());
        }
        link.last = now;
        let mut rest = bytes;
        while let [first, len, ..] = *rest {
            match first {
                0x10 => link.to_client.extend(state.does.connack),
                0xc0 => {
                    state.pings.push(now);
                    match state.does.round_trip {
                        Span::ZERO => link.to_client.extend(PINGRESP),
                        wait => state.under_way.push_back((now + wait, self.link.clone())),
                    }
                }
                _ => {}
            }
            assert!(len < 128, "a longer packet than this server takes");
            rest = &rest[2 + usize::from(len)..];
        }
        if let (Some(token), false) = (link.token, link.to_client.is_empty()) {
            self.on.announce(token, true);
        }
        Ok(bytes.len())
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}
