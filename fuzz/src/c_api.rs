//! The C interface by sequences of calls, from outside of callbacks and from inside of them, against a server of the same
//! program that says what the sequence has it say.
//!
//! What is checked: nothing is called after it was taken back, and it is taken back exactly once; what promises one
//! answer gives one; callbacks do not nest; waiting inside of a callback is refused.
//!
//! Everything happens on one thread. Callbacks run while a call of this file is under way, so the state is in cells.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason for all: handles live or are NULL, the rest outlives the call"
)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use mgos_mqtt::capi::mgos_config::mgos_config_mqtt_set_defaults;
use mgos_mqtt::capi::mgos_mqtt_conn::*;
use mgos_mqtt::capi::mgos_mqtt_connect::*;
use mgos_mqtt::capi::mgos_mqtt_event::*;
use mgos_mqtt::capi::mgos_mqtt_loop::*;
use mgos_mqtt::capi::mgos_mqtt_options::*;
use mgos_mqtt::capi::mgos_mqtt_publish::*;
use mgos_mqtt::capi::mgos_mqtt_receive::*;
use mgos_mqtt::capi::mgos_mqtt_stats::*;
use mgos_mqtt::capi::mgos_mqtt_subscribe::*;
use mgos_mqtt::capi::types::mgos_config::mgos_config_mqtt;
use mgos_mqtt::capi::types::mgos_mg_str::mg_str;
use mgos_mqtt::capi::types::mgos_mongoose::mg_connection;
use mgos_mqtt::capi::types::mgos_mqtt_conn::*;
use mgos_mqtt::capi::types::mgos_mqtt_event::*;
use mgos_mqtt::capi::types::mgos_mqtt_loop::*;
use mgos_mqtt::capi::types::mgos_mqtt_options::*;
use mgos_mqtt::capi::types::mgos_mqtt_property::mgos_mqtt_property;
use mgos_mqtt::capi::types::mgos_mqtt_publish::*;
use mgos_mqtt::capi::types::mgos_mqtt_receive::*;
use mgos_mqtt::capi::types::mgos_mqtt_subscribe::*;

use super::input::Input;
use super::server::Server;

/// More steps than this repeat what was seen.
const STEPS: usize = 60;
/// Calls that callbacks make in a run.
const CALLS_IN_CALLBACKS: usize = 120;
/// Handles at a time.
const CONNECTIONS: usize = 3;

/// The program.
pub fn run(data: &[u8]) {
    WORLD.with(|world| {
        world.begin(data);
        world.program();
        world.end();
    });
}

thread_local! {
    static WORLD: World = World::new();
}

/// What was given to the library as user data, by its number.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    /// The library has it: it may be called with it.
    accepted: bool,
    taken_back: bool,
    /// It is called exactly once.
    once: bool,
    calls: u32,
    /// It has a destructor.
    destructor: bool,
}

struct World {
    server: RefCell<Server>,
    script: RefCell<Vec<u8>>,
    at: Cell<usize>,
    budget: Cell<usize>,
    loops: Cell<[*mut mgos_mqtt_loop; 2]>,
    connections: Cell<[*mut mgos_mqtt_conn; CONNECTIONS]>,
    given: RefCell<Vec<Given>>,
    tokens: RefCell<Vec<u64>>,
    deferred: RefCell<Vec<u64>>,
    fetched: RefCell<Vec<*mut mgos_mqtt_msg>>,
    /// Callbacks that run.
    depth: Cell<u32>,
    /// Of them, those inside which a connection is being freed.
    frees: Cell<u32>,
}

impl World {
    fn new() -> World {
        World {
            server: RefCell::new(Server::new()),
            script: RefCell::default(),
            at: Cell::new(0),
            budget: Cell::new(0),
            loops: Cell::new([null_mut(); 2]),
            connections: Cell::new([null_mut(); CONNECTIONS]),
            given: RefCell::default(),
            tokens: RefCell::default(),
            deferred: RefCell::default(),
            fetched: RefCell::default(),
            depth: Cell::new(0),
            frees: Cell::new(0),
        }
    }

