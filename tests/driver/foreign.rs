//! The loop inside a foreign event loop: one descriptor, one deadline. The foreign loop here
//! watches the descriptor for edges only, which is the harder case; one test watches its level.

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::driver_support::{Client, Rounds, new_loop, patience, server, source};
use mgos_mqtt::driver::{Loop, Mode, Source, SourceId, Turn};
use mgos_mqtt::time::Span;
use mio::net::UdpSocket as Udp;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

/// A foreign loop that knows nothing but what the documentation tells it.
struct Foreign {
    on: Loop,
    poll: Poll,
    events: Events,
}

impl Foreign {
    fn new(on: &Loop) -> Foreign {
        let poll = Poll::new().unwrap();
        let fd: RawFd = on.fd();
        poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
        Foreign { on: on.clone(), poll, events: Events::with_capacity(4) }
    }

    /// Sleeps as long as it is told, then processes. Fails if it would sleep for ever.
    #[track_caller]
    fn turn(&mut self) {
        let told = self.on.next_timeout().map(Span::to_duration);
        self.poll.poll(&mut self.events, told.or(Some(Duration::from_secs(20)))).unwrap();
        assert!(told.is_some() || !self.events.is_empty(), "left behind: nothing wakes this loop");
        self.on.process().unwrap();
    }

    #[track_caller]
    fn run(&mut self, mut done: impl FnMut() -> bool) {
        while !done() {
            self.turn();
        }
    }
}

/// A source, and how many turns it had.
fn counted(on: &Loop) -> (SourceId, Arc<AtomicUsize>) {
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let counts = source(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let id = on.add(counts).unwrap();
    (id, turns)
}

#[test]
fn a_burst_arrives_whole_in_small_bites() {
    const SIZE: usize = 10 * 1024 * 1024;
    let (end, ended) = channel::<()>();
    let (address, server) = server(move |mut stream| {
        stream.write_all(&vec![7; SIZE]).unwrap();
        // No later traffic, not even the end of the stream.
        let _ = ended.recv();
    });
    let on = new_loop();
    let mut foreign = Foreign::new(&on);
    let (client, _) = Client::add(&on, address, b"", 4096);
    foreign.run(|| client.received() == SIZE);
    assert_eq!(on.mode(), Mode::Foreign);
    drop(end);
    server.join().unwrap();
}

/// A datagram socket that counts what it gets.
struct Inbox(Mutex<Option<Udp>>, Arc<AtomicUsize>);

impl Source for Inbox {
    fn drive(&self, turn: &mut Turn<'_>) {
        let mut socket = self.0.lock().unwrap();
        let socket = socket.as_mut().unwrap();
        if turn.readable {
            while socket.recv(turn.buffer).is_ok() {
                self.1.fetch_add(1, SeqCst);
            }
        } else {
            turn.registry().register(socket, turn.token(), Interest::READABLE).unwrap();
        }
    }
}

#[test]
fn more_events_than_a_round_takes_are_not_left_behind() {
    const SOCKETS: usize = 300;
    let on = new_loop();
    let count = Arc::new(AtomicUsize::new(0));
    let addresses: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let socket = Udp::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let address = socket.local_addr().unwrap();
            let id = on.add(Arc::new(Inbox(Mutex::new(Some(socket)), count.clone()))).unwrap();
            on.schedule(id);
            address
        })
        .collect();
    let mut foreign = Foreign::new(&on);
    foreign.turn();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for address in addresses {
        sender.send_to(b"x", address).unwrap();
    }
    foreign.run(|| count.load(SeqCst) == SOCKETS);
}

#[test]
fn another_thread_wakes_a_foreign_loop_even_before_its_first_round() {
    let on = new_loop();
    let (id, turns) = counted(&on);
    let mut foreign = Foreign::new(&on);
    assert_eq!(on.next_timeout(), None);
    for n in 1..=100 {
        let scheduler = {
            let on = on.clone();
            thread::spawn(move || on.schedule(id))
        };
        foreign.run(|| turns.load(SeqCst) == n);
        scheduler.join().unwrap();
    }
}

#[test]
fn an_idle_loop_does_not_wake_a_foreign_one() {
    let on = new_loop();
    let rounds = Rounds::of(&on);
    let mut foreign = Foreign::new(&on);
    on.process().unwrap();
    assert_eq!((on.next_timeout(), rounds.count()), (None, 1));
    foreign.poll.poll(&mut foreign.events, Some(Duration::from_millis(100))).unwrap();
    assert!(foreign.events.is_empty());
}

