//! What the calls that open and close a connection promise, after every order of three of them, from every state in
//! which a connection can be: compared with a model of what the headers say.
//!
//! In virtual time, against a server that is played on this thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{Profile, Retry, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::{Span, Time};

/// What an application can do. `Move` is what `mgos_mqtt_conn_set_server()` does, `Drop` what `mgos_disconnect(nc)`
/// does and `Kill` what MG_F_CLOSE_IMMEDIATELY does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Connect,
    Disconnect,
    Abort,
    Reconnect,
    Drop,
    Kill,
    SetConfig,
    Move,
    Disable,
    SetOptions,
    NetworkChanged,
    Free,
}

const CALLS: [Call; 12] = [
    Call::Connect,
    Call::Disconnect,
    Call::Abort,
    Call::Reconnect,
    Call::Drop,
    Call::Kill,
    Call::SetConfig,
    Call::Move,
    Call::Disable,
    Call::SetOptions,
    Call::NetworkChanged,
    Call::Free,
];

/// Where the connection is when the calls begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Idle,
    Waiting,
    Resolving,
    /// CONNECT was sent.
    Greeting,
    Up,
    /// DISCONNECT was sent, and the server has not closed its side.
    Draining,
    /// Inside a handler that is told that the link was lost, soon after it came up.
    Told,
    /// The same, when it had been up for long.
    ToldLate,
}

/// How a link is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    None,
    Soft,
    Hard,
}

/// When the next attempt begins once there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Policy,
    /// At once or after the wait, as a handler asks for it.
    Asked,
    AtOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    Nothing,
    /// Until then.
    Wait(Time),
    /// Not up.
    Attempt,
    Up,
    /// Said DISCONNECT.
    Draining,
    /// A handler is being told of its end.
    Told {
        stable: bool,
    },
}

/// What the headers say.
#[derive(Clone, Copy, Debug)]
struct Model {
    has: Has,
    wanted: bool,
    freed: bool,
    end: End,
    next: Next,
    retry: Retry,
    /// The profile, by its place in [`profile`]; and whether it is enabled.
    profile: usize,
    enabled: bool,
    /// Losses since the schedule began.
    losses: u32,
    /// How many links ended with DISCONNECT, and how many were up at all.
    disconnects: u32,
    ups: u32,
}

impl Model {
    fn apply(&mut self, call: Call) -> Result<(), Code> {
        if self.freed {
            // To be freed again is nothing, here; in C the handle is gone.
            return if call == Call::Free { Ok(()) } else { Err(Code::Incomplete) };
        }
        match call {
            Call::Connect | Call::Reconnect if !self.enabled => return Err(Code::Disabled),
            Call::Connect => self.connect(),
            Call::Reconnect => {
                self.close(End::Soft);
                self.connect();
            }
            Call::Disconnect => self.close(End::Soft),
            Call::Abort => self.close(End::Hard),
            Call::Drop => self.end_link(End::Soft),
            Call::Kill => self.end_link(End::Hard),
            Call::SetConfig | Call::Move | Call::Disable => {
                self.profile = match call {
                    Call::SetConfig => 1,
                    Call::Move => 2,
                    _ => 0,
                };
                self.enabled = call != Call::Disable;
                self.losses = 0;
                self.end_link(End::Soft);
                if !self.enabled {
                    self.give_up();
                } else if self.wanted && !matches!(self.has, Has::Nothing | Has::Told { .. }) {
                    self.next = Next::AtOnce;
                }
            }
            Call::SetOptions => {}
            Call::NetworkChanged if self.wanted => {
                self.end_link(End::Hard);
                let next = match self.has {
                    Has::Told { .. } => Next::Asked,
                    // What is wanted without a link and without a wait is on its way.
                    _ => Next::AtOnce,
                };
                self.next = self.next.max(next);
            }
            Call::NetworkChanged => {}
            Call::Free => {
                if self.has == Has::Up && self.end < End::Hard {
                    self.disconnects += 1;
                }
                self.give_up();
                (self.freed, self.has) = (true, Has::Nothing);
            }
        }
        Ok(())
    }

    fn connect(&mut self) {
        self.wanted = true;
        let next = match self.has {
            Has::Told { .. } => Next::Asked,
            Has::Attempt | Has::Up if self.end == End::None => return,
            _ => Next::AtOnce,
        };
        self.next = self.next.max(next);
    }

    fn close(&mut self, end: End) {
        self.give_up();
        self.end_link(end);
    }

