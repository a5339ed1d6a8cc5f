//! The application: it makes clients, and its handlers do what handlers may do.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{
    Callback, Conn, Context, Credentials, CredentialsHook, Event, Identity, Kind, Listener, OwnedMessage,
    ProfileSource, RawArgs,
};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

use crate::pace::{Pace, Way};
use crate::plan::Phase;
use crate::watch::{Deferred, PULLED, payload};
use crate::world::{Act, Ev, World, lock};

/// See the module. Shared by the run and by the handlers.
pub struct App {
    pub world: Arc<Mutex<World>>,
    pub context: Arc<Context>,
    pub settings: Settings,
    /// Of the main server, and perhaps of a backup.
    pub profiles: Mutex<Vec<Profile>>,
    pub pace: Mutex<Pace>,
    pub fetched: Mutex<VecDeque<Fetched>>,
}

/// A message from the queue: its number, and the link on which it came if that was there when it was fetched.
pub struct Fetched {
    kept: OwnedMessage,
    n: u32,
    link: Option<usize>,
}

struct Handler {
    app: Arc<App>,
    instance: usize,
}

/// Is asked for credentials.
struct Asker {
    app: Arc<App>,
    instance: usize,
}

impl CredentialsHook<Conn> for Asker {
    fn ask(&self, conn: &Conn, attempt: u64) {
        let mut world = lock(&self.app.world);
        world.effects += 1;
        if self.instance != world.instance || world.freeing {
            return world.fail("the credentials hook of a freed connection was called".into());
        }
        if world.asked.is_some_and(|last| last >= attempt) {
            let text = format!("attempt {attempt} asks after {:?}", world.asked);
            world.fail(text);
        }
        world.asked = Some(attempt);
        let delay = match world.rng.below(6) {
            0 => {
                drop(world);
                return self.app.act(conn, Act::Answer(attempt));
            }
            1 => world.rng.range(1_000_000, 12_000_000),
            _ => world.rng.range(0, 100_000),
        };
        let at = world.now + delay;
        world.at(at, Ev::Act(Act::Answer(attempt)));
    }
}

fn qos(of: u8) -> QoS {
    QoS::try_from(of).unwrap_or(QoS::AtMostOnce)
}

impl App {
    /// Makes the run's client, or the next one after the former was freed.
    pub fn start(self: &Arc<App>) -> Arc<Conn> {
        self.fetched.lock().unwrap().clear();
        let (instance, client, pulls) = {
            let mut world = lock(&self.world);
            world.freeing = false;
            (world.intends, world.ending, world.asked) = (true, false, None);
            world.client = format!("c{}", world.instance);
            world.server = 0;
            world.ids.clear();
            world.tokens.clear();
            world.deferred.clear();
            world.refused.clear();
            world.released.clear();
            world.slow_known = false;
            world.wanted = (0..3).map(|topic| (format!("i/{topic}/#"), 2)).collect();
            (world.instance, world.client.clone(), world.pulls)
        };
        let mut profiles = self.profiles.lock().unwrap();
        profiles.iter_mut().for_each(|profile| profile.client_id = Some(client.clone()));
        let sources =
            profiles.iter().map(|profile| ProfileSource::Fixed(Arc::new(profile.clone()))).collect();
        drop(profiles);
        let conn = Conn::new(self.context.clone(), instance as i32, sources, self.settings.clone()).unwrap();
        let kinds = [Kind::Connecting, Kind::ConnectResult, Kind::Close, Kind::Outcome, Kind::SetAside];
        let kinds = kinds.iter().fold(0, |bits, kind| bits | kind.bit());
        conn.add_handler(Identity(1, 1), kinds, self.handler(instance)).unwrap();
        for topic in 0..3 {
            let kinds = Kind::Message.bit();
            let filter = format!("i/{topic}/#");
            if pulls && topic == usize::from(PULLED) {
                conn.subscribe_queue(&filter, qos(2)).unwrap();
                continue;
            }
            conn.subscribe(&filter, qos(2), Identity(2, topic), kinds, self.handler(instance)).unwrap();
        }
        if lock(&self.world).hooked {
            conn.set_credentials_hook(Some(Arc::new(Asker { app: self.clone(), instance }))).unwrap();
        }
        self.pace.lock().unwrap().each(Way::born);
        conn.connect().unwrap();
        conn
    }

