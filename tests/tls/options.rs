//! TLS through the C structures: sizes of older headers, values that are refused, PEM from memory.

#![cfg(all(feature = "tls", feature = "capi"))]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "all are calls of the C API with what its headers ask for"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Read;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::TcpListener;
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use crate::tls_support;
use crate::tls_support::{Broker, Ca};
use mgos_mqtt::capi::mgos_config::mgos_config_mqtt_set_defaults;
use mgos_mqtt::capi::mgos_mqtt_conn::{
    mgos_mqtt_conn_connect, mgos_mqtt_conn_free, mgos_mqtt_conn_is_connected, mgos_mqtt_conn_set_config,
};
use mgos_mqtt::capi::mgos_mqtt_connect::mgos_mqtt_conn_set_server;
use mgos_mqtt::capi::mgos_mqtt_error::{
    mgos_mqtt_conn_last_error, mgos_mqtt_conn_last_error_text, mgos_mqtt_last_error,
};
use mgos_mqtt::capi::mgos_mqtt_event::{
    mgos_mqtt_conn_on, mgos_mqtt_event_certificate, mgos_mqtt_event_days, mgos_mqtt_event_kind,
};
use mgos_mqtt::capi::mgos_mqtt_loop::{mgos_mqtt_loop_create, mgos_mqtt_loop_free, mgos_mqtt_loop_poll};
use mgos_mqtt::capi::mgos_mqtt_options::{mgos_mqtt_conn_create_on, mgos_mqtt_conn_set_certificate};
use mgos_mqtt::capi::types::mgos_config::mgos_config_mqtt;
use mgos_mqtt::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use mgos_mqtt::capi::types::mgos_mqtt_error::mgos_mqtt_error_info;
use mgos_mqtt::capi::types::mgos_mqtt_event::{
    MGOS_MQTT_CERTIFICATE_CLIENT, MGOS_MQTT_CERTIFICATE_SERVER, MGOS_MQTT_EV_CONNECTING,
    MGOS_MQTT_EV_TLS_EXPIRY, mgos_mqtt_event,
};
use mgos_mqtt::capi::types::mgos_mqtt_options::mgos_mqtt_options;
use mgos_mqtt::error::Code;

/// The options as the first header had them.
const FIRST_SIZE: usize = offset_of!(mgos_mqtt_options, tls_server_name);

fn options() -> mgos_mqtt_options {
    // SAFETY: numbers and pointers, for which zero is a value; the header says to do it so.
    let mut options: mgos_mqtt_options = unsafe { MaybeUninit::zeroed().assume_init() };
    options.size = size_of::<mgos_mqtt_options>();
    options
}

fn create(options: &mgos_mqtt_options) -> *mut mgos_mqtt_conn {
    // SAFETY: as the header says; the default loop.
    unsafe { mgos_mqtt_conn_create_on(null_mut(), 7, options) }
}

fn server(text: &CStr) -> mgos_config_mqtt {
    let mut cfg = MaybeUninit::zeroed();
    // SAFETY: filled by the call.
    let mut cfg: mgos_config_mqtt = unsafe {
        mgos_config_mqtt_set_defaults(cfg.as_mut_ptr());
        cfg.assume_init()
    };
    (cfg.enable, cfg.server) = (1, text.as_ptr());
    cfg
}

#[test]
fn an_older_header_goes_on_working() {
    let mut o = options();
    // What a caller of the first header has behind its structure is its own affair.
    o.tls_min_version = 99;
    o.size = FIRST_SIZE;
    let conn = create(&o);
    assert!(!conn.is_null());
    // SAFETY: a living connection, once.
    unsafe { mgos_mqtt_conn_free(conn) };
    o.size = FIRST_SIZE - 1;
    assert!(create(&o).is_null());
    assert_eq!(mgos_mqtt_last_error(), Code::BadStructure.number());
}

