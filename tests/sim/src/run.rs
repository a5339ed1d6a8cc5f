//! One run: one seed, one world, one client after the other.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Conn, Context};
use mgos_mqtt::config::{
    Backoff, OnSessionLoss, Overflow, Profile, ProfileOptions, Protocol, Resubscribe, Settings,
};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::time::{Span, Time};

use crate::app::{App, HERE};
use crate::pace::Pace;
use crate::plan::{self, Table, Target};
use crate::rng::Rng;
use crate::world::{Act, Ev, World, lock};

/// What a run came to.
pub struct Outcome {
    pub table: Table,
    pub messages: u64,
    pub rounds: u64,
    /// Virtual time, in microseconds.
    pub time: u64,
    pub missed: u64,
    pub bad: Option<String>,
    pub trace: Vec<String>,
}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

const DAY: u64 = 86_400_000_000;

struct Run {
    world: Arc<Mutex<World>>,
    app: Arc<App>,
    driver: Loop,
    conn: Arc<Conn>,
    rounds: u64,
    /// Wake-ups by a deadline after which nothing could be seen.
    idle_wakes: u64,
    foreign: bool,
}

pub fn run(seed: u64, trace: bool) -> Outcome {
    let (qos, kept, targets) = plan::targets(seed);
    let mut rng = Rng::new(seed);
    // Counters that wrap do so in the middle of some runs: of milliseconds in 31 and 32 bits, of microseconds in 32.
    let wraps = [1 << 32, (1 << 31) * 1_000, (1 << 32) * 1_000];
    let start = match rng.below(4) {
        0 => rng.pick(&wraps) - rng.range(1, 60_000_000),
        1 => 0,
        _ => rng.below(400 * DAY),
    };
    let clock = Arc::new(AtomicU64::new(start));
    let mut world = World::new(clock.clone(), rng.clone(), qos, kept, trace);
    world.set_now(start);
    world.latency = match rng.below(3) {
        0 => (50, 500),
        1 => (500, 20_000),
        _ => (20_000, 200_000),
    };
    world.split_odds = rng.pick(&[1, 3, 1_000]);
    world.slow_odds = rng.pick(&[2, 1_000_000, 1_000_000]);
    world.broker_ids = rng.pick(&[14, 65_535]);
    world.window = rng.pick(&[1, 2, 5, 20]);
    let keep_alive = rng.pick(&[0, 5, 5, 20, 20, 60, 600, 20_000]);
    world.keep_alive = keep_alive * 1_000_000;
    world.messages_left = rng.range(30, 70);
    world.pulls = rng.one_in(4);
    world.hold_odds = rng.pick(&[0, 20, 6, 3]);
    world.v31 = rng.one_in(3);
    if rng.one_in(6) {
        world.slow = rng.pick(&[2_000, 10_000, 50_000]);
        world.messages_left += 60;
    }
    world.hooked = rng.one_in(5);
    let backup = rng.one_in(4);
    let profile = Profile {
        enable: true,
        server: Some("broker.test:1883".into()),
        reconnect_min: Span::millis(rng.pick(&[100, 1_000, 2_000])),
        reconnect_max: Span::millis(rng.pick(&[1_000, 5_000, 10_000])),
        clean_session: !kept,
        max_queue_length: rng.pick(&[4, 1_024]),
        keep_alive: keep_alive as u16,
        ..Profile::default()
    };
    let mut profiles = vec![profile];
    if backup {
        world.down_until.push(0);
        // A message that waits in the queue comes again from the server that sent it: which of the two is given back
        // when, nobody can see from here.
        world.pulls = false;
        // Short waits: the backup's turn comes when the longest one was in vain.
        let waits = &[500, 1_000, 2_000];
        profiles[0].reconnect_max = Span::millis(rng.pick(waits));
        profiles.push(Profile {
            server: Some("backup.test:1883".into()),
            reconnect_min: Span::millis(rng.pick(waits)),
            reconnect_max: Span::millis(rng.pick(waits)),
            ..profiles[0].clone()
        });
    }
    // Not by the generator: what it draws for the rest is to stay the same.
    world.ack_timeout = [0, 0, 0, 0, 0, 300_000, 2_000_000, 20_000_000]
        [(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) as usize];
    let settings = Settings {
        in_flight_window: world.window,
        ack_timeout: Span(world.ack_timeout),
        jitter_percent: rng.pick(&[0, 10, 100]),
        backoff: rng.pick(&[Backoff::Doubling, Backoff::Doubling, Backoff::Fixed]),
        resubscribe: rng.pick(&[Resubscribe::Always, Resubscribe::WhenSessionLost]),
        // With a clean session the other policy repeats nothing.
        on_session_loss: match kept && rng.one_in(3) {
            true => OnSessionLoss::Report,
            false => OnSessionLoss::Resend,
        },
        overflow: rng.pick(&[Overflow::Refuse, Overflow::DropOldest]),
        max_outgoing_bytes: rng.pick(&[1_000, 1 << 20]),
        stable_after: Span::millis(rng.pick(&[0, 500, 5_000, 30_000])),
        refuse_retries: 2,
        refuse_delay: Span::millis(rng.pick(&[1, 200, 3_000])),
        receive_queue_length: if world.pulls { 1_024 } else { rng.pick(&[1, 1_024]) },
        fail_back: Span::secs(if backup { rng.pick(&[0, 20, 200]) } else { 0 }),
        profile: ProfileOptions { protocol: world.v31.then_some(Protocol::V31), ..ProfileOptions::default() },
        ..Settings::default()
    };
    world.max_bytes = settings.max_outgoing_bytes;
    let pace = Pace::new(&settings, &profiles);

    let world = Arc::new(Mutex::new(world));
    let asked = world.clone();
    let driver = Loop::with_name_service(
        Clock::from_fn(move || Time(clock.load(SeqCst))),
        Arc::new(move |question| lock(&asked).ask(question)),
    )
    .unwrap();
    lock(&world).driver = Some(driver.clone());
    let dialled = world.clone();
    SEED.set(seed);
    let context = Arc::new(Context {
        dial: Arc::new(move |_, _| lock(&dialled).dial(&dialled).map(Into::into)),
        random_seed: || SEED.get().wrapping_mul(0x2545_f491_4f6c_dd1d),
        ..Context::new(driver.clone())
    });
    HERE.set(Some(world.clone()));
    let app = Arc::new(App {
        world: world.clone(),
        context,
        settings,
        profiles: Mutex::new(profiles),
        pace: Mutex::new(pace),
        fetched: Mutex::default(),
    });
    let conn = app.start();
    let foreign = rng.one_in(8);
    let mut run = Run { world, app, driver, conn, rounds: 0, idle_wakes: 0, foreign };
    let missed = run.go(rng, targets);
    run.end(start, missed)
}

