//! The loop driven by threads: `poll`, `wait`, and its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::driver_support::{Client, Rounds, echo, new_loop, patience, server, source, until};
use mgos_mqtt::driver::{Clock, DriveError, LookupError, Loop, Mode, Source, Turn};
use mgos_mqtt::time::{Span, Time};

#[test]
fn an_echo_comes_back() {
    let (address, server) = server(echo);
    let on = new_loop();
    let (client, id) = Client::add(&on, address, b"hello", 4096);
    until(&on, || client.bytes() == b"hello");
    on.remove(id);
    drop(client);
    server.join().unwrap();
}

#[test]
fn many_sources_each_get_theirs() {
    let on = new_loop();
    let all: Vec<_> = (0..100_u32)
        .map(|n| {
            let (address, server) = server(echo);
            let (client, id) = Client::add(&on, address, &n.to_be_bytes(), 3);
            (client, id, server)
        })
        .collect();
    until(&on, || all.iter().all(|(client, ..)| client.received() == 4));
    for (n, (client, id, server)) in (0_u32..).zip(all) {
        assert_eq!(client.bytes(), n.to_be_bytes());
        on.remove(id);
        drop(client);
        server.join().unwrap();
    }
}

#[test]
fn deadlines_come_in_order_and_never_early() {
    let time = Arc::new(AtomicU64::new(0));
    let clock = time.clone();
    let on = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
    let fired = Arc::new(Mutex::new(Vec::new()));
    for (name, at) in [('c', 30), ('a', 10), ('b', 20), ('d', 30)] {
        let (fired, armed) = (fired.clone(), AtomicBool::new(false));
        let id = on.add(source(move |turn| {
            if !armed.swap(true, SeqCst) {
                // The first is replaced at once, and must leave no trace.
                turn.set_deadline(Some(Time(5)));
                turn.set_deadline(Some(Time(at)));
                assert_eq!(turn.deadline(), Some(Time(at)));
            } else {
                assert_eq!(turn.deadline(), None);
                fired.lock().unwrap().push((name, turn.now.0));
            }
        }));
        on.schedule(id.unwrap());
    }
    on.poll(Some(Span::ZERO)).unwrap();
    assert_eq!(on.next_timeout(), Some(Span::micros(10)));
    for now in [5, 9, 10, 15, 20, 29, 31, 100] {
        time.store(now, SeqCst);
        on.poll(Some(Span::ZERO)).unwrap();
    }
    assert_eq!(*fired.lock().unwrap(), [('a', 10), ('b', 20), ('c', 31), ('d', 31)]);
    assert_eq!(on.next_timeout(), None);
}

#[test]
fn a_deadline_a_moment_away_is_not_spun_for() {
    let on = new_loop();
    let rounds = Rounds::of(&on);
    let due = Arc::new(Mutex::new(None));
    let seen = Arc::new(Mutex::new(None));
    let (to, at) = (due.clone(), seen.clone());
    let id = on.add(source(move |turn| {
        let mut due = to.lock().unwrap();
        if due.is_none() {
            *due = Some(turn.now + Span::micros(400));
            turn.set_deadline(*due);
        } else {
            *at.lock().unwrap() = Some(turn.now);
        }
    }));
    on.schedule(id.unwrap());
    until(&on, || seen.lock().unwrap().is_some());
    assert!(*seen.lock().unwrap() >= *due.lock().unwrap());
    assert!(rounds.count() <= 3, "{} rounds", rounds.count());
}

#[test]
fn nothing_that_eight_threads_schedule_is_lost() {
    let on = new_loop();
    let (work, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (from, to) = (work.clone(), done.clone());
    let id = on
        .add(source(move |_| {
            to.fetch_add(from.swap(0, SeqCst), SeqCst);
        }))
        .unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (on, work) = (on.clone(), work.clone());
            thread::spawn(move || {
                for _ in 0..2_000 {
                    work.fetch_add(1, SeqCst);
                    on.schedule(id);
                }
            })
        })
        .collect();
    until(&on, || done.load(SeqCst) == 16_000);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn an_idle_loop_sleeps() {
    let on = new_loop();
    let rounds = Rounds::of(&on);
    let never = || on.wait(Some(on.now() + Span::millis(150)), &mut || false).unwrap();
    assert!(!never());
    assert_eq!(rounds.count(), 1, "a waiter that drives sleeps once");
    on.start("idle").unwrap();
    let before = rounds.count();
    assert!(!never());
    // The kick of the start may come after the thread's first look.
    assert!(rounds.count() <= before + 1, "{} rounds", rounds.count() - before);
    on.stop().unwrap();
}