#[test]
fn values_that_are_refused() {
    let cfg = server(c"localhost");
    let refused = |change: &dyn Fn(&mut mgos_mqtt_options)| {
        let mut o = options();
        (o.profiles, o.num_profiles) = (&cfg, 1);
        change(&mut o);
        assert!(create(&o).is_null());
        mgos_mqtt_last_error()
    };
    for version in [-1, 1, 10, 11, 14] {
        assert_eq!(refused(&|o| o.tls_min_version = version), Code::BadArgument.number());
    }
    assert_eq!(refused(&|o| o.tls_insecure_skip_verification = 2), Code::BadArgument.number());
    for days in [-2, i32::MIN] {
        assert_eq!(refused(&|o| o.tls_expiry_days = days), Code::BadArgument.number());
    }
    assert_eq!(refused(&|o| o.tls_pins = c"sha256/AAAA".as_ptr()), Code::BadConfig.number());
    assert_eq!(refused(&|o| o.tls_crl_len = 5), Code::NullArgument.number());
    assert_eq!(refused(&|o| o.tls_crl_file = c"crl.pem".as_ptr()), Code::BadConfig.number());
    assert_eq!(refused(&|o| o.tls_ca_len = 5), Code::NullArgument.number());
    assert_eq!(refused(&|o| o.tls_alpn = c"mqtt,,x".as_ptr()), Code::BadConfig.number());
    assert_eq!(
        refused(&|o| (o.tls_key, o.tls_key_len) = (c"k".as_ptr().cast(), 1)),
        Code::BadConfig.number()
    );
    let star = mgos_config_mqtt { ssl_ca_cert: c"*".as_ptr(), ..server(c"localhost") };
    assert_eq!(refused(&|o| o.profiles = &star), Code::BadConfig.number());
}

/// What a server gets from a connection that is created with these options and is told afterwards where to connect to,
/// and as whom: the first bytes.
fn first_bytes(o: &mgos_mqtt_options) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = CString::new(listener.local_addr().unwrap().to_string()).unwrap();
    let accepted = std::thread::spawn(move || {
        let mut bytes = vec![0; 400];
        let n = listener.accept().unwrap().0.read(&mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    });
    let home = mgos_mqtt_loop_create();
    // SAFETY: as the header says.
    unsafe {
        let conn = mgos_mqtt_conn_create_on(home, 1, o);
        let cfg =
            mgos_config_mqtt { user: c"first".as_ptr(), will_topic: c"will".as_ptr(), ..server(c"unused") };
        assert!(mgos_mqtt_conn_set_config(conn, &cfg));
        let password = if o.password.is_null() { c"hunter2".as_ptr() } else { null() };
        assert_eq!(
            mgos_mqtt_conn_set_server(conn, address.as_ptr(), c"id".as_ptr(), c"user".as_ptr(), password),
            0
        );
        assert!(mgos_mqtt_conn_connect(conn));
        while !accepted.is_finished() {
            mgos_mqtt_loop_poll(home, 10);
        }
        mgos_mqtt_conn_free(conn);
        assert_eq!(mgos_mqtt_loop_free(home), 0);
    }
    accepted.join().unwrap()
}

// field: F-40
#[test]
fn options_hold_for_a_server_that_is_named_later() {
    const HANDSHAKE: u8 = 22;
    let mut o = options();
    (o.tls_insecure_skip_verification, o.protocol_version) = (1, 3);
    let bytes = first_bytes(&o);
    assert_eq!(bytes[0], HANDSHAKE, "{bytes:?}");
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));

    let mut o = options();
    o.protocol_version = 3;
    o.will_qos = 2;
    (o.password, o.password_len) = (b"\0\xff".as_ptr().cast(), 2);
    (o.will_payload, o.will_payload_len) = (b"\0gone".as_ptr().cast(), 5);
    let connect = b"\x10\x27\0\x06MQIsdp\x03\xd6\0\x3c\0\x02id\0\x04will\0\x05\0gone\0\x04user\0\x02\0\xff";
    assert_eq!(first_bytes(&o), connect);
}