impl Run {
    fn fail(&self, text: String) {
        lock(&self.world).fail(text);
    }

    fn bad(&self) -> bool {
        lock(&self.world).bad.is_some()
    }

    fn round(&mut self) {
        self.rounds += 1;
        let now = lock(&self.world).client_now();
        self.app.pace.lock().unwrap().each(|way| way.round = now);
        let due = {
            let mut world = lock(&self.world);
            world.round = Some(now);
            world.slow_ran = 0;
            world.ping_due()
        };
        if self.foreign {
            self.driver.process().unwrap();
        } else {
            self.driver.poll(Some(Span::ZERO)).unwrap();
        }
        let mut world = lock(&self.world);
        world.round = None;
        world.after_round(due);
    }

    /// Everything that is to be done at this moment. Returns when the loop wants to be called again.
    fn settle(&mut self) -> Option<u64> {
        let (mut rounds, mut at) = (0, 0);
        while rounds < 400 {
            let now = lock(&self.world).now;
            rounds = if at == now { rounds + 1 } else { 0 };
            at = now;
            let acts = std::mem::take(&mut lock(&self.world).acts);
            acts.iter().for_each(|act| self.app.act(&self.conn, *act));
            if lock(&self.world).freeing && self.conn.is_gone() {
                self.next_client();
            }
            match self.driver.next_timeout() {
                Some(Span::ZERO) => self.round(),
                _ if std::mem::take(&mut lock(&self.world).fetches) => self.app.fetch(&self.conn),
                next => {
                    let has_a_future = next.is_some() || self.conn.is_busy();
                    let (unwritten, held) = (self.conn.output_level(), self.conn.unsent_bytes());
                    let mut world = lock(&self.world);
                    // Acknowledgements and subscriptions come on top of the application's messages.
                    if held > world.max_bytes + 4_096 {
                        world.fail(format!("{held} bytes are held"));
                    }
                    if !world.freeing {
                        if world.intends && !has_a_future {
                            world.fail("a connection that is wanted has no next attempt".into());
                        }
                        world.at_rest(unwritten);
                        // While it disconnects, what is left may take a moment.
                        let link = world.linked().filter(|l| !world.links[*l].blocked);
                        if link.is_some() && self.app.pace.lock().unwrap().may_fail_back(world.client_now()) {
                            world.fail("the main server is not tried again".into());
                        }
                    }
                    return next.map(|span| world.now + span.0);
                }
            }
        }
        self.fail("the loop spins".into());
        None
    }

