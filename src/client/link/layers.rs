//! The layers between the socket and MQTT: from the socket upwards, one after the other greets its peer.

#[cfg(feature = "websocket")]
use std::sync::Arc;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::config::{Address, Timeouts};
#[cfg(feature = "websocket")]
use crate::config::{Secret, http_headers};
use crate::driver::Turn;
use crate::error::{Code, Phase};
use crate::patience::Patience;
use crate::sync::MutexGuard;
use crate::time::{Span, Time};
#[cfg(feature = "websocket")]
use crate::transport::websocket::Upgrade;
use crate::transport::{Elsewhere, Layer, LayerError, SendQueue, Stream};

/// How long the handshake of a layer may take.
fn limit(layer: &Layer, timeouts: &Timeouts) -> Span {
    match layer {
        Layer::Tls(_) => timeouts.tls,
        #[cfg(feature = "proxy")]
        Layer::ProxyTls(..) | Layer::Proxy(_) => timeouts.proxy,
        #[cfg(feature = "websocket")]
        Layer::WebSocket(_) => timeouts.websocket,
    }
}

impl Conn {
    /// Whether the connection runs over TLS to the server, and over WebSocket.
    #[cfg(feature = "capi")]
    pub fn runs_over(&self) -> (bool, bool) {
        let st = self.lock();
        (st.is_secured(), st.layers.iter().any(|layer| layer.phase() == Phase::WebSocket))
    }

    /// The stream is open below the layer with this number: puts that one on it. Above the last one follows CONNECT.
    pub(in crate::client) fn begin_layer<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        below: Stream,
        number: usize,
    ) -> MutexGuard<'a, State> {
        #[cfg(feature = "websocket")]
        let given = st.layer_as_given(number);
        #[cfg(feature = "websocket")]
        if given.is_none()
            && st.extras.asking.is_some()
            && matches!(st.layers.get(number), Some(Layer::WebSocket(_)))
        {
            return self.ask_for_request(st, turn, below, number);
        }
        #[cfg(not(feature = "websocket"))]
        let given: Option<Layer> = None;
        let Some(layer) = given.as_ref().or_else(|| st.layers.get(number)) else {
            return self.opened(st, turn, below);
        };
        let within = limit(layer, &st.profile.timeouts);
        match layer.begin(below, &st.host_for(layer)) {
            Ok(transport) => {
                let delivery = transport.delivery(0, self.context.send_queue);
                st.tries.make().handshake = Patience::of_stream(turn.now, within, delivery);
                st.link = Link::Handshaking { transport, layer: number };
                st
            }
            Err(error) => {
                let report = st.layer_report(&error);
                let report = st.of_layer(number, report);
                self.link_down(st, turn, report)
            }
        }
    }

    /// Goes on with the handshakes, as far as they go now.
    pub(in crate::client) fn handshaking<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        st = self.take_answer(st, turn);
        loop {
            if st.awaits_request() {
                if !st.freed
                    && st.closing.is_none()
                    && st.handshake_is_late(turn.now, self.context.send_queue)
                {
                    let text = "the credentials hook did not answer in time: it has to call mgos_mqtt_conn_answer() within the \
                                time-out of the request for a WebSocket (ws_timeout_ms)";
                    let report = st.report(Code::HookTimeout, Phase::WebSocket, 0, text.into());
                    return self.link_down(st, turn, report);
                }
                return st;
            }
            let state = &mut *st;
            let Link::Handshaking { transport, layer } = &mut state.link else { return st };
            let number = *layer;
            let outcome = if state.extras.signer.is_some() {
                // It may call the application, which signs.
                let mut taken = std::mem::replace(transport, Elsewhere.into());
                let generation = state.generation;
                drop(st);
                let outcome = taken.handshake();
                st = self.lock();
                let same = st.generation == generation;
                let Link::Handshaking { transport, .. } = &mut st.link else { return st };
                if !same {
                    return st;
                }
                *transport = taken;
                if st.freed || st.closing.is_some() {
                    return st;
                }
                outcome
            } else {
                transport.handshake()
            };
            let report = match outcome {
                Ok(true) => {
                    let Link::Handshaking { transport, .. } = std::mem::replace(&mut st.link, Link::Idle)
                    else {
                        return st;
                    };
                    self.note_handshake(&mut st, &transport, number);
                    st = self.begin_layer(st, turn, transport, number + 1);
                    continue;
                }
                Ok(false) if !st.handshake_is_late(turn.now, self.context.send_queue) => return st,
                Ok(false) => st.late_report(number),
                Err(error) => {
                    let report = st.io_report(&error);
                    st.of_layer(number, report)
                }
            };
            return self.handshake_failed(st, turn, report);
        }
    }

    /// What the handshake settled. The certificate of a proxy is not the server's.
    fn note_handshake(&self, st: &mut State, transport: &Stream, number: usize) {
        if let Some(ends) = transport.expiry().filter(|_| !st.is_of_proxy(number)) {
            st.expiry.make().ends = ends;
        }
        if self.context.log.wants(Level::Info)
            && let Some(text) = transport.describe()
        {
            self.note(st, Level::Info, format_args!("{text}"));
        }
    }

    /// Goes on to the next endpoint of the server, if there is one: behind each there may be another server.
    fn handshake_failed<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut report: Report,
    ) -> MutexGuard<'a, State> {
        let others = !st.tries.others.endpoints.is_empty();
        let Some(target) = st.tries.target.clone().filter(|_| others) else {
            return self.link_down(st, turn, report);
        };
        if let Link::Handshaking { mut transport, .. } = std::mem::replace(&mut st.link, Link::Idle) {
            transport.deregister(turn.registry());
        }
        self.note(&mut st, Level::Warn, format_args!("{target}: {}; trying the next address", report.text));
        let tries = st.tries.make();
        let tried = &mut tries.others.make().tried;
        *tried = std::mem::take(&mut report.tried);
        tried.push((target, report.os));
        tries.insecure = Some(Box::new(report));
        self.next_endpoint(st, turn)
    }
}