/// What the handler of an expiry saw: whose certificate, and days.
static TOLD: Mutex<Vec<(c_int, c_int)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_expiry(_: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, _: *mut c_void) {
    let told = unsafe {
        assert_eq!(mgos_mqtt_event_kind(ev), MGOS_MQTT_EV_TLS_EXPIRY);
        (mgos_mqtt_event_certificate(ev), mgos_mqtt_event_days(ev))
    };
    TOLD.lock().unwrap().push(told);
}

/// A handler that fetches the certificate for the attempt that begins.
unsafe extern "C" fn on_connecting(conn: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, ud: *mut c_void) {
    let pair = unsafe { &*ud.cast::<[CString; 2]>() };
    let [certificate, key] = pair.each_ref().map(|text| (text.as_ptr().cast::<c_void>(), text.count_bytes()));
    unsafe {
        assert_eq!((mgos_mqtt_event_certificate(ev), mgos_mqtt_event_days(ev)), (0, 0));
        assert_eq!(mgos_mqtt_conn_set_certificate(conn, certificate.0, certificate.1, key.0, key.1), 0);
    }
}

#[test]
fn a_pinned_server_and_a_fresh_certificate_that_ends_soon() {
    let (ca, folder) = (Ca::new("CA"), tls_support::Folder::new());
    let file = folder.put("ca.pem", &ca.pem);
    // Within a hundred years, that is soon.
    let ends = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    let server_pair = ca.issue_with(&["broker.example"], ends);
    let broker = Broker::tls(&server_pair, &format!("cafile {file}\nrequire_certificate true"));
    let client = ca.issue_with(&["client"], ends);
    let own = [client.certificate, client.key].map(|text| CString::new(text).unwrap());
    let address = CString::new(format!("127.0.0.1:{}", broker.port)).unwrap();
    let cfg = server(&address);
    let mut o = options();
    (o.profiles, o.num_profiles) = (&cfg, 1);
    (o.tls_pins, o.tls_expiry_days) =
        (c"0000000000000000000000000000000000000000000000000000000000000000".as_ptr(), 36_500);
    let home = mgos_mqtt_loop_create();
    let run = |conn: *mut mgos_mqtt_conn| {
        let ud = own.as_ptr().cast_mut().cast();
        unsafe {
            assert_eq!(mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_CONNECTING, Some(on_connecting), ud, None), 0);
            assert_eq!(
                mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_TLS_EXPIRY, Some(on_expiry), null_mut(), None),
                0
            );
            assert!(mgos_mqtt_conn_connect(conn));
        }
        let mut text = [0 as c_char; 300];
        for _ in 0..1_000 {
            unsafe { mgos_mqtt_loop_poll(home, 20) };
            let len = unsafe { mgos_mqtt_conn_last_error_text(conn, text.as_mut_ptr(), text.len()) };
            if len > 0 || unsafe { mgos_mqtt_conn_is_connected(conn) } {
                break;
            }
        }
        unsafe { mgos_mqtt_conn_free(conn) };
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned()
    };
    let text = run(unsafe { mgos_mqtt_conn_create_on(home, 1, &o) });
    let (_, pin) = text.split_once("; its pin is ").expect(&text);
    // As its owner would: the sentence says what the server has.
    let pin = CString::new(format!("{pin}, {}", "00".repeat(32))).unwrap();
    o.tls_pins = pin.as_ptr();
    assert_eq!(run(unsafe { mgos_mqtt_conn_create_on(home, 1, &o) }), "");
    let told = TOLD.lock().unwrap();
    assert_eq!(
        told.iter().map(|(whose, _)| *whose).collect::<Vec<_>>(),
        [MGOS_MQTT_CERTIFICATE_CLIENT, MGOS_MQTT_CERTIFICATE_SERVER]
    );
    assert!(told[0].1 == told[1].1 && (0..36_500).contains(&told[0].1), "{told:?}");
    assert_eq!(unsafe { mgos_mqtt_loop_free(home) }, 0 as c_int);
}