    fn give_up(&mut self) {
        (self.wanted, self.next) = (false, Next::Policy);
        if let Has::Wait(_) = self.has {
            self.has = Has::Nothing;
        }
    }

    fn end_link(&mut self, end: End) {
        if matches!(self.has, Has::Attempt | Has::Up | Has::Draining) {
            self.end = self.end.max(end);
        }
    }

    /// Everything has happened that happens without time passing; servers answer and close.
    fn settle(&mut self, now: Time) {
        let mut hurries = true;
        match self.has {
            Has::Up | Has::Attempt if self.end != End::None => {
                self.disconnects += u32::from(self.has == Has::Up && self.end == End::Soft);
                self.has = Has::Nothing;
            }
            Has::Draining if self.end != End::None => self.has = Has::Nothing,
            Has::Told { stable } => {
                hurries = stable;
                self.has = Has::Nothing;
            }
            Has::Attempt => self.come_up(),
            Has::Wait(_) if self.next == Next::AtOnce => self.come_up(),
            Has::Wait(_) | Has::Up | Has::Draining => return,
            Has::Nothing if self.next == Next::Policy => return,
            Has::Nothing => {}
        }
        self.end = End::None;
        if self.has == Has::Nothing && self.wanted {
            let asked = self.next != Next::Policy;
            match self.next {
                Next::AtOnce => self.come_up(),
                Next::Asked if hurries => self.come_up(),
                _ if !asked && self.retry == Retry::Never => self.wanted = false,
                _ => {
                    self.losses += 1;
                    self.has = Has::Wait(now + Span::secs(1 << self.losses));
                }
            }
        }
        self.next = Next::Policy;
    }

    fn come_up(&mut self) {
        self.ups += 1;
        self.has = Has::Up;
    }
}

/// The connection's side of what both sides share.
struct Shared {
    now: AtomicU64,
    names_answer: AtomicBool,
    names_fail: AtomicBool,
    /// Attempts begun, results told, connections closed.
    tried: AtomicU64,
    told: AtomicU64,
    closes: AtomicU64,
    /// Who asked for one result, and was told of it.
    asked: AtomicU64,
    answered: AtomicU64,
    /// What a handler of CLOSE is to do.
    in_handler: Mutex<Vec<Call>>,
    results: Mutex<Vec<Result<(), Code>>>,
    settings: Settings,
}

struct Told(Arc<Shared>);

impl Callback<Conn> for Told {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        match event {
            Event::Connecting => self.0.tried.fetch_add(1, SeqCst),
            Event::ConnectResult { .. } => self.0.told.fetch_add(1, SeqCst),
            Event::Close(_) => self.0.closes.fetch_add(1, SeqCst),
            _ => 0,
        };
        if let Event::Close(_) = event {
            let calls = std::mem::take(&mut *self.0.in_handler.lock().unwrap());
            let results = calls.iter().map(|call| make(conn, &self.0, *call)).collect();
            *self.0.results.lock().unwrap() = results;
        }
    }
}

struct Once(Arc<Shared>);

impl Callback<Conn> for Once {
    fn call(&self, _: &Conn, _: &Event<'_>) {
        self.0.answered.fetch_add(1, SeqCst);
    }
}

const NAMES: [&str; 3] = ["first", "second", "third"];

fn profile(which: usize) -> Profile {
    let server = if which == 2 { "b.test:1883" } else { "a.test:1883" };
    Profile {
        enable: true,
        server: Some(server.into()),
        client_id: Some(NAMES[which].into()),
        keep_alive: 0,
        ..Profile::default()
    }
}

fn settings(retry: Retry) -> Settings {
    Settings { jitter_percent: 0, retry, ..Settings::default() }
}

/// Makes the call, as the C interface does.
fn make(conn: &Conn, shared: &Arc<Shared>, call: Call) -> Result<(), Code> {
    let set = |profile| conn.set_profile(ProfileSource::Fixed(Arc::new(profile))).map_err(|error| error.code);
    match call {
        Call::Connect => {
            conn.connect_once(Box::new(Once(shared.clone())))?;
            shared.asked.fetch_add(1, SeqCst);
            Ok(())
        }
        Call::Disconnect => conn.disconnect(),
        Call::Abort => conn.abort(),
        Call::Reconnect => conn.reconnect(),
        Call::Drop => conn.drop_link(Code::ClosedByClient, true),
        Call::Kill => conn.drop_link(Code::ClosedByClient, false),
        Call::SetConfig => set(profile(1)),
        Call::Move => set(profile(2)),
        Call::Disable => set(Profile { enable: false, ..profile(0) }),
        Call::SetOptions => conn
            .set_options(Settings { in_flight_window: 7, ..shared.settings.clone() }, Vec::new())
            .map_err(|error| error.code),
        Call::NetworkChanged => conn.network_changed(true),
        Call::Free => {
            conn.free(None);
            Ok(())
        }
    }
}