    fn next_client(&mut self) {
        let mut world = lock(&self.world);
        let instance = world.instance;
        world.inn.iter_mut().filter(|inn| inn.instance == instance).for_each(|inn| inn.excused = true);
        world.asking = None;
        world.instance += 1;
        drop(world);
        self.conn = self.app.start();
    }

    /// Goes to the next moment at which something happens, at most to `until`.
    fn step(&mut self, until: u64) {
        let due = self.settle();
        if !self.bad() {
            self.advance(due, until);
        }
    }

    fn advance(&mut self, due: Option<u64>, until: u64) {
        let mut world = lock(&self.world);
        let next = world.next_event().unwrap_or(u64::MAX).min(until);
        let timer = due.is_some_and(|due| due < next);
        let next = due.unwrap_or(u64::MAX).min(next);
        let before = world.effects;
        world.pass_until(next);
        drop(world);
        if timer {
            self.settle();
            if lock(&self.world).effects == before {
                self.idle_wakes += 1;
            }
        }
    }

    /// The faults, one after the other, then what must hold in the end. Returns how many could not be brought about.
    fn go(&mut self, mut rng: Rng, targets: Vec<Target>) -> u64 {
        let mut missed = 0;
        let now = lock(&self.world).now;
        lock(&self.world).at(now, Ev::Traffic);
        for target in targets {
            let pause = match rng.below(4) {
                0 => 0,
                1 => rng.range(0, 50_000),
                2 => rng.range(0, 1_000_000),
                _ => rng.range(0, 20_000_000),
            };
            let until = lock(&self.world).now + pause;
            while !self.bad() && lock(&self.world).now < until {
                self.step(until);
            }
            lock(&self.world).target = Some(target);
            missed += u64::from(!self.bring_about(&mut rng));
            if self.bad() {
                return missed;
            }
        }
        self.finish(&mut rng);
        missed
    }

    /// Helps the world along until the fault has struck; false if it cannot be brought about.
    fn bring_about(&mut self, rng: &mut Rng) -> bool {
        let mut help_at = lock(&self.world).now;
        for step in 0..1_000 {
            // Before the client has seen what arrived, and after.
            if self.strikes(rng) {
                return true;
            }
            let due = self.settle();
            if self.strikes(rng) {
                return true;
            }
            let mut world = lock(&self.world);
            let ready = world.acts.is_empty();
            if ready && (world.now >= help_at || world.is_ripe() && rng.one_in(2)) {
                world.help();
                let more = if step < 100 { 4 * world.latency.1 } else { 1_000_000 };
                help_at = world.now + 2 * world.latency.1 + rng.range(0, more);
            }
            // What the application is to do, it does at once.
            let until = if world.acts.is_empty() { help_at } else { world.now };
            drop(world);
            self.advance(due, until);
        }
        let mut world = lock(&self.world);
        let target = world.target.take();
        world.calm = false;
        world.note(|| format!("given up: {target:?}"));
        false
    }

    /// Whether the fault has struck, or strikes now.
    fn strikes(&mut self, rng: &mut Rng) -> bool {
        let mut world = lock(&self.world);
        if world.target.is_some() && world.in_phase() && rng.below(4) > 0 {
            world.strike();
        }
        world.target.is_none() || world.bad.is_some()
    }

    /// No more faults: the client comes back and finishes everything, in bounded time.
    fn finish(&mut self, rng: &mut Rng) {
        let limit = {
            let mut world = lock(&self.world);
            world.refusals.clear();
            world.calm = false;
            let now = world.now;
            world.at(now, Ev::Traffic);
            // The last half-open link is known by then, to the keep-alive or to the kernel, and a few attempts
            // were made with the longest waits and time-outs.
            now + 900_000_000 + 120_000_000 + 4 * 10_000_000
        };
        self.until_done(limit);
        if self.bad() {
            return;
        }
        let keep_alive = lock(&self.world).keep_alive;
        if (keep_alive == 0 || keep_alive >= 600_000_000) && rng.one_in(10) {
            let uptime = lock(&self.world).now + 50 * DAY;
            while !self.bad() && lock(&self.world).now < uptime {
                self.step(uptime);
            }
        }
        // Each filter still works.
        {
            let mut world = lock(&self.world);
            for topic in 0..3 {
                world.publish_to_client(topic, 1 + topic % 2);
            }
            world.acts.extend([Act::Publish(1), Act::Publish(2), Act::Publish(0)]);
        }
        let limit = lock(&self.world).now + 60_000_000;
        self.until_done(limit);
        if !self.bad() {
            self.verdict();
        }
    }

