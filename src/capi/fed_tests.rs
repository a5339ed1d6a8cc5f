//! The C interface around whole connections that are fed without a socket: what C hands in, what its handlers get, and
//! what lives how long. For Miri, which knows of each access to memory whether it may be (`scripts/test.sh miri`);
//! everything that C can see of it is tested from C.

use core::ffi::{c_char, c_int, c_void};
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use mio::{Registry, Token};

use super::config::c_struct;
use super::mgos_mqtt_connect::mgos_mqtt_conn_set_will;
use super::mgos_mqtt_error::mgos_mqtt_last_error;
use crate::capi::base::sized::Growing;
use crate::capi::bridge::create_loop::create_loop;
use crate::capi::bridge::handle::LOOPS;
use crate::capi::mgos_mqtt_conn::*;
use crate::capi::mgos_mqtt_event::*;
use crate::capi::mgos_mqtt_loop::{mgos_mqtt_loop_free, mgos_mqtt_loop_poll};
use crate::capi::mgos_mqtt_options::mgos_mqtt_conn_create_on;
use crate::capi::mgos_mqtt_publish::*;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_mongoose::{MG_EV_MQTT_PUBLISH, mg_connection, mg_mqtt_message};
use crate::capi::types::mgos_mqtt_conn::*;
use crate::capi::types::mgos_mqtt_event::*;
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_loop;
use crate::capi::types::mgos_mqtt_options::mgos_mqtt_options;
use crate::capi::types::mgos_mqtt_publish::*;
use crate::driver::Loop;
use crate::error::Code;
use crate::transport::{Endpoint, Stream, Transport};
use crate::wire::{self, ConnAck, Header, Packet, PacketType, Properties, Version};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);

/// Both directions of a link, and the token by which the loop knows it.
#[derive(Default)]
struct Ends {
    token: Option<Token>,
    to_client: VecDeque<u8>,
    to_server: Vec<u8>,
}

struct Wire(Arc<Mutex<Ends>>);

impl Transport for Wire {
    fn register(&mut self, _: &Registry, token: Token) -> Result<()> {
        self.0.lock().unwrap().token = Some(token);
        Ok(())
    }
    fn deregister(&mut self, _: &Registry) {}
    fn connected(&mut self) -> Result<bool> {
        Ok(true)
    }
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut ends = self.0.lock().unwrap();
        let n = buf.len().min(ends.to_client.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buf.iter_mut().zip(ends.to_client.drain(..n)).for_each(|(to, byte)| *to = byte);
        Ok(n)
    }
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().to_server.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn shutdown(&mut self) {}
    fn peer(&self) -> Option<Endpoint> {
        Some(SERVER.into())
    }
}

/// A server at the other end: it accepts, acknowledges, and sends each message back to its sender.
struct Server {
    ends: Arc<Mutex<Ends>>,
    driver: Loop,
    home: *mut mgos_mqtt_loop,
}

impl Server {
    fn new() -> Server {
        let ends = Arc::<Mutex<Ends>>::default();
        let mut home = create_loop().unwrap();
        let dialled = ends.clone();
        let context = Arc::get_mut(&mut home).and_then(|home| Arc::get_mut(&mut home.context)).unwrap();
        context.dial = Arc::new(move |_, _| Ok(Stream::Other(Box::new(Wire(dialled.clone())))));
        let driver = home.driver().clone();
        Server { ends, driver, home: LOOPS.insert(home).cast() }
    }

    /// Lets both ends do what they have to do, until `done`.
    fn until(&self, done: impl Fn() -> bool) {
        for _ in 0..100 {
            if done() {
                return;
            }
            // SAFETY: a living loop.
            assert_eq!(unsafe { mgos_mqtt_loop_poll(self.home, 0) }, 0);
            self.serve();
        }
        panic!("in vain");
    }

    fn serve(&self) {
        let mut ends = self.ends.lock().unwrap();
        let mut bytes = core::mem::take(&mut ends.to_server);
        while let Some(header) = Header::parse(&bytes).unwrap().filter(|header| header.total() <= bytes.len())
        {
            let body = &bytes[usize::from(header.header_len)..header.total()];
            let mut out = Vec::new();
            match Packet::decode(Version::V311, &header, body).unwrap() {
                Packet::Connect(connect) => {
                    assert_eq!(connect.will.map(|will| will.payload), Some(&b"gone"[..]));
                    let ack = ConnAck { session_present: false, code: 0, properties: Properties::EMPTY };
                    Packet::ConnAck(ack).encode(Version::V311, &mut out).unwrap();
                }
                Packet::Subscribe(subscribe) => {
                    let codes: Vec<u8> = subscribe.filters().map(|_| 1).collect();
                    let ack = wire::SubAck {
                        packet_id: subscribe.packet_id,
                        properties: Properties::EMPTY,
                        codes: &codes,
                    };
                    Packet::SubAck(ack).encode(Version::V311, &mut out).unwrap();
                }
                Packet::Publish(message) => {
                    wire::encode_ack(PacketType::PubAck, message.packet_id, &mut out).unwrap();
                    Packet::Publish(message).encode(Version::V311, &mut out).unwrap();
                }
                Packet::PubAck(_) | Packet::Disconnect(_) => {}
                other => panic!("{other:?}"),
            }
            ends.to_client.extend(out);
            bytes.drain(..header.total());
        }
        ends.to_server = bytes;
        if let Some(token) = ends.token {
            self.driver.announce(token, !ends.to_client.is_empty());
        }
    }

