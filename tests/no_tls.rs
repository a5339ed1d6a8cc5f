//! Without the feature, what asks for TLS fails with its own error and never connects without it.

#![cfg(not(feature = "tls"))]

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;

#[test]
fn nothing_is_sent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let profiles = [
        Profile { server: Some(format!("mqtts://{address}")), ..Profile::default() },
        Profile { server: Some(address), ssl_ca_cert: Some("ca.pem".into()), ..Profile::default() },
    ];
    for profile in profiles {
        let context = Arc::new(Context::new(Loop::new(Clock::monotonic()).unwrap()));
        let profile = ProfileSource::Fixed(Arc::new(Profile { enable: true, ..profile }));
        let conn = Conn::new(context.clone(), 1, vec![profile], Settings::default()).unwrap();
        conn.connect().unwrap();
        let late = Some(context.driver.now() + Span::secs(20));
        assert!(context.driver.wait(late, &mut || conn.report().code != Code::Ok).unwrap());
        let report = conn.report();
        assert_eq!((report.code, report.phase), (Code::NotBuilt, Phase::Tls), "{report:?}");
        assert!(listener.accept().is_err(), "nobody connected");
        conn.free(None);
    }
}