    fn begin(&self, data: &[u8]) {
        *self.script.borrow_mut() = data.to_vec();
        self.at.set(0);
        self.budget.set(CALLS_IN_CALLBACKS);
        self.depth.set(0);
        self.frees.set(0);
        self.given.borrow_mut().clear();
        self.tokens.borrow_mut().clear();
        self.deferred.borrow_mut().clear();
        self.loops.set([mgos_mqtt_loop_create(), mgos_mqtt_loop_create()]);
        assert!(self.loops.get().iter().all(|loop_| !loop_.is_null()));
    }

    /// Asks the program for something. The program itself is not borrowed while the library is called.
    fn ask<T>(&self, question: impl FnOnce(&mut Input<'_>) -> T) -> T {
        let script = self.script.borrow();
        let left = &script[self.at.get()..];
        let mut input = Input::new(left);
        let answer = question(&mut input);
        self.at.set(script.len() - input.rest().len());
        answer
    }

    fn below(&self, n: u8) -> u8 {
        self.ask(|input| input.below(n))
    }

    fn flag(&self) -> bool {
        self.ask(|input| input.flag())
    }

    fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        self.ask(|input| input.one_of(choices))
    }

    fn program(&self) {
        for _ in 0..STEPS {
            if self.ask(|input| input.is_empty()) {
                return;
            }
            match self.below(8) {
                0 => self.create(),
                1 | 2 => self.poll(),
                3 => {
                    self.server.borrow_mut().accept();
                    self.ask(|input| self.server.borrow_mut().answer(input));
                    self.poll();
                }
                4 => {
                    self.server.borrow_mut().accept();
                    self.ask(|input| self.server.borrow_mut().say(input));
                    self.poll();
                }
                5 => {
                    let reset = self.flag();
                    self.server.borrow_mut().close(reset);
                    self.poll();
                }
                _ => self.call(),
            }
        }
    }

    fn end(&self) {
        for loop_ in self.loops.get() {
            // SAFETY: made in `begin` and not freed before.
            assert_eq!(unsafe { mgos_mqtt_loop_free(loop_) }, 0);
        }
        for message in self.fetched.take() {
            // SAFETY: fetched and not released before.
            unsafe { mgos_mqtt_msg_release(message) };
        }
        self.connections.set([null_mut(); CONNECTIONS]);
        self.server.borrow_mut().close_all();
        for given in self.given.borrow().iter().filter(|given| given.accepted) {
            assert!(given.taken_back || !given.destructor, "never taken back: {given:?}");
            assert!(given.calls == 1 || !given.once, "not called once: {given:?}");
        }
    }

    fn poll(&self) {
        let loop_ = self.loops.get()[usize::from(self.below(4) == 3)];
        for _ in 0..2 {
            // SAFETY: the loops live until the end.
            assert_eq!(unsafe { mgos_mqtt_loop_poll(loop_, 0) }, 0);
        }
    }

    // -- user data ------------------------------------------------------------------------------

    /// New user data for a registration.
    fn give(&self, once: bool, destructor: bool) -> *mut c_void {
        let mut given = self.given.borrow_mut();
        given.push(Given { once, destructor, ..Given::default() });
        given.len() as *mut c_void
    }

    /// What the library said to a registration; calls may have come before.
    fn accepted(&self, data: *mut c_void, result: c_int) {
        let given = &mut self.given.borrow_mut()[data as usize - 1];
        given.accepted = result == 0;
        assert!(result == 0 || !given.taken_back, "refused and taken back");
        assert!(result == 0 || given.calls == 0, "refused and called");
    }

    /// A callback runs: what it was given is alive.
    fn called(&self, data: *mut c_void) {
        let mut given = self.given.borrow_mut();
        let given = &mut given[data as usize - 1];
        assert!(!given.taken_back, "called after it was taken back");
        given.calls += 1;
        assert!(given.calls == 1 || !given.once, "called twice");
    }

