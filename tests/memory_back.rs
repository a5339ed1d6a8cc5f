//! Memory that a burst needed is given back at the first quiet interval, with a keep-alive and without one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, Listener, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

thread_local! {
    /// Bytes that this thread was granted and has not given back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn hold(more: usize, less: usize) {
    HELD.set(HELD.get() + more as isize - less as isize);
}

// SAFETY: every block comes from `System` and goes back to it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size(), 0);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hold(size, layout.size());
        // SAFETY: `block` came from `System` with this layout; `size` is the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So much may be left of a burst: room of a few messages, a history of outcomes in short.
const LEFT: isize = 8 * 1024;

struct Rig {
    now: Arc<AtomicU64>,
    driver: Loop,
    conn: Arc<Conn>,
    link: TcpStream,
}

impl Rig {
    fn new(keep_alive: u16, handler: Option<Box<dyn Callback<Conn>>>) -> Rig {
        let now = Arc::new(AtomicU64::new(77_000_000_000));
        let clock = now.clone();
        let driver = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Some(listener.local_addr().unwrap().to_string());
        let profile =
            Profile { enable: true, server, keep_alive, recv_limit: 16 << 20, ..Profile::default() };
        let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
        let settings = Settings { max_outgoing_bytes: 0, in_flight_window: 2_000, ..Settings::default() };
        let conn = Conn::new(Arc::new(Context::new(driver.clone())), 1, profiles, settings).unwrap();
        if let Some(handler) = handler {
            conn.add_handler(Identity(1, 1), Kind::Message.bit(), handler).unwrap();
        }
        conn.connect().unwrap();
        driver.poll(Some(Span::ZERO)).unwrap();
        let (link, _) = listener.accept().unwrap();
        link.set_nonblocking(true).unwrap();
        let rig = Rig { now, driver, conn, link };
        let mut got = 0;
        rig.until(|| {
            got += rig.read();
            got > 2
        });
        (&rig.link).write_all(b"\x20\x02\0\0").unwrap();
        rig.until(|| rig.conn.is_connected() && rig.driver.next_timeout() != Some(Span::ZERO));
        rig
    }

    #[track_caller]
    fn until(&self, mut done: impl FnMut() -> bool) {
        for _ in 0..20_000 {
            if done() {
                return;
            }
            self.driver.poll(Some(Span::millis(5))).unwrap();
        }
        panic!("in vain");
    }

    /// Takes what the client wrote; how much that is.
    fn read(&self) -> usize {
        let (mut all, mut buffer) = (0, [0; 64 * 1024]);
        loop {
            match (&self.link).read(&mut buffer) {
                Ok(n) => all += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Takes exactly so much.
    #[track_caller]
    fn take(&self, bytes: usize) {
        let mut got = 0;
        self.until(|| {
            got += self.read();
            got >= bytes
        });
        assert_eq!(got, bytes);
    }

    /// `burst` needs memory, and it is given back at the first quiet interval.
    #[track_caller]
    fn check(&self, what: &str, interval: Span, burst: impl FnOnce(&Rig)) {
        let before = HELD.get();
        burst(self);
        self.until(|| self.driver.next_timeout() != Some(Span::ZERO));
        let after = HELD.get() - before;
        assert!(after > LEFT, "{what}: a burst that needs no memory: {after}");
        // Not before its time.
        assert_eq!(self.driver.next_timeout(), Some(interval), "{what}");
        self.now.fetch_add(interval.0, SeqCst);
        self.driver.poll(Some(Span::ZERO)).unwrap();
        let left = HELD.get() - before;
        assert!(left < LEFT, "{what}: {left} of {after} bytes are kept");
    }
}

struct Nothing;

impl Callback<Conn> for Nothing {
    fn call(&self, _: &Conn, _: &Event<'_>) {}
}

fn each(mut test: impl FnMut(u16, Span)) {
    test(2, Span::secs(2));
    // Without a keep-alive nothing comes by itself but this.
    test(0, Span::secs(10));
}

/// field: F-08
#[test]
fn a_large_message_out() {
    each(|keep_alive, interval| {
        let rig = Rig::new(keep_alive, None);
        let payload = vec![7; 8 << 20];
        rig.check("8 MB", interval, |rig| {
            rig.conn.publish(Publication::new("t", &payload, QoS::AtMostOnce)).unwrap();
            rig.take(5 + 3 + payload.len());
        });
    });
}

/// field: F-08
#[test]
fn many_messages_out_with_listeners() {
    each(|keep_alive, interval| {
        let rig = Rig::new(keep_alive, None);
        rig.check("1,000 messages", interval, |rig| {
            for _ in 0..1_000 {
                let listener = Listener::new(|_, _, _| (), [std::ptr::null_mut(); 3]);
                let message = Publication::new("t", &[7; 100], QoS::AtLeastOnce);
                rig.conn.publish_with(message, Some(listener), &Cell::new(0)).unwrap();
            }
            rig.take(1_000 * (2 + 3 + 2 + 100));
            let acks: Vec<u8> = (1..=1_000_u16).flat_map(|id| [0x40, 2, (id >> 8) as u8, id as u8]).collect();
            (&rig.link).write_all(&acks).unwrap();
            rig.until(|| rig.conn.unsent_bytes() == 0);
        });
    });
}

/// field: F-08
#[test]
fn many_messages_in() {
    each(|keep_alive, interval| {
        for large in [false, true] {
            let rig = Rig::new(keep_alive, Some(Box::new(Nothing)));
            rig.check("messages in", interval, |rig| {
                let n = if large { 1 } else { 3_000 };
                for id in 1..=n {
                    let payload = if large { vec![7; 100_000] } else { vec![7; 20] };
                    let mut packet = vec![0x32];
                    let mut len = 3 + 2 + payload.len();
                    while len > 0 {
                        packet.push((len % 128) as u8 | if len > 127 { 128 } else { 0 });
                        len /= 128;
                    }
                    packet.extend([0, 1, b't', (id >> 8) as u8, id as u8]);
                    packet.extend(payload);
                    (&rig.link).write_all(&packet).unwrap();
                }
                if large {
                    // The beginning of a second one: what it needs is not kept either, once it is there.
                    let text = vec![7; 20_000];
                    rig.conn.publish(Publication::new("t", &text, QoS::AtMostOnce)).unwrap();
                    rig.take(4 + 4 + 3 + text.len());
                } else {
                    rig.take(3_000 * 4);
                }
            });
        }
    });
}