impl State {
    /// The layers of this attempt, from the socket upwards: those of a proxy, TLS, which was made before, and WebSocket.
    pub(in crate::client) fn stack(
        &self,
        address: &Address,
        proxy: Vec<Layer>,
        tls: Option<Layer>,
    ) -> Box<[Layer]> {
        let mut layers = Vec::new();
        layers.extend(proxy);
        layers.extend(tls);
        #[cfg(feature = "websocket")]
        if address.scheme.is_websocket() {
            layers.push(Layer::WebSocket(self.upgrade(address)));
        }
        let _ = address;
        layers.into_boxed_slice()
    }

    #[cfg(feature = "websocket")]
    fn upgrade(&self, address: &Address) -> Arc<Upgrade> {
        let headers =
            self.profile.route.ws_headers.as_ref().map_or_else(String::new, |text| http_headers::write(text));
        Arc::new(Upgrade { host: address.authority(), path: address.path.clone(), headers: Secret(headers) })
    }

    /// The layer that greets its peer.
    pub(in crate::client) fn layer(&self) -> Option<&Layer> {
        match self.link {
            Link::Handshaking { layer, .. } => self.layers.get(layer),
            _ => None,
        }
    }

    /// Whom a layer is to reach.
    fn host_for(&self, layer: &Layer) -> String {
        match (layer, &self.profile.tls.server_name) {
            (Layer::Tls(_), Some(name)) => name.clone(),
            // It was valid when the attempt began.
            (Layer::Tls(_), None) => {
                self.profile.address().map_or_else(|_| String::new(), |address| address.host)
            }
            #[cfg(feature = "websocket")]
            (Layer::WebSocket(_), _) => String::new(),
            #[cfg(feature = "proxy")]
            (Layer::ProxyTls(..) | Layer::Proxy(_), _) => String::new(),
        }
    }

    /// Whether the layer with this number speaks to a proxy.
    fn is_of_proxy(&self, number: usize) -> bool {
        self.layers.get(number).is_some_and(|layer| layer.phase() == Phase::Proxy)
    }

    /// Whether the way to the server leads through a proxy.
    pub(in crate::client) fn is_proxied(&self) -> bool {
        (0..self.layers.len()).any(|number| self.is_of_proxy(number))
    }

    /// The report of an error of the layer with this number: TLS speaks of the server, and may mean a proxy.
    fn of_layer(&self, number: usize, mut report: Report) -> Report {
        if self.is_of_proxy(number) && report.phase == Phase::Tls {
            (report.code, report.phase) = (Code::ProxyTls, Phase::Proxy);
            report.text = format!("{}, as if it were the server: {}", Code::ProxyTls.text(), report.text);
        }
        report
    }

    /// Whether the handshake takes too long. Bytes that are still on their way to the server, certificates for instance,
    /// are no reason to give it up.
    fn handshake_is_late(&mut self, now: Time, queue: SendQueue) -> bool {
        let (Link::Handshaking { transport, .. }, Some(tries)) = (&self.link, self.tries.get_mut()) else {
            return false;
        };
        if tries.handshake.look_at().is_none_or(|at| now < at) {
            return false;
        }
        let delivery = transport.delivery(0, queue);
        tries.handshake.is_over(now, Time::ZERO, 0, delivery)
    }

    /// The handshake of the layer with this number takes too long.
    fn late_report(&mut self, number: usize) -> Report {
        let layer = &self.layers[number];
        let (code, phase) = (layer.too_late(), layer.phase());
        let target = self.tries.target.as_ref().map(|target| format!(" by {target}")).unwrap_or_default();
        self.report(code, phase, 0, format!("{}{target}", code.text()))
    }

    /// The error of a layer.
    pub(in crate::client) fn layer_report(&mut self, error: &LayerError) -> Report {
        let phase = if error.phase == Phase::None { self.open_phase() } else { error.phase };
        let report = self.report(error.code, phase, 0, error.text.clone());
        Report { alert: error.alert, ..report }
    }
}