/// One link as its server sees it.
struct Link {
    stream: Option<TcpStream>,
    server: usize,
    got: Vec<u8>,
    welcomed: bool,
}

impl Link {
    fn said_disconnect(&self) -> bool {
        self.got.ends_with(&[0xe0, 0])
    }
}

struct World {
    shared: Arc<Shared>,
    driver: Loop,
    conn: Arc<Conn>,
    links: Vec<Link>,
    /// What the server does not do.
    silent: bool,
    keeps_open: bool,
    model: Model,
    start: Start,
}

/// The servers, shared by all cases of a thread.
struct Servers([TcpListener; 2]);

impl Servers {
    fn new() -> Servers {
        Servers([(); 2].map(|()| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        }))
    }
}

const BEGIN: Time = Time(77_000_000_123);

impl World {
    fn new(servers: &Servers, retry: Retry, start: Start) -> World {
        let zero = AtomicU64::default;
        let shared = Arc::new(Shared {
            now: AtomicU64::new(BEGIN.0),
            names_answer: AtomicBool::new(true),
            names_fail: AtomicBool::new(false),
            tried: zero(),
            told: zero(),
            closes: zero(),
            asked: zero(),
            answered: zero(),
            in_handler: Mutex::default(),
            results: Mutex::default(),
            settings: settings(retry),
        });
        let (clock, names) = (shared.clone(), shared.clone());
        let addresses = [0, 1].map(|n: usize| servers.0[n].local_addr().unwrap());
        let driver = Loop::with_name_service(
            Clock::from_fn(move || Time(clock.now.load(SeqCst))),
            Arc::new(move |question| {
                if names.names_fail.load(SeqCst) {
                    question.answer(Err(ErrorKind::NotFound.into()));
                } else if names.names_answer.load(SeqCst) {
                    let which = usize::from(question.host() == "b.test");
                    question.answer(Ok(vec![addresses[which]]));
                }
            }),
        )
        .unwrap();
        let context = Arc::new(Context::new(driver.clone()));
        let profiles = vec![ProfileSource::Fixed(Arc::new(profile(0)))];
        let conn = Conn::new(context, 1, profiles, settings(retry)).unwrap();
        let kinds = Kind::Connecting.bit() | Kind::ConnectResult.bit() | Kind::Close.bit();
        conn.add_handler(Identity(1, 1), kinds, Box::new(Told(shared.clone()))).unwrap();
        let model = Model {
            has: Has::Nothing,
            wanted: false,
            freed: false,
            end: End::None,
            next: Next::Policy,
            retry,
            profile: 0,
            enabled: true,
            losses: 0,
            disconnects: 0,
            ups: 0,
        };
        World { shared, driver, conn, links: Vec::new(), silent: false, keeps_open: false, model, start }
    }

    fn now(&self) -> Time {
        Time(self.shared.now.load(SeqCst))
    }

