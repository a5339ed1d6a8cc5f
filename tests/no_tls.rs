//! Without the feature, what asks for TLS fails with its own error and never connects without it; WebSocket likewise.

#![cfg(not(feature = "tls"))]

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;

/// What becomes of each of these: the attempt fails with this error in this phase, and nobody connects.
fn refused(profiles: impl Fn(&str) -> Vec<Profile>, error: (Code, Phase)) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for profile in profiles(&format!("127.0.0.1:{port}")) {
        let context = Arc::new(Context::new(Loop::new(Clock::monotonic()).unwrap()));
        let profile = ProfileSource::Fixed(Arc::new(Profile { enable: true, ..profile }));
        let conn = Conn::new(context.clone(), 1, vec![profile], Settings::default()).unwrap();
        conn.connect().unwrap();
        let late = Some(context.driver.now() + Span::secs(20));
        assert!(context.driver.wait(late, &mut || conn.report().code != Code::Ok).unwrap());
        let report = conn.report();
        assert_eq!((report.code, report.phase), error, "{report:?}");
        assert!(listener.accept().is_err(), "nobody connected");
        conn.free(None);
    }
}

#[test]
fn nothing_is_sent() {
    let profiles = |address: &str| {
        vec![
            Profile { server: Some(format!("mqtts://{address}")), ..Profile::default() },
            Profile {
                server: Some(address.into()),
                ssl_ca_cert: Some("ca.pem".into()),
                ..Profile::default()
            },
        ]
    };
    refused(profiles, (Code::NotBuilt, Phase::Tls));
}

#[cfg(not(feature = "websocket"))]
#[test]
fn nothing_is_sent_without_websocket() {
    let profiles = |address: &str| {
        ["ws", "wss"]
            .map(|scheme| Profile { server: Some(format!("{scheme}://{address}")), ..Profile::default() })
            .into()
    };
    refused(profiles, (Code::NotBuilt, Phase::Usage));
}