    fn handler(self: &Arc<App>, instance: usize) -> Box<dyn Callback<Conn>> {
        Box::new(Handler { app: self.clone(), instance })
    }

    /// Does what the script says.
    pub fn act(self: &Arc<App>, conn: &Conn, act: Act) {
        lock(&self.world).note(|| format!("application: {act:?}"));
        match act {
            Act::Publish(of) => self.publish(conn, of),
            Act::Subscribe => {
                let (instance, filter) = {
                    let mut world = lock(&self.world);
                    let filter = format!("x/{}", world.rng.below(40));
                    if world.freeing {
                        return;
                    }
                    world.wanted.retain(|(f, _)| *f != filter);
                    world.wanted.push((filter.clone(), 1));
                    (world.instance, filter)
                };
                let kinds = Kind::Message.bit();
                let _ = conn.subscribe(&filter, qos(1), Identity(3, 3), kinds, self.handler(instance));
            }
            Act::Unsubscribe => {
                let filter = {
                    let mut world = lock(&self.world);
                    if world.freeing || world.wanted.len() <= 3 {
                        return;
                    }
                    world.wanted.remove(3).0
                };
                let _ = conn.unsubscribe(&filter, None);
            }
            Act::Cancel => self.cancel(conn),
            Act::Acknowledge => {
                let mut world = lock(&self.world);
                // Those of a client that was freed meanwhile went with it.
                let Some(deferred) = world.deferred.pop_front().filter(|_| !world.freeing) else { return };
                let told = world.acknowledges(deferred);
                drop(world);
                let answer = conn.acknowledge(deferred.hold);
                lock(&self.world).acknowledged(deferred, told, answer);
                if conn.acknowledge(deferred.hold).is_ok() {
                    lock(&self.world).fail(format!("message {} was acknowledged twice", deferred.n));
                }
            }
            Act::Fetch => lock(&self.world).fetches = true,
            Act::Release => {
                let Some(Fetched { kept, n, link }) = self.fetched.lock().unwrap().pop_front() else {
                    return;
                };
                let mut world = lock(&self.world);
                if world.freeing {
                    return;
                }
                let told = world.releases(n, kept.qos as u8, link);
                drop(world);
                let answer = conn.release(kept);
                let mut world = lock(&self.world);
                // With MQTT 3.1 it may be of an earlier link: that it will come again is not known there.
                let may_be_stale = !world.keeps(link) || world.v31;
                if answer == Err(Code::Stale) && may_be_stale {
                    world.takes_back(told);
                } else if answer.is_err() {
                    world.fail(format!("message {n} was released: {answer:?}"));
                }
            }
            Act::Reconfigure => {
                self.ends(conn, false);
                let mut profiles = self.profiles.lock().unwrap();
                let profile = &mut profiles[0];
                {
                    let mut world = lock(&self.world);
                    profile.reconnect_min = Span::millis(world.rng.pick(&[100, 300, 1_000]));
                    profile.reconnect_max = Span::millis(world.rng.pick(&[1_000, 3_000, 8_000]));
                }
                let mut pace = self.pace.lock().unwrap();
                pace.each(|way| way.replaced(profile));
                pace.each(Way::started);
                drop(pace);
                let _ = conn.set_profile(ProfileSource::Fixed(Arc::new(profile.clone())));
            }
            Act::Reconnect => {
                self.stops(conn, false);
                self.wants(conn);
                let _ = conn.reconnect();
            }
            Act::Connect => {
                self.wants(conn);
                let _ = conn.connect();
            }
            Act::Disconnect => {
                self.stops(conn, false);
                let _ = conn.disconnect();
            }
            Act::Abort => {
                self.stops(conn, true);
                let _ = conn.abort();
            }
            Act::Drop(graceful) => {
                self.ends(conn, !graceful);
                let _ = conn.drop_link(Code::ClosedByClient, graceful);
            }
            Act::Options => {
                let _ = conn.set_options(self.settings.clone(), Vec::new());
            }
            Act::Calls => self.calls(conn),
            Act::Answer(attempt) => {
                let user = Some(attempt.to_string());
                let credentials = Credentials { user, ..Credentials::default() };
                let _ = conn.answer_credentials(attempt, Some(credentials));
            }
            Act::Free => {
                {
                    let mut world = lock(&self.world);
                    if std::mem::replace(&mut world.freeing, true) {
                        return;
                    }
                }
                conn.free(None);
            }
        }
    }