    fn round(&mut self, servers: &Servers) {
        self.driver.poll(Some(Span::ZERO)).unwrap();
        for (server, listener) in servers.0.iter().enumerate() {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                self.links.push(Link { stream: Some(stream), server, got: Vec::new(), welcomed: false });
            }
        }
        for link in &mut self.links {
            let Some(mut stream) = link.stream.as_ref() else { continue };
            let mut buffer = [0; 256];
            let over = loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break true,
                    Ok(n) => link.got.extend_from_slice(&buffer[..n]),
                    Err(error) => break error.kind() != ErrorKind::WouldBlock,
                }
            };
            if !link.welcomed && !self.silent && link.got.len() > 2 {
                link.welcomed = true;
                let _ = stream.write_all(b"\x20\x02\0\0");
            }
            if over && !self.keeps_open {
                link.stream = None;
            }
        }
    }

    #[track_caller]
    fn until(&mut self, servers: &Servers, mut done: impl FnMut(&World) -> bool) {
        for round in 0..2_000 {
            if done(self) {
                return;
            }
            self.round(servers);
            if round > 100 {
                std::thread::yield_now();
            }
        }
        let state = (self.conn.is_connected(), self.conn.is_busy(), self.driver.next_timeout());
        panic!("in vain: the model is {:?}, and (up, busy, timeout) {state:?}", self.model);
    }

    /// Brings it into the state in which the calls begin.
    fn begin(&mut self, servers: &Servers, start: Start) {
        if start == Start::Idle {
            return;
        }
        self.model.wanted = true;
        self.shared.names_fail.store(start == Start::Waiting, SeqCst);
        self.shared.names_answer.store(start != Start::Resolving, SeqCst);
        self.silent = start == Start::Greeting;
        self.conn.connect().unwrap();
        match start {
            Start::Idle => {}
            Start::Waiting => {
                self.until(servers, |w| !w.conn.is_busy() && w.driver.next_timeout() != Some(Span::ZERO));
                self.model.losses = 1;
                self.model.has = Has::Wait(self.now() + Span::secs(2));
                self.shared.names_fail.store(false, SeqCst);
            }
            Start::Resolving => {
                self.until(servers, |w| w.shared.tried.load(SeqCst) == 1);
                self.model.has = Has::Attempt;
            }
            Start::Greeting => {
                self.until(servers, |w| w.links.first().is_some_and(|link| link.got.len() > 2));
                self.model.has = Has::Attempt;
            }
            Start::Up | Start::Draining | Start::Told | Start::ToldLate => {
                self.until(servers, |w| w.conn.is_connected());
                self.model.come_up();
                if start == Start::ToldLate {
                    self.shared.now.fetch_add(Span::secs(30).0, SeqCst);
                }
                if start == Start::Draining {
                    self.keeps_open = true;
                    self.conn.disconnect().unwrap();
                    self.until(servers, |w| w.links[0].said_disconnect());
                    (self.model.has, self.model.wanted) = (Has::Draining, false);
                    (self.model.end, self.model.disconnects) = (End::Soft, 1);
                }
            }
        }
    }

    /// Lets everything happen that happens without time passing, and compares.
    fn settle(&mut self, servers: &Servers) {
        self.silent = false;
        self.keeps_open = false;
        // A question that was not answered is given up by the time-out only: an attempt that stays ends there.
        let unanswered = !self.shared.names_answer.swap(true, SeqCst)
            && self.model.has == Has::Attempt
            && self.model.end == End::None
            && !self.model.freed;
        if unanswered {
            self.shared.now.fetch_add(Span::secs(10).0, SeqCst);
            self.model.has = Has::Nothing;
            let wait = self.model.losses + 1;
            if self.model.wanted && self.model.retry == Retry::Always {
                self.model.losses = wait;
                self.model.has = Has::Wait(self.now() + Span::secs(1 << wait));
            }
        } else {
            self.model.settle(self.now());
        }
        self.compare(servers);
    }

    #[track_caller]
    fn compare(&mut self, servers: &Servers) {
        if self.model.freed {
            return self
                .until(servers, |w| w.conn.is_gone() && w.links.iter().all(|link| link.stream.is_none()));
        }
        let reached = |w: &World| match w.model.has {
            // As long as it is being closed it has a deadline.
            Has::Up => w.conn.is_connected() && w.driver.next_timeout().is_none(),
            _ => !w.conn.is_busy(),
        };
        self.until(servers, |w| reached(w) && w.driver.next_timeout() != Some(Span::ZERO));
        self.until(servers, |w| w.links.iter().filter(|link| link.stream.is_some()).count() <= 1);
        assert!(reached(self), "it did not stay so, {:?}", self.model);
        let (now, model) = (self.now(), self.model);
        let due = match model.has {
            Has::Wait(at) => Some(at.since(now)),
            _ => None,
        };
        assert_eq!(self.driver.next_timeout(), due, "{model:?}");
        let disconnects = self.links.iter().filter(|link| link.said_disconnect()).count() as u32;
        let ups = self.links.iter().filter(|link| link.welcomed && link.got.len() > 2).count() as u32;
        assert_eq!(disconnects, model.disconnects, "DISCONNECT, {model:?}");
        assert!(ups >= model.ups, "{ups} were up, {model:?}");
        if model.has == Has::Up {
            let link = self.links.last().unwrap();
            assert_eq!(link.server, usize::from(model.profile == 2), "the server, {model:?}");
            let name = NAMES[model.profile].as_bytes();
            let has = link.got.windows(name.len()).any(|part| part == name);
            assert!(has || self.start == Start::Resolving, "not CONNECT of {model:?}");
            assert_eq!(self.shared.answered.load(SeqCst), self.shared.asked.load(SeqCst), "{model:?}");
        }
        let (tried, told) = (self.shared.tried.load(SeqCst), self.shared.told.load(SeqCst));
        assert_eq!(tried, told, "each attempt has one result");
    }

    /// All that is still to come, and what must hold in the end.
    fn finish(&mut self, servers: &Servers) {
        while let Has::Wait(at) = self.model.has {
            let left = at.since(self.now()).0;
            self.shared.now.fetch_add(left - 1, SeqCst);
            self.compare(servers);
            self.shared.now.fetch_add(1, SeqCst);
            self.model.come_up();
            self.compare(servers);
        }
        self.conn.free(None);
        self.until(servers, |w| w.conn.is_gone());
        let (asked, answered) = (self.shared.asked.load(SeqCst), self.shared.answered.load(SeqCst));
        assert_eq!(asked, answered, "who asked for one result is told once, {:?}", self.model);
        // The next case has the same servers.
        self.until(servers, |w| w.links.iter().all(|link| link.stream.is_none()));
    }
}