    fn connection(&self) -> *mut mgos_mqtt_conn {
        let mut profile = c_struct::defaults();
        (profile.enable, profile.server, profile.client_id) =
            (1, c"127.0.0.1:1883".as_ptr(), c"fed".as_ptr());
        let mut options = mgos_mqtt_options::zeros();
        (options.size, options.profiles, options.num_profiles) =
            (size_of::<mgos_mqtt_options>(), &profile, 1);
        // SAFETY: a living loop, and structures as their headers say.
        let conn = unsafe { mgos_mqtt_conn_create_on(self.home, 7, &options) };
        assert!(!conn.is_null());
        let will = b"gone".as_ptr().cast();
        // SAFETY: a living connection, a text, and four bytes.
        assert_eq!(unsafe { mgos_mqtt_conn_set_will(conn, c"will".as_ptr(), will, 4, 0, false) }, 0);
        conn
    }
}

/// What the handlers of a test saw; they get its address as their user data.
#[derive(Default)]
struct Seen {
    messages: Vec<Vec<u8>>,
    mongoose: Vec<Vec<u8>>,
    outcomes: Vec<c_int>,
    freed: u32,
    /// The connection is freed in the handler of a message.
    free_it: bool,
}

unsafe extern "C" fn freed(ud: *mut c_void) {
    // SAFETY: the address of a Seen that outlives the loop; nothing else refers to it now.
    unsafe { (*ud.cast::<Seen>()).freed += 1 };
}

unsafe extern "C" fn on_message(c: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, ud: *mut c_void) {
    let (mut topic_len, mut len) = (0, 0);
    // SAFETY: the event is that of this call, and so are its topic and payload, with a NUL byte behind; `ud` as above.
    unsafe {
        if mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE {
            return; // the answers that belong to the filter
        }
        let topic = mgos_mqtt_event_topic(ev, &mut topic_len).cast::<u8>();
        assert_eq!(core::slice::from_raw_parts(topic, topic_len), b"a/b");
        let payload = mgos_mqtt_event_payload(ev, &mut len).cast::<u8>();
        // Of the buffer, but not of the slice that the pointer is made from: Rust may not look there, C may.
        assert!(cfg!(miri) || *payload.add(len) == 0);
        let payload = core::slice::from_raw_parts(payload, len).to_vec();
        let seen = ud.cast::<Seen>();
        if (*seen).free_it {
            mgos_mqtt_conn_free(c);
        }
        // Still there: the event outlives the connection until this returns.
        assert_eq!(mgos_mqtt_event_kind(ev), MGOS_MQTT_EV_MESSAGE);
        let messages = &mut (*seen).messages;
        messages.push(payload);
    }
}

unsafe extern "C" fn on_mongoose(nc: *mut mg_connection, ev: c_int, data: *mut c_void, ud: *mut c_void) {
    if ev != MG_EV_MQTT_PUBLISH {
        return;
    }
    // SAFETY: a message, its payload, and `ud` as above; C code writes into its connection.
    unsafe {
        let message = &*data.cast::<mg_mqtt_message>();
        let payload = core::slice::from_raw_parts(message.payload.p.cast::<u8>(), message.payload.len);
        (*nc).user_data = ud;
        let seen = &mut *ud.cast::<Seen>();
        seen.mongoose.push(payload.to_vec());
    }
}

unsafe extern "C" fn on_outcome(_: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, ud: *mut c_void) {
    // SAFETY: as above.
    unsafe {
        let seen = &mut *ud.cast::<Seen>();
        seen.outcomes.push(mgos_mqtt_event_outcome(ev));
    }
}

/// Publishes `payload` to a/b, from memory that is gone when this returns.
fn publish(conn: *mut mgos_mqtt_conn, payload: &[u8], ud: *mut c_void) -> u64 {
    let (topic, payload) = (c"a/b".to_owned(), payload.to_vec());
    let message = mgos_mqtt_publication {
        size: size_of::<mgos_mqtt_publication>(),
        topic: topic.as_ptr(),
        payload: payload.as_ptr().cast(),
        payload_len: payload.len(),
        qos: 1,
        retain: false,
        expires_ms: 0,
        done: Some(on_outcome),
        ud,
        properties: core::ptr::null(),
        num_properties: 0,
        topic_alias: 0,
    };
    let mut token = 0;
    // SAFETY: a living connection and a complete structure.
    assert_eq!(unsafe { mgos_mqtt_conn_publish(conn, &message, &mut token) }, 0);
    token
}