    /// Calls from inside a callback.
    fn calls(&self) {
        let depth = self.depth.get();
        assert!(depth <= self.frees.get(), "callbacks nest");
        self.depth.set(depth + 1);
        for _ in 0..self.below(4) {
            self.spend();
        }
        self.depth.set(depth);
    }

    fn spend(&self) {
        if self.budget.get() > 0 {
            self.budget.set(self.budget.get() - 1);
            self.call();
        }
    }

    // -- calls ----------------------------------------------------------------------------------

    fn create(&self) {
        let place = usize::from(self.below(CONNECTIONS as u8));
        let mut all = self.connections.get();
        if !all[place].is_null() {
            return;
        }
        let loop_ = self.loops.get()[usize::from(self.below(4) == 3)];
        all[place] = self.with_options(|options| {
            // SAFETY: the loop lives, and so do the options and what they point to.
            unsafe { mgos_mqtt_conn_create_on(loop_, place as c_int, options) }
        });
        self.connections.set(all);
    }

    fn with_config<T>(&self, body: impl FnOnce(*const mgos_config_mqtt) -> T) -> T {
        // SAFETY: a structure of numbers and pointers; zeros are what its setter starts from.
        let mut config: mgos_config_mqtt = unsafe { std::mem::zeroed() };
        // SAFETY: valid.
        unsafe { mgos_config_mqtt_set_defaults(&mut config) };
        let server = self.server.borrow().address();
        config.enable = 1;
        config.server = server.as_ptr();
        config.client_id = self.one_of(&[c"c", c"d", c""]).as_ptr();
        config.clean_session = self.flag().into();
        config.keep_alive = self.one_of(&[60, 0]);
        config.reconnect_timeout_min = 0.001;
        config.reconnect_timeout_max = self.one_of(&[0.001, 60.0]);
        config.recv_mbuf_limit = self.one_of(&[3072, 64]);
        config.max_queue_length = self.one_of(&[10, 0, 1]);
        config.max_qos = self.one_of(&[2, 1]);
        body(&config)
    }

    fn with_options<T>(&self, body: impl FnOnce(*const mgos_mqtt_options) -> T) -> T {
        self.with_config(|config| {
            // SAFETY: a structure of numbers and pointers, meant to be zero where nothing is set.
            let mut options: mgos_mqtt_options = unsafe { std::mem::zeroed() };
            options.size = size_of::<mgos_mqtt_options>();
            options.profiles = config;
            options.num_profiles = 1;
            options.protocol_version = self.one_of(&[0, 3, 4, 5]);
            options.in_flight_window = self.one_of(&[0, 1]);
            options.overflow = self.one_of(&[0, 1]);
            options.on_session_loss = self.one_of(&[0, 1]);
            options.resubscribe = self.one_of(&[0, 1]);
            options.retry = self.one_of(&[0, 1, 2]);
            options.outcome_history = self.one_of(&[0, 1]);
            options.oversize_keep = self.one_of(&[0, 8]);
            options.refuse_retries = self.one_of(&[0, 1]);
            options.refuse_delay_ms = self.one_of(&[0, 1]);
            options.receive_queue_length = self.one_of(&[0, 1]);
            options.receive_overflow = self.one_of(&[0, 1, 2]);
            body(&options)
        })
    }

    /// One of the connections, or NULL.
    fn connection(&self) -> *mut mgos_mqtt_conn {
        self.connections.get()[usize::from(self.below(CONNECTIONS as u8))]
    }

    fn topic(&self) -> *const c_char {
        let topics = [c"a/b".as_ptr(), c"a".as_ptr(), c"a/+".as_ptr(), c"#".as_ptr(), c"".as_ptr(), null()];
        self.one_of(&topics)
    }