#[test]
fn the_own_thread_starts_and_stops_from_anywhere() {
    let on = new_loop();
    let (tell, told) = channel();
    let id = on
        .add(source(move |turn| {
            assert!(turn.handle().is_driver_thread() && Loop::in_dispatch());
            assert!(matches!(turn.handle().poll(None), Err(DriveError::Busy)));
            assert!(matches!(turn.handle().process(), Err(DriveError::Busy)));
            assert!(matches!(turn.handle().wait(None, &mut || true), Err(DriveError::Busy)));
            assert!(matches!(turn.handle().close(), Err(DriveError::Busy)));
            assert!(turn.handle().try_drive(|| ()).is_none());
            tell.send(thread::current().name().map(str::to_owned)).unwrap();
        }))
        .unwrap();
    for name in ["one", "two"] {
        on.start(name).unwrap();
        assert_eq!(on.mode(), Mode::Thread);
        assert!(matches!(on.start("three"), Err(DriveError::Busy)));
        assert!(matches!(on.poll(None), Err(DriveError::Busy)));
        assert!(matches!(on.process(), Err(DriveError::Busy)));
        on.schedule(id);
        assert_eq!(told.recv().unwrap().as_deref(), Some(name));
        assert!(!on.is_driver_thread());
        on.stop().unwrap();
        on.stop().unwrap();
        assert_eq!(on.mode(), Mode::Poll);
    }
    // From inside: stop, start again, stop again, all in one turn; then once more to stay.
    let (tell, told) = channel();
    let inner = on
        .add(source(move |turn| {
            let on = turn.handle();
            on.stop().unwrap();
            on.start("second").unwrap();
            on.stop().unwrap();
            on.start("third").unwrap();
            turn.handle().schedule(id);
            tell.send(()).unwrap();
        }))
        .unwrap();
    on.start("first").unwrap();
    on.schedule(inner);
    told.recv().unwrap();
    until(&on, || on.mode() == Mode::Thread);
    on.stop().unwrap();
    on.close().unwrap();
}

#[test]
fn stop_from_inside_hands_over_to_a_waiter() {
    let on = new_loop();
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let id = on
        .add(source(move |turn| {
            if count.fetch_add(1, SeqCst) == 0 {
                turn.handle().stop().unwrap();
            }
            if count.load(SeqCst) < 3 {
                turn.again();
            }
            turn.handle().notify();
        }))
        .unwrap();
    on.start("short").unwrap();
    on.schedule(id);
    until(&on, || turns.load(SeqCst) == 3);
    on.close().unwrap();
}