/// One case: these calls, from this state; all in one moment, or each when the one before has had its effect.
fn case(servers: &Servers, start: Start, retry: Retry, calls: &[Call], one_by_one: bool) {
    let mut world = World::new(servers, retry, start);
    world.begin(servers, start);
    if matches!(start, Start::Told | Start::ToldLate) {
        *world.shared.in_handler.lock().unwrap() = calls.to_vec();
        world.links[0].stream = None;
        world.until(servers, |w| w.shared.closes.load(SeqCst) == 1);
        world.model.has = Has::Told { stable: start == Start::ToldLate };
        let results: Vec<_> = calls.iter().map(|call| world.model.apply(*call)).collect();
        assert_eq!(*world.shared.results.lock().unwrap(), results);
    } else {
        for (n, call) in calls.iter().enumerate() {
            if one_by_one && n > 0 {
                world.settle(servers);
            }
            let expected = world.model.apply(*call);
            assert_eq!(make(&world.conn, &world.shared, *call), expected, "call {n}, {:?}", world.model);
        }
    }
    world.settle(servers);
    world.finish(servers);
}

/// Every order of three, from one state.
fn every_order(start: Start, retry: Retry, one_by_one: bool) {
    let servers = Servers::new();
    // After the end all calls say so; and without a link the hard way to close it is the soft one.
    let has_link = matches!(start, Start::Greeting | Start::Up | Start::Draining);
    let matters = |call: &Call| *call != Call::Free && (*call != Call::Kill || has_link);
    let before: Vec<Call> = CALLS.into_iter().filter(matters).collect();
    for &first in &before {
        for &second in &before {
            for &third in before.iter().chain([&Call::Free]) {
                let calls = [first, second, third];
                let one = || case(&servers, start, retry, &calls, one_by_one);
                if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(one)) {
                    eprintln!("from {start:?}, retry {retry:?}, one by one {one_by_one}: {calls:?}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// field: F-13 F-15
#[test]
fn every_order_of_three_calls_from_idle() {
    every_order(Start::Idle, Retry::Always, false);
}

/// field: F-13
#[test]
fn every_order_of_three_calls_while_it_waits() {
    every_order(Start::Waiting, Retry::Always, false);
}

/// field: F-13
#[test]
fn every_order_of_three_calls_while_a_name_is_looked_up() {
    every_order(Start::Resolving, Retry::Always, false);
}

/// field: F-13
#[test]
fn every_order_of_three_calls_before_connack() {
    every_order(Start::Greeting, Retry::Always, false);
}

/// field: F-13 F-14
#[test]
fn every_order_of_three_calls_while_it_is_up() {
    every_order(Start::Up, Retry::Always, false);
}

/// field: F-13 F-14
#[test]
fn every_order_of_three_calls_while_it_closes() {
    every_order(Start::Draining, Retry::Always, false);
}

/// field: F-15
#[test]
fn every_order_of_three_calls_each_with_its_effect() {
    every_order(Start::Up, Retry::Always, true);
}

/// field: F-10
#[test]
fn every_order_of_three_calls_in_a_handler_of_close() {
    every_order(Start::Told, Retry::Always, false);
    every_order(Start::Told, Retry::Never, false);
    every_order(Start::ToldLate, Retry::Never, false);
}