    fn until_done(&mut self, limit: u64) {
        loop {
            self.step(limit);
            if self.bad() {
                return;
            }
            match self.undone() {
                None => return,
                Some(what) if lock(&self.world).now >= limit => {
                    return self.fail(format!("it does not come to its end: {what}"));
                }
                Some(_) => {}
            }
        }
    }

    fn undone(&self) -> Option<String> {
        if !self.conn.is_connected() {
            return Some(format!("not connected, {}", self.conn.report().text));
        }
        let world = lock(&self.world);
        if world
            .cur
            .is_none_or(|l| world.links[l].dead || world.links[l].closed || world.links[l].rst.is_some())
        {
            return Some("the link is dead".into());
        }
        if world.messages_left > 0 || !world.acts.is_empty() || world.freeing {
            return Some("the application".into());
        }
        let late = |out: &&crate::watch::Out| {
            out.instance == world.instance && out.accepted == Some(true) && out.outcome.is_none()
        };
        if let Some(out) = world.out.iter().find(late) {
            return Some(format!("{out:?}"));
        }
        let s = world.session()?;
        if s.link.is_none() || s.link != world.cur || !s.queue.is_empty() || !s.flight.is_empty() {
            return Some(format!("the broker has {s:?}"));
        }
        drop(world);
        if self.conn.pending_subscriptions() > 0 {
            return Some("subscriptions".into());
        }
        // A PINGREQ may be due at this very moment, on a link that takes a byte at a time: it has to leave, too.
        (self.conn.unsent_bytes() > 0).then(|| "bytes are left".into())
    }

    /// What can only be said when all is over.
    fn verdict(&mut self) {
        let mut world = lock(&self.world);
        let lost = world
            .inn
            .iter()
            .position(|inn| inn.instance == world.instance && !inn.excused && inn.delivered == 0);
        if let Some(n) = lost {
            let text = format!("message {n} never came: {:?}", world.inn[n]);
            world.fail(text);
        }
        let silent = world.out.iter().position(|out| {
            let ended = out.instance != world.instance || out.outcome.is_some();
            out.accepted == Some(true) && (!ended || out.heard != u32::from(out.listened))
        });
        if let Some(n) = silent {
            let text = format!("message {n} has not one outcome: {:?}", world.out[n]);
            world.fail(text);
        }
        let mut wanted = world.wanted.clone();
        let mut has = world.session().map(|s| s.filters.clone()).unwrap_or_default();
        if world.down_until.len() > 1 {
            // What was unsubscribed at one server stays at the other.
            has.retain(|filter| wanted.contains(filter));
        }
        wanted.sort();
        has.sort();
        if wanted != has {
            world.fail(format!("the client wants {wanted:?}, the broker has {has:?}"));
        }
    }

    fn end(self, start: u64, missed: u64) -> Outcome {
        let mut world = lock(&self.world);
        let time = world.now - start;
        let passed = time + world.offset;
        // A keep-alive that traffic put off is looked at in vain, at most a few times in each interval.
        let allowed = match world.keep_alive {
            0 => 0,
            interval => 3 * (passed / interval),
        } + 4 * world.links.len() as u64
            + world.looks
            + 4;
        if self.idle_wakes > allowed {
            let text = format!("{} wake-ups for nothing, in {passed} us", self.idle_wakes);
            world.fail(text);
        }
        let outcome = Outcome {
            table: world.table.clone(),
            messages: (world.out.len() + world.inn.len()) as u64,
            rounds: self.rounds,
            time,
            missed,
            bad: world.bad.clone(),
            trace: world.trace.take().unwrap_or_default(),
        };
        world.driver = None;
        HERE.set(None);
        world.questions.clear();
        world.freeing = true;
        let instance = world.instance;
        world.bad.get_or_insert_with(String::new);
        drop(world);
        let _ = instance;
        self.conn.free(None);
        let _ = self.driver.close();
        outcome
    }
}