#[test]
fn waiters_share_one_driver_and_inherit_the_role() {
    let on = new_loop();
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let id = on
        .add(source(move |turn| {
            count.fetch_add(1, SeqCst);
            turn.handle().notify();
        }))
        .unwrap();
    // Each waits for one turn more than the one before; whoever drives leaves first or later.
    let (ready, all) = channel();
    let threads: Vec<_> = (1..=6)
        .map(|n| {
            let (on, turns, ready) = (on.clone(), turns.clone(), ready.clone());
            thread::spawn(move || {
                let mut first = true;
                until(&on, || {
                    if std::mem::take(&mut first) {
                        ready.send(()).unwrap();
                    }
                    turns.load(SeqCst) >= n
                });
            })
        })
        .collect();
    threads.iter().for_each(|_| all.recv().unwrap());
    for n in 1..=6 {
        on.schedule(id);
        until(&on, || turns.load(SeqCst) >= n);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_notification_from_another_thread_ends_any_wait() {
    let on = new_loop();
    for own in [false, true] {
        if own {
            on.start("own").unwrap();
        }
        let done = Arc::new(AtomicBool::new(false));
        let (asked, ask) = channel();
        let other = {
            let (on, done) = (on.clone(), done.clone());
            thread::spawn(move || {
                ask.recv().unwrap();
                done.store(true, SeqCst);
                on.notify();
            })
        };
        until(&on, || {
            let _ = asked.send(());
            done.load(SeqCst)
        });
        other.join().unwrap();
    }
    on.close().unwrap();
}

#[test]
fn a_second_poll_waits_its_turn_and_its_time() {
    let on = new_loop();
    let (inside, is_inside) = channel();
    let (go, gate) = channel();
    let gate = Mutex::new(gate);
    let id = on
        .add(source(move |_| {
            inside.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }))
        .unwrap();
    on.schedule(id);
    let poller = {
        let on = on.clone();
        thread::spawn(move || on.poll(None).unwrap())
    };
    is_inside.recv().unwrap();
    let before = on.now();
    on.poll(Some(Span::ZERO)).unwrap();
    on.poll(Some(Span::millis(20))).unwrap();
    assert!(on.now().since(before) >= Span::millis(20));
    assert!(!on.wait(Some(on.now()), &mut || false).unwrap());
    assert!(on.try_drive(|| ()).is_none());
    go.send(()).unwrap();
    poller.join().unwrap();
    assert_eq!(on.try_drive(|| matches!(on.poll(None), Err(DriveError::Busy))), Some(true));
}

#[test]
fn removing_drops_the_source_with_nothing_locked() {
    struct Owner(Loop, mpsc::Sender<bool>);
    impl Source for Owner {
        fn drive(&self, turn: &mut Turn<'_>) {
            turn.handle().remove(turn.id);
            turn.set_deadline(Some(turn.now));
            turn.again();
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            // Everything may be called in here; what sleeps answers BUSY.
            self.0.notify();
            let id = self.0.add(source(|_| ())).unwrap();
            self.0.schedule(id);
            self.0.remove(id);
            self.1.send(matches!(self.0.poll(None), Err(DriveError::Busy))).unwrap();
        }
    }
    let on = new_loop();
    let (dropped, is_dropped) = channel();
    let id = on.add(Arc::new(Owner(on.clone(), dropped))).unwrap();
    on.schedule(id);
    on.poll(Some(Span::ZERO)).unwrap();
    assert!(is_dropped.try_recv().unwrap());
    assert_eq!(on.next_timeout(), None);
    on.schedule(id);
    on.remove(id);
    on.set_every_iteration(id, true);
    assert_eq!(on.next_timeout(), None);
}

#[test]
fn a_panic_in_one_source_costs_the_others_nothing() {
    let on = new_loop();
    let turns = Arc::new(AtomicUsize::new(0));
    for n in 0..5 {
        let turns = turns.clone();
        let id = on.add(source(move |_| {
            turns.fetch_add(1, SeqCst);
            if n == 2 {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        }));
        on.schedule(id.unwrap());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| on.poll(Some(Span::ZERO)))).is_err());
    assert!(!Loop::in_dispatch() && !on.is_driver_thread());
    assert_eq!(turns.load(SeqCst), 3);
    on.poll(Some(Span::ZERO)).unwrap();
    assert_eq!(turns.load(SeqCst), 5);
}

#[test]
fn names_are_resolved_beside_the_loop() {
    let on = Loop::with_resolver(
        Clock::monotonic(),
        Arc::new(|host: &str, port| match host {
            "good" => Ok(vec![([192, 0, 2, 1], port).into()]),
            _ => Err(std::io::Error::other("no such name")),
        }),
    )
    .unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let lookups = Arc::new(Mutex::new(Vec::<mgos_mqtt::driver::Lookup>::new()));
    let (to, from) = (answers.clone(), lookups.clone());
    let id = on
        .add(source(move |_| {
            let lookups = from.lock().unwrap();
            to.lock().unwrap().extend(lookups.iter().filter_map(|lookup| lookup.take()));
        }))
        .unwrap();
    assert_eq!(on.lookup("[::1]", 1, id).take().unwrap().unwrap(), [([0, 0, 0, 0, 0, 0, 0, 1], 1).into()]);
    for host in ["good", "bad"] {
        let lookup = on.lookup(host, 1883, id);
        lookups.lock().unwrap().push(lookup);
    }
    until(&on, || answers.lock().unwrap().len() == 2);
    let answers = answers.lock().unwrap();
    assert!(answers.iter().any(|a| a.as_ref().is_ok_and(|a| a[..] == [([192, 0, 2, 1], 1883).into()])));
    assert!(
        answers.iter().any(|a| matches!(a, Err(LookupError::Failed(e)) if e.to_string() == "no such name"))
    );
}

#[test]
fn modes_change_under_a_waiter() {
    let on = new_loop();
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let id = on
        .add(source(move |turn| {
            count.fetch_add(1, SeqCst);
            turn.handle().notify();
        }))
        .unwrap();
    let waiter = {
        let (on, turns) = (on.clone(), turns.clone());
        thread::spawn(move || on.wait(patience(&on), &mut || turns.load(SeqCst) == 30).unwrap())
    };
    for n in 1..=10 {
        on.start("own").unwrap();
        on.schedule(id);
        until(&on, || turns.load(SeqCst) == 3 * n - 2);
        on.stop().unwrap();
        on.schedule(id);
        until(&on, || turns.load(SeqCst) == 3 * n - 1);
        on.schedule(id);
        while turns.load(SeqCst) < 3 * n {
            on.process().unwrap();
            assert_eq!(on.mode(), Mode::Foreign);
        }
    }
    assert!(waiter.join().unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_is_inherited() {
    let (address, server) = server(echo);
    let on = new_loop();
    let (client, id) = Client::add(&on, address, b"x", 16);
    until(&on, || client.received() == 1);
    let mut seen = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let number = entry.unwrap().file_name().into_string().unwrap();
        // Other tests open and close theirs meanwhile.
        let (Ok(what), Ok(info)) = (
            std::fs::read_link(format!("/proc/self/fd/{number}")),
            std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")),
        ) else {
            continue;
        };
        let what = what.to_string_lossy();
        if ["eventpoll", "eventfd", "socket:"].iter().any(|kind| what.contains(kind)) {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let flags = u32::from_str_radix(flags, 8).unwrap();
            assert_ne!(flags & 0o2_000_000, 0, "{what} is inherited");
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} descriptors were looked at");
    on.remove(id);
    drop(client);
    server.join().unwrap();
}