    /// Three calls, one after the other; and one that connects, some time, if they leave the connection closed.
    fn calls(self: &Arc<App>, conn: &Conn) {
        for _ in 0..3 {
            let act = lock(&self.world).rng.pick(&[
                Act::Connect,
                Act::Connect,
                Act::Disconnect,
                Act::Abort,
                Act::Reconnect,
                Act::Drop(true),
                Act::Drop(false),
                Act::Reconfigure,
                Act::Options,
            ]);
            self.act(conn, act);
        }
        let mut world = lock(&self.world);
        if !world.intends {
            let at = world.now + world.rng.range(0, 5_000_000);
            world.at(at, Ev::Act(Act::Connect));
        }
    }

    /// The application asks for a connection.
    fn wants(&self, conn: &Conn) {
        let mut world = lock(&self.world);
        let mut pace = self.pace.lock().unwrap();
        world.intends = true;
        pace.each(|way| way.wants(true));
        // What is there and is to stay needs no attempt.
        if world.ending || !conn.is_busy() {
            pace.each(|way| way.asked(false));
        }
    }

    /// It does not want any more.
    fn stops(&self, conn: &Conn, hard: bool) {
        self.ends(conn, hard);
        lock(&self.world).intends = false;
        self.pace.lock().unwrap().each(|way| way.wants(false));
    }

    /// What there is is to end.
    fn ends(&self, conn: &Conn, hard: bool) {
        let mut world = lock(&self.world);
        world.leaves();
        world.ending |= conn.is_busy();
        if hard && let Some(l) = world.cur {
            // Nobody promises anything of what is on its way.
            world.links[l].harmed = true;
        }
        if hard && let Some(l) = world.linked() {
            world.aborted = Some(l);
        }
    }

    /// Takes everything out of the queue. The call may be a round of the loop, too, so it is made when the loop
    /// has nothing to do.
    pub fn fetch(&self, conn: &Conn) {
        loop {
            let now = lock(&self.world).client_now();
            lock(&self.world).round = Some(now);
            let received = conn.receive(Some(Span::ZERO));
            lock(&self.world).round = None;
            let kept = match received {
                Ok(kept) => kept,
                Err(Code::TimedOut) => return,
                Err(_) if lock(&self.world).freeing => return,
                Err(code) => return lock(&self.world).fail(format!("nothing can be fetched: {code:?}")),
            };
            let mut world = lock(&self.world);
            let topic = std::str::from_utf8(kept.topic()).unwrap_or_default();
            let Some(n) = world.delivered(topic, kept.qos as u8, kept.payload(), 1) else { return };
            if !world.pulls || world.inn[n as usize].topic != PULLED {
                return world.fail(format!("message {n} was in the queue"));
            }
            // What came on an earlier link is not there any more when the next one is up.
            let link = world.cur.filter(|l| world.links[*l].tap.up);
            self.fetched.lock().unwrap().push_back(Fetched { kept, n, link });
            let at = world.now + world.rng.pick(&[0, 1_000, 4_000_000]);
            world.at(at, Ev::Act(Act::Release));
        }
    }