    fn call(&self) {
        let c = self.connection();
        let inside = self.depth.get() > 0;
        // SAFETY: `c` is NULL or lives, everything else is valid until the calls return; so for all calls below.
        unsafe {
            match self.below(24) {
                0 => drop(mgos_mqtt_conn_connect(c)),
                1 => self.connect_once(c),
                2 => mgos_mqtt_conn_disconnect(c),
                3 => mgos_mqtt_conn_abort(c),
                4 => mgos_mqtt_conn_reconnect(c),
                5..=7 => self.publish(c),
                8 | 9 => self.subscribe(c),
                10 => self.subscribe_all(c),
                11 => self.unsubscribe(c),
                12 => self.register(c),
                13 => self.free(c),
                14 => self.defer(c),
                15 => self.acknowledge(c),
                16 => drop(mgos_mqtt_msg_refuse(c, self.one_of(&[0x80, 0x87, 0]))),
                17 => self.receive(c, inside),
                18 => self.reconfigure(c),
                19 => self.wait(c, inside),
                20 => self.token(c),
                21 => self.read(c),
                22 => self.of_loop(inside),
                _ => self.queue(c),
            }
        }
    }

    unsafe fn connect_once(&self, c: *mut mgos_mqtt_conn) {
        let data = self.give(true, false);
        let result = unsafe { mgos_mqtt_conn_connect_once(c, Some(on_event), Some(on_event), data) };
        self.accepted(data, result);
    }

    unsafe fn publish(&self, c: *mut mgos_mqtt_conn) {
        let payload = vec![b'x'; usize::from(self.below(255))];
        let (topic, qos) = (self.topic(), self.one_of(&[0, 1, 2, 3, -1]));
        if self.flag() {
            let payload = mg_str { p: payload.as_ptr().cast(), len: payload.len() };
            unsafe { mgos_mqtt_conn_pub(c, topic, payload, qos, self.flag()) };
            return;
        }
        let data = self.give(true, false);
        // Any identifier, with a value that fits some of them.
        let property = mgos_mqtt_property {
            id: u32::from(self.below(44)),
            number: u32::from(self.below(3)),
            name: null(),
            name_len: 0,
            value: null(),
            value_len: 0,
        };
        let message = mgos_mqtt_publication {
            size: size_of::<mgos_mqtt_publication>(),
            topic,
            payload: payload.as_ptr().cast(),
            payload_len: payload.len(),
            qos,
            retain: self.flag(),
            expires_ms: self.one_of(&[0, 1]),
            done: Some(on_event),
            ud: data,
            properties: &property,
            num_properties: usize::from(self.flag()),
            topic_alias: self.one_of(&[0, 1, 70]),
        };
        let mut token = 0;
        let result = unsafe { mgos_mqtt_conn_publish(c, &message, &mut token) };
        self.accepted(data, result);
        if result == 0 {
            self.tokens.borrow_mut().push(token);
        }
    }

    unsafe fn subscribe(&self, c: *mut mgos_mqtt_conn) {
        let data = self.give(false, true);
        let (topic, qos) = (self.topic(), self.one_of(&[0, 1, 2, 3]));
        let result = unsafe {
            match self.flag() {
                true => mgos_mqtt_conn_subscribe(c, topic, qos, Some(on_event), data, Some(take_back)),
                false => mgos_mqtt_conn_sub_ex(c, topic, qos, Some(on_mongoose), data, Some(take_back)),
            }
        };
        self.accepted(data, result);
    }

    unsafe fn subscribe_all(&self, c: *mut mgos_mqtt_conn) {
        let filters = [0; 2].map(|_| mgos_mqtt_filter { filter: self.topic(), qos: self.one_of(&[0, 1, 2]) });
        let (data, done) = (self.give(false, true), self.give(true, false));
        let n = usize::from(self.below(3));
        let result = unsafe {
            mgos_mqtt_conn_subscribe_all(
                c,
                filters.as_ptr(),
                n,
                Some(on_event),
                data,
                Some(take_back),
                Some(on_event),
                done,
            )
        };
        self.accepted(data, result);
        self.accepted(done, result);
    }

