//! The two clients of a case: the device, whose link breaks, and the observer, whose link is never touched.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{OnSessionLoss, Profile, Settings, Timeouts};
use mgos_mqtt::driver::Loop;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;

use crate::book::Book;
use crate::proxy::{Proxy, State};
use crate::{HURRY, Kinds, LONG, Session};

struct Tell<F>(F);

impl<F: Fn(&Event<'_>) + Send + Sync> Callback<Conn> for Tell<F> {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        (self.0)(event);
    }
}

fn on(conn: &Conn, kinds: &[Kind], tell: impl Fn(&Event<'_>) + Send + Sync + 'static) {
    let kinds = kinds.iter().map(|kind| kind.bit()).sum();
    conn.add_handler(Identity(1, 1), kinds, Box::new(Tell(tell))).unwrap();
}

/// Time-outs that only what hangs can reach.
fn patient() -> Timeouts {
    let long = Span::secs(LONG.as_secs() * HURRY);
    Timeouts {
        dns: long,
        tcp: long,
        tls: long,
        proxy: long,
        websocket: long,
        connack: long,
        pingresp: Some(long),
    }
}

/// A client whose link is not touched: it sees what reaches the broker, and sends what the devices are to get.
pub(crate) fn observer(driver: &Loop, broker: SocketAddr, book: &Arc<Book>) -> Arc<Conn> {
    let profile = Profile {
        enable: true,
        server: Some(broker.to_string()),
        max_queue_length: 100_000,
        timeouts: patient(),
        ..Profile::default()
    };
    let context = Arc::new(Context::new(driver.clone()));
    let settings = Settings { in_flight_window: 60_000, ..Settings::default() };
    let conn = Conn::new(context, 1, vec![ProfileSource::Fixed(Arc::new(profile))], settings).unwrap();
    let (ready, is_ready) = channel();
    on(&conn, &[Kind::SubAck], move |_| ready.send(()).unwrap());
    let book = book.clone();
    let arrived = Tell(move |event: &Event<'_>| {
        let Event::Message(message) = event else { return };
        // out/<case>/<qos>, or out/<case>/end
        let mut levels = message.topic.split('/').skip(1);
        let case = levels.next().unwrap().parse().unwrap();
        match levels.next().unwrap() {
            "end" => book.note(case, |counts| counts.out_end = true),
            qos => book.note(case, |counts| counts.out[qos.parse::<usize>().unwrap()] += 1),
        }
    });
    conn.subscribe("out/#", QoS::ExactlyOnce, Identity(2, 2), Kind::Message.bit(), Box::new(arrived))
        .unwrap();
    conn.connect().unwrap();
    is_ready.recv_timeout(LONG).unwrap();
    conn
}

/// How the next connection is made. Only the one that is to be broken is quick to give a silent server up, so that no
/// other one ends by itself, however busy this machine is. And it takes more time after each attempt that
/// ended before its byte had come.
fn profile_now(profile: &Profile, proxy: &State) -> Profile {
    if !proxy.is_next() {
        return Profile { keep_alive: 60, timeouts: patient(), ..profile.clone() };
    }
    let scale = 1 << proxy.missed().min(8);
    let (short, answer) = (Span::secs(4 * scale), Span::secs(scale));
    let timeouts = Timeouts { tls: short, connack: short, pingresp: Some(answer), ..patient() };
    Profile { keep_alive: 1, timeouts, ..profile.clone() }
}

/// The client under test: connects through the proxy, and subscribes to what is sent to it.
pub(crate) fn device(
    driver: &Loop,
    case: usize,
    proxy: &Proxy,
    ca: &str,
    kind: &Kinds,
    book: &Arc<Book>,
) -> Arc<Conn> {
    let profile = Profile {
        enable: true,
        server: Some(proxy.address.to_string()),
        client_id: Some(format!("d{case:05}")),
        clean_session: kind.session == Session::Clean,
        reconnect_min: Span::millis(10),
        reconnect_max: Span::millis(10),
        protocol: kind.protocol,
        ssl_ca_cert: kind.tls.then(|| ca.to_owned()),
        ..Profile::default()
    };
    let state = proxy.state.clone();
    let source = ProfileSource::Live(Arc::new(move || Ok(profile_now(&profile, &state))));
    let context = Arc::new(Context::new(driver.clone()));
    // With a session that is lost at each connect, a message that may have arrived is not sent again.
    let settings = Settings { on_session_loss: OnSessionLoss::Report, ..Settings::default() };
    let conn = Conn::new(context, 1, vec![source], settings).unwrap();
    on(&conn, &[Kind::ConnAck, Kind::Outcome], {
        let book = book.clone();
        move |event| match event {
            Event::Outcome(ended) => book.note(case, |counts| {
                assert_eq!(counts.outcomes.insert(ended.token, ended.outcome), None);
            }),
            _ => book.note(case, |counts| counts.connects += 1),
        }
    });
    let book = book.clone();
    let arrived = Tell(move |event: &Event<'_>| match event {
        Event::SubAck { .. } => book.note(case, |counts| counts.subscribed = true),
        Event::Message(message) => match message.topic.rsplit('/').next().unwrap() {
            "end" => book.note(case, |counts| counts.in_end = true),
            qos => book.note(case, |counts| counts.into[qos.parse::<usize>().unwrap()] += 1),
        },
        _ => {}
    });
    let kinds = Kind::Message.bit() | Kind::SubAck.bit();
    let filter = format!("in/{case:05}/#");
    conn.subscribe(&filter, QoS::ExactlyOnce, Identity(2, 2), kinds, Box::new(arrived)).unwrap();
    conn
}