#[test]
fn what_a_wait_leaves_unfinished_reaches_the_foreign_loop() {
    let on = new_loop();
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let id = on
        .add(source(move |turn| {
            if count.fetch_add(1, SeqCst) < 9 {
                turn.again();
            }
            turn.set_deadline((count.load(SeqCst) == 10).then(|| turn.now + Span::millis(5)));
        }))
        .unwrap();
    let mut foreign = Foreign::new(&on);
    on.process().unwrap();
    // The foreign loop armed its timer now, and is not asked again before it sleeps.
    assert_eq!(on.next_timeout(), None);
    on.schedule(id);
    assert!(on.wait(patience(&on), &mut || turns.load(SeqCst) >= 3).unwrap());
    assert_eq!(on.mode(), Mode::Foreign);
    foreign.poll.poll(&mut foreign.events, Some(Duration::from_secs(20))).unwrap();
    assert!(!foreign.events.is_empty());
    on.process().unwrap();
    foreign.run(|| turns.load(SeqCst) >= 10);
    // And a deadline that only the wait came to know of.
    assert!(!on.wait(Some(on.now()), &mut || false).unwrap());
    foreign.run(|| turns.load(SeqCst) >= 11);
}

/// It sleeps as long as it was told. What comes sooner than that ends its sleep, and nothing else does.
#[test]
fn only_a_nearer_deadline_wakes_the_foreign_loop() {
    let on = new_loop();
    let start = on.now();
    let at = Arc::new(Mutex::new(None));
    let deadline = at.clone();
    let id = on.add(source(move |turn| turn.set_deadline(*deadline.lock().unwrap()))).unwrap();
    let mut foreign = Foreign::new(&on);
    let mut turn_by_a_wait = |minutes: Option<u64>| {
        *at.lock().unwrap() = minutes.map(|minutes| start + Span::secs(60 * minutes));
        on.schedule(id);
        assert!(!on.wait(Some(on.now()), &mut || false).unwrap());
        foreign.poll.poll(&mut foreign.events, Some(Duration::ZERO)).unwrap();
        let woken = !foreign.events.is_empty();
        // It looks at the time again only if it was woken.
        if woken {
            on.process().unwrap();
            foreign.poll.poll(&mut foreign.events, Some(Duration::ZERO)).unwrap();
            on.next_timeout();
        }
        woken
    };
    on.process().unwrap();
    assert_eq!(on.next_timeout(), None);
    assert!(!turn_by_a_wait(None), "none, as before");
    assert!(turn_by_a_wait(Some(60)), "the first deadline");
    assert!(!turn_by_a_wait(Some(60)), "the same");
    assert!(!turn_by_a_wait(Some(90)), "a later one");
    assert!(!turn_by_a_wait(None), "none");
    assert!(turn_by_a_wait(Some(59)), "a nearer one");
    assert!(!turn_by_a_wait(Some(59)), "the same again");
    assert!(turn_by_a_wait(Some(1)), "one nearer still");
}

#[test]
fn a_waiter_on_another_thread_sleeps_and_is_told() {
    let on = new_loop();
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    let foreign_thread = thread::current().id();
    let id = on
        .add(source(move |turn| {
            assert_eq!(thread::current().id(), foreign_thread);
            flag.store(true, SeqCst);
            turn.handle().notify();
        }))
        .unwrap();
    let mut foreign = Foreign::new(&on);
    on.process().unwrap();
    let waiter = {
        let (on, done) = (on.clone(), done.clone());
        thread::spawn(move || {
            on.schedule(id);
            on.wait(patience(&on), &mut || done.load(SeqCst)).unwrap()
        })
    };
    foreign.run(|| done.load(SeqCst));
    assert!(waiter.join().unwrap());
}

/// A wait drives on the thread of the foreign loop: the one that processed last, also when that was another one before.
#[test]
fn who_processed_last_drives_in_a_wait() {
    let on = new_loop();
    let (id, turns) = counted(&on);
    let former = on.clone();
    thread::spawn(move || former.process().unwrap()).join().unwrap();
    on.process().unwrap();
    on.schedule(id);
    assert!(on.wait(patience(&on), &mut || turns.load(SeqCst) == 1).unwrap());
}

#[test]
fn a_visitor_with_the_role_does_not_make_it_spin_or_miss() {
    let on = new_loop();
    let (id, turns) = counted(&on);
    let mut foreign = Foreign::new(&on);
    on.process().unwrap();
    let (inside, is_inside) = channel();
    let (go, gate) = channel::<()>();
    let visitor = {
        let on = on.clone();
        thread::spawn(move || {
            on.try_drive(|| {
                on.schedule(id);
                inside.send(()).unwrap();
                gate.recv().unwrap();
            })
        })
    };
    is_inside.recv().unwrap();
    on.process().unwrap();
    assert_eq!((on.next_timeout(), turns.load(SeqCst)), (None, 0), "told to spin");
    go.send(()).unwrap();
    foreign.run(|| turns.load(SeqCst) == 1);
    assert!(visitor.join().unwrap().is_some());
}