    /// User data of some registration, or none.
    fn any_data(&self) -> *mut c_void {
        let n = self.given.borrow().len();
        (usize::from(self.ask(|input| input.byte())) % (n + 1)) as *mut c_void
    }

    unsafe fn unsubscribe(&self, c: *mut mgos_mqtt_conn) {
        let topic = self.topic();
        match self.below(4) {
            0 => drop(unsafe { mgos_mqtt_conn_unsub(c, topic) }),
            1 => drop(unsafe { mgos_mqtt_conn_unsubscribe(c, topic, Some(on_event), self.any_data()) }),
            2 => drop(unsafe { mgos_mqtt_conn_unsubscribe(c, topic, None, null_mut()) }),
            _ => {
                let done = self.give(true, false);
                let filters = [topic, self.topic()];
                let result = unsafe {
                    mgos_mqtt_conn_unsubscribe_all(
                        c,
                        filters.as_ptr(),
                        2,
                        None,
                        null_mut(),
                        Some(on_event),
                        done,
                    )
                };
                self.accepted(done, result);
            }
        }
    }

    unsafe fn register(&self, c: *mut mgos_mqtt_conn) {
        if self.below(4) == 3 {
            let data = self.any_data();
            match self.flag() {
                true => drop(unsafe { mgos_mqtt_conn_off(c, Some(on_event), data) }),
                false => drop(unsafe { mgos_mqtt_conn_remove_handler(c, Some(on_mongoose), data) }),
            }
            return;
        }
        let data = self.give(false, true);
        let kinds =
            self.one_of(&[u32::MAX, MGOS_MQTT_EV_MESSAGE, MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_CONNECT_RESULT]);
        let result = unsafe {
            match self.below(6) {
                0 | 1 => mgos_mqtt_conn_on(c, kinds, Some(on_event), data, Some(take_back)),
                2 => mgos_mqtt_conn_add_handler_ex(c, Some(on_mongoose), data, Some(take_back)),
                3 => mgos_mqtt_conn_on_connect(c, Some(on_event), data, Some(take_back)),
                4 => mgos_mqtt_conn_on_offline(c, Some(on_event), data, Some(take_back)),
                _ => mgos_mqtt_conn_on_message(c, Some(on_event), data, Some(take_back)),
            }
        };
        self.accepted(data, result);
    }

    unsafe fn free(&self, c: *mut mgos_mqtt_conn) {
        let mut all = self.connections.get();
        let Some(place) = all.iter().position(|&other| other == c && !c.is_null()) else { return };
        all[place] = null_mut();
        self.connections.set(all);
        // In a callback of one loop: nobody drives the other, so the last callbacks of its connection come in this call.
        let frees = self.frees.get();
        self.frees.set((frees + u32::from(self.depth.get() > 0)).min(1));
        match self.flag() {
            true => unsafe { mgos_mqtt_conn_free(c) },
            false => drop(unsafe { mgos_mqtt_conn_free_wait(c, 0) }),
        }
        self.frees.set(frees);
    }

    unsafe fn defer(&self, c: *mut mgos_mqtt_conn) {
        let number = unsafe { mgos_mqtt_msg_defer(c) };
        assert!(number == 0 || self.depth.get() > 0, "deferred outside of a handler");
        if number != 0 {
            self.deferred.borrow_mut().push(number);
        }
    }

    unsafe fn acknowledge(&self, c: *mut mgos_mqtt_conn) {
        let at = usize::from(self.ask(|input| input.byte()));
        let deferred = self.deferred.borrow().clone();
        let number = deferred.get(at % deferred.len().max(1)).copied().unwrap_or(at as u64);
        unsafe { mgos_mqtt_msg_ack(c, number) };
    }