/// A connection with handlers of each kind that has subscribed to a/+; what they saw.
fn subscribed(server: &Server, free_it: bool) -> (*mut mgos_mqtt_conn, *mut Seen) {
    let conn = server.connection();
    let seen = Box::into_raw(Box::new(Seen { free_it, ..Seen::default() }));
    // SAFETY: a living connection, functions of the right type, and user data that outlives the loop.
    unsafe {
        mgos_mqtt_conn_sub_ex(conn, c"a/#".as_ptr(), 1, Some(on_mongoose), seen.cast(), Some(freed));
        let filter = c"a/+".to_owned();
        let status =
            mgos_mqtt_conn_subscribe(conn, filter.as_ptr(), 1, Some(on_message), seen.cast(), Some(freed));
        assert_eq!(status, 0);
        assert!(mgos_mqtt_conn_connect(conn));
    }
    // SAFETY: a living connection.
    server.until(|| unsafe { mgos_mqtt_conn_is_connected(conn) });
    (conn, seen)
}

#[test]
fn messages_go_both_ways_and_everything_is_given_back() {
    let server = Server::new();
    let (conn, seen) = subscribed(&server, false);
    let token = publish(conn, b"one", seen.cast());
    publish(conn, b"", seen.cast());
    // SAFETY: handlers run only while the loop is polled, which is not now.
    server.until(|| {
        // SAFETY: as said.
        let seen = unsafe { &*seen };
        seen.messages.len() == 2 && seen.outcomes.len() == 2
    });
    // SAFETY: as above; the connection lives.
    unsafe {
        assert_eq!(mgos_mqtt_conn_outcome(conn, token), MGOS_MQTT_OUTCOME_ACKED);
        let payload = mg_str { p: b"two".as_ptr().cast::<c_char>(), len: 3 };
        assert_ne!(mgos_mqtt_conn_pub(conn, c"a/b".as_ptr(), payload, 1, false), 0);
    }
    // SAFETY: as above.
    server.until(|| {
        // SAFETY: as said.
        let seen = unsafe { &*seen };
        seen.messages.len() == 3
    });
    // SAFETY: the loop lives; with it goes the connection.
    assert_eq!(unsafe { mgos_mqtt_loop_free(server.home) }, 0);
    // A handle that is no more is an error and nothing worse.
    // SAFETY: the library looks the address up and does not follow it.
    unsafe {
        assert!(!mgos_mqtt_conn_connect(conn));
        assert_eq!(mgos_mqtt_last_error(), Code::BadArgument as c_int);
    }
    // SAFETY: made by Box; the destructors have run, so nobody has it any more.
    let seen = unsafe { Box::from_raw(seen) };
    assert_eq!(seen.messages, [&b"one"[..], b"", b"two"]);
    assert_eq!(seen.mongoose, seen.messages);
    assert_eq!((seen.outcomes.as_slice(), seen.freed), (&[MGOS_MQTT_OUTCOME_ACKED; 2][..], 2));
}

#[test]
fn a_handler_frees_its_own_connection() {
    let server = Server::new();
    let (conn, seen) = subscribed(&server, true);
    publish(conn, b"last", seen.cast());
    // SAFETY: handlers run only while the loop is polled, which is not now.
    server.until(|| unsafe { (*seen).freed == 2 });
    // SAFETY: the loop lives.
    assert_eq!(unsafe { mgos_mqtt_loop_free(server.home) }, 0);
    // SAFETY: made by Box; the destructors have run.
    let seen = unsafe { Box::from_raw(seen) };
    assert_eq!(seen.messages, [b"last"]);
    assert_eq!(seen.outcomes.len(), 1);
}

#[test]
fn structures_of_any_size() {
    let server = Server::new();
    // A caller with an older header has a shorter structure: nothing behind it is read. Boxed, so that its end is
    // the end of its memory.
    for (size, code) in
        [(0, Code::BadStructure), (8, Code::BadStructure), (mgos_mqtt_options::FIRST, Code::Ok)]
    {
        let mut bytes = vec![0_usize; size.div_ceil(8).max(1)].into_boxed_slice();
        bytes[0] = size;
        // SAFETY: as many bytes as it says, aligned, and zeros are valid.
        let conn = unsafe { mgos_mqtt_conn_create_on(server.home, 1, bytes.as_ptr().cast()) };
        assert_eq!(conn.is_null(), code != Code::Ok);
        if conn.is_null() {
            assert_eq!(mgos_mqtt_last_error(), code as c_int);
        }
        // SAFETY: NULL or a living connection.
        unsafe { mgos_mqtt_conn_free(conn) };
    }
    // SAFETY: the loop lives.
    assert_eq!(unsafe { mgos_mqtt_loop_free(server.home) }, 0);
}
