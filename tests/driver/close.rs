//! The end of a loop.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::driver_support::{new_loop, source};
use mgos_mqtt::driver::{Clock, DriveError, Loop, SourceId};

#[test]
fn close_waits_for_nobody_but_the_driver() {
    let (hang, hung) = channel::<()>();
    let hung = Mutex::new(hung);
    let (asked, is_asked) = channel();
    let on = Loop::with_resolver(
        Clock::monotonic(),
        Arc::new(move |_: &str, _| {
            asked.send(()).unwrap();
            let _ = hung.lock().unwrap().recv();
            Ok(Vec::new())
        }),
    )
    .unwrap();

    // One that ends in order: it takes three turns, then removes itself.
    let left = Arc::new(AtomicUsize::new(3));
    let turns = left.clone();
    let orderly = on
        .add(source(move |turn| match turns.fetch_sub(1, SeqCst) {
            1 => turn.handle().remove(turn.id),
            _ => turn.again(),
        }))
        .unwrap();
    // One that never heard of ending.
    let stubborn = source(|turn| turn.again());
    let weak = Arc::downgrade(&stubborn);
    let other = on.add(stubborn).unwrap();
    let lookup = on.lookup("hangs.example", 1883, orderly);
    is_asked.recv().unwrap();

    // Somebody sleeps in a wait, as the driver, and somebody beside.
    let (inside, is_inside) = channel();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let (on, inside) = (on.clone(), inside.clone());
            thread::spawn(move || {
                let asked = &mut || {
                    let _ = inside.send(());
                    false
                };
                assert!(matches!(on.wait(None, asked), Err(DriveError::Closed)));
            })
        })
        .collect();
    waiters.iter().for_each(|_| is_inside.recv().unwrap());

    on.schedule(orderly);
    on.schedule(other);
    on.close().unwrap();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(left.load(SeqCst), 0);
    assert!(weak.upgrade().is_none());
    assert!(lookup.take().is_none());
    after_close(&on, other);
    drop((on, lookup));
    // The thread that hung finds nobody to tell.
    drop(hang);
}

fn after_close(on: &Loop, id: SourceId) {
    fn closed<T>(result: Result<T, DriveError>) -> bool {
        matches!(result, Err(DriveError::Closed))
    }
    assert!(on.is_closed());
    assert!(closed(on.close()) && closed(on.poll(None)) && closed(on.process()));
    assert!(closed(on.start("late")) && closed(on.stop()));
    assert!(closed(on.wait(None, &mut || false)) && on.wait(None, &mut || true).unwrap());
    assert!(closed(on.add(source(|_| ()))));
    assert!(on.try_drive(|| ()).is_none());
    assert_eq!((on.fd(), on.next_timeout()), (-1, None));
    on.schedule(id);
    on.remove(id);
    on.set_every_iteration(id, true);
    on.notify();
}

#[test]
fn close_stops_the_own_thread() {
    let on = new_loop();
    on.start("own").unwrap();
    let weak = {
        let held = source(|_| ());
        let weak = Arc::downgrade(&held);
        on.add(held).unwrap();
        weak
    };
    on.close().unwrap();
    assert!(weak.upgrade().is_none());
}