    unsafe fn receive(&self, c: *mut mgos_mqtt_conn, inside: bool) {
        let fetched = self.fetched.borrow_mut().pop();
        if let (Some(message), true) = (fetched, self.flag()) {
            unsafe { read_message(message) };
            unsafe { mgos_mqtt_msg_release(message) };
            return;
        }
        self.fetched.borrow_mut().extend(fetched);
        let mut message = null_mut();
        let result = unsafe { mgos_mqtt_conn_receive(c, 0, &mut message) };
        assert_eq!(result == 0, !message.is_null());
        if result == 0 {
            self.fetched.borrow_mut().push(message);
        }
        let _ = inside;
        unsafe { mgos_mqtt_conn_receive_pending(c, null_mut()) };
    }

    unsafe fn queue(&self, c: *mut mgos_mqtt_conn) {
        let topic = self.topic();
        match self.flag() {
            true => drop(unsafe { mgos_mqtt_conn_subscribe_queue(c, topic, self.one_of(&[0, 1, 2])) }),
            false => drop(unsafe { mgos_mqtt_conn_unsubscribe_queue(c, topic) }),
        }
    }

    unsafe fn reconfigure(&self, c: *mut mgos_mqtt_conn) {
        match self.below(5) {
            0 => drop(self.with_config(|config| unsafe { mgos_mqtt_conn_set_config(c, config) })),
            1 => drop(self.with_options(|options| unsafe { mgos_mqtt_conn_set_options(c, options) })),
            2 => {
                let client_id = self.one_of(&[c"c", c"d"]);
                unsafe { mgos_mqtt_conn_set_server(c, null(), client_id.as_ptr(), null(), null()) };
            }
            3 => drop(unsafe {
                mgos_mqtt_conn_set_will(c, self.topic(), null(), 0, self.one_of(&[0, 1]), self.flag())
            }),
            _ => unsafe { mgos_mqtt_conn_set_max_qos(c, self.one_of(&[2, 1, 0, -1])) },
        }
    }

    /// Waits that do not wait; in a callback they are refused.
    unsafe fn wait(&self, c: *mut mgos_mqtt_conn, inside: bool) {
        let token = self.tokens.borrow().last().copied().unwrap_or(1);
        let result = match self.below(5) {
            0 => unsafe { mgos_mqtt_conn_connect_wait(c, 0) },
            1 => unsafe { mgos_mqtt_conn_disconnect_wait(c, 0) },
            2 => unsafe { mgos_mqtt_conn_flush(c, 0) },
            3 => unsafe { mgos_mqtt_conn_wait(c, token, 0) },
            _ => unsafe { mgos_mqtt_loop_poll(self.loops.get()[0], 0) },
        };
        assert!(!inside || result < 0, "waited inside of a callback: {result}");
    }

    unsafe fn token(&self, c: *mut mgos_mqtt_conn) {
        let tokens = self.tokens.borrow().clone();
        let at = usize::from(self.ask(|input| input.byte()));
        let token = tokens.get(at % tokens.len().max(1)).copied().unwrap_or(at as u64);
        unsafe {
            mgos_mqtt_conn_outcome(c, token);
            mgos_mqtt_conn_token(c, at as u16);
            mgos_mqtt_conn_cancel(c, token);
        }
    }

    unsafe fn read(&self, c: *mut mgos_mqtt_conn) {
        let mut text = [0; 2048];
        unsafe {
            mgos_mqtt_conn_is_connected(c);
            mgos_mqtt_conn_num_unsent_bytes(c);
            mgos_mqtt_conn_pending_subscriptions(c);
            mgos_mqtt_conn_metrics(c, text.as_mut_ptr(), self.one_of(&[2048, 0, 10]));
            mgos_mqtt_conn_nc(c);
            mgos_mqtt_conn_get_packet_id(c);
        }
    }