/// proves: NM-12 NM-13 NM-14 NM-15
#[test]
fn mutual_tls_with_pem_in_memory() {
    let (ca, folder) = (Ca::new("CA"), tls_support::Folder::new());
    let file = folder.put("ca.pem", &ca.pem);
    let lines = format!("cafile {file}\nrequire_certificate true");
    let broker = Broker::tls(&ca.issue(&["broker.example"]), &lines);
    let pair = ca.issue(&["client"]);
    // As firmware has them: string constants, whose size counts the NUL.
    let texts = [ca.pem.as_str(), &pair.certificate, &pair.key].map(|text| CString::new(text).unwrap());
    let [ca, certificate, key] = &texts;
    let address = CString::new(format!("127.0.0.1:{}", broker.port)).unwrap();
    let cfg = server(&address);
    let mut o = options();
    (o.profiles, o.num_profiles) = (&cfg, 1);
    o.tls_server_name = c"broker.example".as_ptr();
    (o.tls_ca, o.tls_ca_len) = (ca.as_ptr().cast(), ca.count_bytes() + 1);
    // SAFETY: as the header says, here and below.
    let home = mgos_mqtt_loop_create();
    let attempt = |o: &mgos_mqtt_options| {
        let conn = unsafe { mgos_mqtt_conn_create_on(home, 1, o) };
        assert!(!conn.is_null());
        assert!(unsafe { mgos_mqtt_conn_connect(conn) });
        let mut info = mgos_mqtt_error_info {
            size: size_of::<mgos_mqtt_error_info>(),
            code: 0,
            phase: 0,
            os_errno: 0,
            connack: 0,
            tls_alert: 0,
            reason: 0,
        };
        let mut rounds = 0;
        while !unsafe { mgos_mqtt_conn_is_connected(conn) } && info.code == 0 {
            assert!(rounds < 1_000, "neither connected nor failed");
            rounds += 1;
            unsafe { mgos_mqtt_loop_poll(home, 20) };
            assert_eq!(unsafe { mgos_mqtt_conn_last_error(conn, &mut info) }, 0);
        }
        let mut text = [0 as c_char; 300];
        unsafe { mgos_mqtt_conn_last_error_text(conn, text.as_mut_ptr(), text.len()) };
        let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned();
        // An older header's structure ends before the alert.
        let mut older = mgos_mqtt_error_info { size: offset_of!(mgos_mqtt_error_info, tls_alert), ..info };
        older.tls_alert = -77;
        assert_eq!(unsafe { mgos_mqtt_conn_last_error(conn, &mut older) }, 0);
        assert_eq!((older.code, older.tls_alert), (info.code, -77));
        unsafe { mgos_mqtt_conn_free(conn) };
        (info.code, info.tls_alert, text)
    };
    let (code, alert, text) = attempt(&o);
    assert_eq!((code, alert), (Code::TlsClientCertificate.number(), 116), "{text}");
    assert!(text.starts_with("tls: the server wants a client certificate: set ssl_cert"), "{text}");
    (o.tls_cert, o.tls_cert_len) = (certificate.as_ptr().cast(), certificate.count_bytes() + 1);
    (o.tls_key, o.tls_key_len) = (key.as_ptr().cast(), key.count_bytes() + 1);
    o.tls_min_version = 13;
    assert_eq!(attempt(&o), (0, -1, String::new()));
    o.tls_ca = null_mut();
    o.tls_ca_len = 0;
    let (code, _, text) = attempt(&o);
    assert!(code == Code::TlsUntrusted.number() || code == Code::TlsBadFile.number(), "{text}");
    assert_eq!(unsafe { mgos_mqtt_loop_free(home) }, 0 as c_int);
}
