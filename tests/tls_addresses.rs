//! A name with several addresses: behind each there may be another server.

#![cfg(feature = "tls")]

mod tls_support;

use std::ffi::{c_char, c_int};
use std::net::{Ipv4Addr, TcpListener};
use std::ptr::null_mut;

use libc::{AF_INET, SOCK_STREAM, addrinfo, sockaddr_in};
use mgos_mqtt::config::Secret;
use mgos_mqtt::error::{Code, Phase};
use tls_support::{Broker, Ca, Client, profile};

/// In place of the C library's, for this program: whatever is asked for has these two addresses.
///
/// # Safety
/// As of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    _: *const c_char,
    _: *const c_char,
    _: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    let mut next = null_mut();
    for last in [2, 1] {
        // SAFETY: numbers, for which zero is a value.
        let mut address: sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = AF_INET as _;
        address.sin_addr.s_addr = u32::from(Ipv4Addr::new(127, 0, 0, last)).to_be();
        next = Box::into_raw(Box::new(addrinfo {
            ai_flags: 0,
            ai_family: AF_INET,
            ai_socktype: SOCK_STREAM,
            ai_protocol: 0,
            ai_addrlen: size_of::<sockaddr_in>() as _,
            ai_canonname: null_mut(),
            ai_addr: Box::into_raw(Box::new(address)).cast(),
            ai_next: next,
        }));
    }
    // SAFETY: the caller has a place for it.
    unsafe { *result = next };
    0
}

/// # Safety
/// `list` is from the function above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeaddrinfo(mut list: *mut addrinfo) {
    while !list.is_null() {
        // SAFETY: made by Box above, and not freed before.
        let one = unsafe { Box::from_raw(list) };
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(one.ai_addr.cast::<sockaddr_in>()) });
        list = one.ai_next;
    }
}

const NAMES: &[&str] = &["broker.example"];

#[test]
fn a_failed_handshake_goes_on_to_the_next_address() {
    let (ca, other) = (Ca::new("CA"), Ca::new("Other CA"));
    let wrong = Broker::tls(&other.issue(NAMES), "");
    let mut p = profile(wrong.port);
    p.server = Some(format!("broker.example:{}", wrong.port));
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    // Nobody is at the second one: what the first one did wrong is the error, and both are named.
    let report = Client::new(p.clone()).attempt();
    assert_eq!((report.code, report.phase), (Code::TlsUntrusted, Phase::Tls), "{report:?}");
    let tried: Vec<_> = report.tried.iter().map(|(endpoint, _)| endpoint.to_string()).collect();
    assert_eq!(tried, ["127.0.0.1", "127.0.0.2"].map(|ip| format!("{ip}:{}", wrong.port)));
    assert_eq!(report.tried[0].1, 0, "no error of the system");
    assert_ne!(report.tried[1].1, 0);
    // The right server is there.
    let right =
        Broker::tls_at("127.0.0.2", wrong.port, &ca.issue(NAMES)).expect("the port is free on that address");
    let client = Client::new(p.clone());
    client.up();
    let log = client.log.lock().unwrap();
    let said = format!("127.0.0.1:{}: the issuer CN=Other CA", wrong.port);
    assert!(
        log.iter().any(|line| line.starts_with(&said) && line.ends_with("; trying the next address")),
        "{log:?}"
    );
    drop(log);
    drop(right);
    // Both are wrong: the last one counts.
    let _expired =
        Broker::tls_at("127.0.0.2", wrong.port, &ca.issue(&["a.example"])).expect("the port was ours");
    assert_eq!(Client::new(p).attempt().code, Code::TlsWrongName);
}

/// The same after a time-out, and with a server that closes.
#[test]
fn nor_does_silence_or_a_plain_server_end_the_attempt() {
    let ca = Ca::new("CA");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let _right =
        Broker::tls_at("127.0.0.2", port, &ca.issue(NAMES)).expect("the port is free on that address");
    let mut p = profile(port);
    p.server = Some(format!("broker.example:{port}"));
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    p.timeouts.tls = mgos_mqtt::time::Span::millis(500);
    Client::new(p.clone()).up();
    let _closing = std::thread::spawn(move || {
        for stream in silent.incoming().take(2) {
            drop(stream);
        }
    });
    Client::new(p).up();
}