    unsafe fn of_loop(&self, inside: bool) {
        let loop_ = self.loops.get()[usize::from(self.flag())];
        match self.below(4) {
            0 => drop(unsafe { mgos_mqtt_loop_break(loop_) }),
            1 => drop(unsafe { mgos_mqtt_loop_timeout(loop_) }),
            2 => {
                let data = self.give(false, true);
                let level = self.one_of(&[MGOS_MQTT_LOG_DEBUG, MGOS_MQTT_LOG_ERROR, 7]);
                let result =
                    unsafe { mgos_mqtt_loop_set_log(loop_, level, Some(on_log), data, Some(take_back)) };
                self.accepted(data, result);
            }
            _ => {
                let result = unsafe { mgos_mqtt_loop_process(loop_) };
                assert_eq!(result == 0, !inside);
            }
        }
    }
}

// -- callbacks ----------------------------------------------------------------------------------

/// Every event's values may be asked for, whatever the event.
unsafe fn read_event(event: *const mgos_mqtt_event) {
    let mut len = 0;
    unsafe {
        assert_eq!(mgos_mqtt_event_kind(event).count_ones(), 1);
        let topic = mgos_mqtt_event_topic(event, &mut len);
        read_bytes(topic.cast(), len);
        let payload = mgos_mqtt_event_payload(event, &mut len);
        read_bytes(payload.cast(), len);
        for i in 0..mgos_mqtt_event_num_filters(event) {
            let filter = mgos_mqtt_event_filter(event, i, &mut len);
            read_bytes(filter.cast(), len);
            mgos_mqtt_event_filter_code(event, i);
        }
        mgos_mqtt_event_qos(event);
        mgos_mqtt_event_size(event);
        mgos_mqtt_event_packet_id(event);
        mgos_mqtt_event_code(event);
        mgos_mqtt_event_error(event);
        mgos_mqtt_event_token(event);
        mgos_mqtt_event_outcome(event);
        mgos_mqtt_event_attempt(event);
    }
}

unsafe fn read_message(message: *const mgos_mqtt_msg) {
    let mut len = 0;
    unsafe {
        let topic = mgos_mqtt_msg_topic(message, &mut len);
        assert_eq!(CStr::from_ptr(topic).count_bytes(), len);
        let payload: *const u8 = mgos_mqtt_msg_payload(message, &mut len).cast();
        assert_eq!(*payload.add(len), 0);
        read_bytes(payload, len);
        assert!(mgos_mqtt_msg_size(message) >= len);
    }
}

/// Touches them all, so that an address sanitizer sees what may not be touched.
unsafe fn read_bytes(start: *const u8, len: usize) {
    if !start.is_null() {
        let bytes = unsafe { std::slice::from_raw_parts(start, len) };
        std::hint::black_box(bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte)));
    }
}

unsafe extern "C" fn on_event(c: *mut mgos_mqtt_conn, event: *const mgos_mqtt_event, data: *mut c_void) {
    let _ = c;
    WORLD.with(|world| {
        world.called(data);
        unsafe { read_event(event) };
        world.calls();
        // The event outlives what the handler did.
        unsafe { read_event(event) };
    });
}

unsafe extern "C" fn on_mongoose(nc: *mut mg_connection, _: c_int, _: *mut c_void, data: *mut c_void) {
    WORLD.with(|world| {
        world.called(data);
        assert!(!nc.is_null());
        world.calls();
    });
}

unsafe extern "C" fn on_log(_: c_int, _: c_int, text: *const c_char, data: *mut c_void) {
    WORLD.with(|world| {
        world.called(data);
        assert!(!unsafe { CStr::from_ptr(text) }.to_bytes().contains(&b'\n'));
        world.calls();
    });
}

unsafe extern "C" fn take_back(data: *mut c_void) {
    WORLD.with(|world| {
        let mut given = world.given.borrow_mut();
        let given = &mut given[data as usize - 1];
        assert!(!given.taken_back, "taken back twice");
        given.taken_back = true;
    });
}