    fn publish(&self, conn: &Conn, of: u8) {
        let (n, topic, bytes) = {
            let mut world = lock(&self.world);
            let n = world.new_out(of);
            let out = &world.out[n as usize];
            (n, format!("o/{}", out.topic), payload(n, out.size))
        };
        let mut message = Publication { reserve_id: n % 3 == 0, ..Publication::new(&topic, &bytes, qos(of)) };
        let listener = {
            let mut world = lock(&self.world);
            if of > 0 && world.rng.one_in(8) {
                message.expires = Some(Time(world.client_now() + world.rng.range(1, 10_000_000)));
            }
            let out = &mut world.out[n as usize];
            out.expires = message.expires.is_some();
            out.listened = n % 2 == 0;
            let number = ptr::without_provenance_mut(n as usize);
            out.listened.then(|| Listener::new(listen, [number, ptr::null_mut(), ptr::null_mut()]))
        };
        let token = Cell::new(0);
        let accepted = conn.publish_with(message, listener, &token);
        let mut world = lock(&self.world);
        let out = &mut world.out[n as usize];
        out.accepted = Some(accepted.is_ok());
        out.token = token.get();
        if accepted.is_ok() {
            if world.tokens.insert(token.get(), n).is_some() {
                world.fail(format!("message {n} got the token of another"));
            }
        } else if out.first.is_some() {
            world.fail(format!("message {n} was sent and refused"));
        }
    }

    fn cancel(&self, conn: &Conn) {
        let (n, token) = {
            let world = lock(&self.world);
            let last = world
                .out
                .iter()
                .rposition(|out| out.accepted == Some(true) && out.instance == world.instance);
            let Some(n) = last else { return };
            (n, world.out[n].token)
        };
        if conn.cancel(token).is_ok() {
            let mut world = lock(&self.world);
            if world.out[n].first.is_some() || world.out[n].outcome.is_some() {
                world.fail(format!("message {n} can be cancelled after it was sent"));
            }
            world.out[n].cancelled = true;
        }
    }
}

thread_local! {
    /// The world of the run on this thread, for the listeners, which are plain functions.
    pub static HERE: RefCell<Option<Arc<Mutex<World>>>> = const { RefCell::new(None) };
}

/// Hears how one message ended.
fn listen(_: &Conn, event: &Event<'_>, words: RawArgs) {
    let Event::Outcome(ended) = event else { return };
    let here = HERE.with_borrow(Clone::clone);
    let Some(here) = here else { return };
    let mut world = lock(&here);
    world.effects += 1;
    world.slow_callback();
    let n = words[0].addr();
    let out = &mut world.out[n];
    out.heard += 1;
    if out.heard > 1 || out.token != ended.token {
        let text =
            format!("the listener of message {n} was called {} times, of token {}", out.heard, ended.token);
        world.fail(text);
    }
    if world.freeing {
        // The other handlers are silent by then.
        world.ended(n as u32, ended.outcome);
    }
}

impl Handler {
    /// Inside a handler: defers the acknowledgement, or refuses the message. Whether it is held now.
    fn holds(&self, conn: &Conn, n: u32, qos: u8) -> bool {
        let again = lock(&self.app.world).refused.contains(&n);
        if again || lock(&self.app.world).may_refuse(qos) {
            // Refused again, perhaps once too often.
            let refused = conn.refuse(1).is_ok();
            let mut world = lock(&self.app.world);
            if !refused {
                world.fail(format!("message {n} cannot be refused"));
            }
            world.refused.insert(n);
            return true;
        }
        let answer = conn.defer();
        let mut world = lock(&self.app.world);
        match answer {
            Ok(Some(hold)) if qos > 0 => {
                let link = world.cur;
                world.deferred.push_back(Deferred { hold, n, qos, link, over: false });
                let at = world.now + world.rng.range(0, 10_000_000);
                world.at(at, Ev::Act(Act::Acknowledge));
                true
            }
            Ok(None) if qos == 0 => false,
            _ => {
                world.fail(format!("message {n}, QoS {qos}, is deferred: {answer:?}"));
                false
            }
        }
    }
}

impl Handler {
    /// A handler that is told of an end asks for a connection, sometimes. `own` if the application asked for the end.
    fn may_connect_at_the_end(&self, conn: &Conn, world: &mut World, own: bool) {
        if world.rng.one_in(8) {
            world.note(|| "application: connects in the handler".into());
            world.intends = true;
            self.app.pace.lock().unwrap().each(|way| way.asked_at_the_end(own));
            if let Err(code) = conn.connect() {
                world.fail(format!("connecting in a handler of an end: {code:?}"));
            }
        }
    }
}

impl Callback<Conn> for Handler {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        let app = &self.app;
        let mut world = lock(&app.world);
        world.effects += 1;
        if self.instance != world.instance || world.freeing {
            return world.fail("a handler of a freed connection was called".into());
        }
        if matches!(event, Event::Message(_) | Event::Outcome(_) | Event::SetAside(..)) {
            world.slow_callback();
        }
        match event {
            Event::Connecting => {
                let (now, late) = (world.client_now(), std::mem::take(&mut world.late));
                let server = world.asked_server;
                if let Err(text) = app.pace.lock().unwrap().begins(server, now, late) {
                    world.fail(text);
                }
                (world.ending, world.left) = (false, None);
            }
            Event::ConnectResult { error: Code::Ok, session_present, .. } => {
                let present = world.cur.is_some_and(|l| world.links[l].tap.present);
                if *session_present != present {
                    world.fail(format!("session present is told as {session_present}"));
                }
                let now = world.turn_now();
                app.pace.lock().unwrap().each(|way| way.succeeded(now));
            }
            Event::ConnectResult { error, .. } => {
                world.asking = None;
                world.note(|| format!("attempt failed: {}", error.name()));
                let own = std::mem::take(&mut world.ending);
                app.pace.lock().unwrap().ends(world.client_now());
                self.may_connect_at_the_end(conn, &mut world, own);
                app.pace.lock().unwrap().each(|way| way.failed(own));
            }
            Event::Close(report) => {
                let text = report.text.clone();
                world.note(|| format!("closed: {text}"));
                let own = std::mem::take(&mut world.ending) || report.code == Code::Reconfigured;
                app.pace.lock().unwrap().ends(world.client_now());
                if report.code == Code::Reconfigured {
                    app.pace.lock().unwrap().each(Way::fails_back);
                }
                self.may_connect_at_the_end(conn, &mut world, own);
                app.pace.lock().unwrap().each(|way| way.failed(own));
            }
            Event::Outcome(ended) => match world.tokens.get(&ended.token).copied() {
                Some(n) => world.ended(n, ended.outcome),
                None => world.fail(format!("an outcome of token {}, which is not known", ended.token)),
            },
            Event::Message(message) => {
                let n = world.delivered(&message.topic, message.qos as u8, message.payload, message.attempt);
                // What was refused is delivered again without a link, too; most faults need one.
                let wanted = world.linked().is_some()
                    && world.target.is_some_and(|t| t.phase == Phase::Handler && t.qos == message.qos as u8);
                let mut acts = Vec::new();
                if wanted {
                    let before = world.acts.len();
                    world.strike();
                    acts = world.acts.split_off(before);
                }
                match world.rng.below(60) {
                    0..5 => acts.push(Act::Publish(world.rng.clone().below(3) as u8)),
                    5 => acts.push(Act::Subscribe),
                    6 => acts.push(Act::Unsubscribe),
                    7 => {
                        let until = world.now + world.rng.range(100, 50_000);
                        world.late = true;
                        world.pass_until(until);
                    }
                    _ => {}
                }
                let holds = world.hold_odds > 0 && {
                    let odds = world.hold_odds;
                    world.rng.one_in(odds)
                };
                drop(world);
                let held = n.filter(|n| holds && self.holds(conn, *n, message.qos as u8));
                acts.into_iter().for_each(|act| app.act(conn, act));
                match (held, n) {
                    (Some(n), _) => lock(&app.world).held(n),
                    (None, Some(n)) => {
                        let mut world = lock(&app.world);
                        world.refused.remove(&n);
                        world.told(n);
                    }
                    _ => {}
                }
            }
            // It was refused once too often.
            Event::SetAside(message, _) => {
                let n = u32::from_be_bytes(message.payload[..4].try_into().unwrap());
                if !world.refused.remove(&n) {
                    world.fail(format!("message {n} is set aside, but was not refused"));
                }
                world.told(n);
            }
            _ => {}
        }
    }
}
