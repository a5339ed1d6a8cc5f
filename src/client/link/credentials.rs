//! The connect hook and the credentials hook: who else has a say in CONNECT, and when nobody says anything.
//!
//! Both may answer later, from any thread, and an answer is for the attempt that asked. The credentials hook names it
//! by its number; the connect hook of Mongoose OS cannot, and so sends for the attempt under way.

use std::sync::Arc;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{KeptReport, Report};
use crate::client::state::Link;
use crate::client::state::asking::{Asking, Credentials, CredentialsHook, Pending, Purpose};
use crate::client::state::log::Level;
use crate::client::state::params::ConnectParams;
use crate::config::Authentication;
#[cfg(feature = "websocket")]
use crate::config::{Secret, http_headers};
use crate::driver::Turn;
use crate::error::{Code, Phase, Trouble};
#[cfg(feature = "websocket")]
use crate::patience::Patience;
use crate::sync::MutexGuard;
use crate::time::Span;
#[cfg(feature = "websocket")]
use crate::transport::websocket::Upgrade;
#[cfg(feature = "websocket")]
use crate::transport::{Layer, Stream};
use crate::wire::{Carrier, PacketType, Properties, PropertyBlock, PropertyId, PropertyValue, reason};

/// With SCRAM the hook has none to give.
pub(in crate::client) const DATA_IS_OURS: &str =
    "the credentials hook answered with authentication data, which is the library's with SCRAM-SHA-256";

impl Conn {
    /// Sets or clears the credentials hook. What the old one answered is forgotten.
    pub fn set_credentials_hook(&self, hook: Option<Arc<dyn CredentialsHook<Conn>>>) -> Result<(), Code> {
        let asking = hook.map(|hook| {
            let renewed_with = Span::ZERO;
            Box::new(Asking { hook, known: None, pending: None, given: None, renew_at: None, renewed_with })
        });
        let mut st = self.usable()?;
        let extras = st.extras.try_make()?;
        let old = std::mem::replace(&mut extras.asking, asking);
        // Nobody is left to answer for the attempt under way.
        let pending = old.as_ref().and_then(|old| old.pending.as_ref());
        let unanswered = pending.is_some_and(|pending| !matches!(pending.purpose, Purpose::Renewal));
        if unanswered {
            self.end_attempt(
                &mut st,
                Code::HookAborted,
                "the credentials hook was replaced before it answered",
                Code::HookAborted.text(),
            );
        }
        drop(st);
        drop(old);
        Ok(())
    }

    /// The answer of the credentials hook for an attempt; `None` gives that up. [`Code::Stale`] if it is over or was
    /// answered.
    pub fn answer_credentials(&self, attempt: u64, credentials: Option<Credentials>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let waits = st.takes_credentials();
        let pending = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()?.pending.as_mut());
        match pending {
            Some(pending)
                if waits
                    && pending.answer.is_none()
                    && (pending.attempt == attempt || bug(Bug::LateAnswerTaken)) =>
            {
                pending.answer = Some(credentials);
            }
            _ => return Err(Code::Stale),
        }
        self.schedule(&mut st);
        Ok(())
    }

    /// The answer to the question of this attempt cannot be used: the attempt is over.
    pub fn refuse_answer(&self, attempt: u64, code: Code) {
        let Ok(mut st) = self.usable() else { return };
        let asked = |st: &State| st.extras.asking.as_ref()?.pending.as_ref().map(|pending| pending.attempt);
        if asked(&st) == Some(attempt) && (st.session.awaits_connect() || st.awaits_request()) {
            self.end_attempt(&mut st, code, "the credentials hook's answer was refused", code.text());
        }
    }

    /// A connect hook's CONNECT cannot be sent: the attempt is over, since nothing better will come.
    pub fn refuse_connect(&self, code: Code) {
        let Ok(mut st) = self.usable() else { return };
        if st.session.awaits_connect() {
            self.end_attempt(&mut st, code, "the connect hook's CONNECT was refused", code.text());
        }
    }

    /// The next turn takes the link down.
    pub(in crate::client) fn end_attempt(&self, st: &mut State, code: Code, what: &str, why: &str) {
        let report = st.report(code, Phase::Connect, 0, format!("{what}: {why}"));
        st.report = KeptReport::of(report);
        st.link_broke = true;
        self.schedule(st);
    }

    /// CONNECT is due: asks whoever has a say in it, then sends it.
    pub(in crate::client) fn make_connect<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        params: ConnectParams,
    ) -> MutexGuard<'a, State> {
        let now = (self.context.wall_clock)();
        let (server, attempt) = (st.profile.server.clone(), st.attempt_number());
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else {
            return self.hook_or_send(st, turn, params);
        };
        asking.pending = None;
        if let Some(known) = asking.given.take().or_else(|| asking.still_good(&server, now)) {
            return self.connect_with(st, turn, params, &known);
        }
        asking.pending = Some(Pending { attempt, purpose: Purpose::Connect(Box::new(params)), answer: None });
        let hook = asking.hook.clone();
        drop(st);
        hook.ask(self, attempt);
        drop(hook);
        self.take_answer(self.lock(), turn)
    }

    /// The request for a WebSocket is due, and there is a credentials hook: asks that, unless what it said last is still
    /// good. `below` waits meanwhile, below the layer with this number.
    #[cfg(feature = "websocket")]
    pub(in crate::client) fn ask_for_request<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        below: Stream,
        number: usize,
    ) -> MutexGuard<'a, State> {
        let now = (self.context.wall_clock)();
        let (server, attempt) = (st.profile.server.clone(), st.attempt_number());
        let (within, delivery) = (st.profile.timeouts.websocket, below.delivery(0, self.context.send_queue));
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else {
            return self.begin_layer(st, turn, below, number);
        };
        asking.pending = None;
        asking.given = asking.still_good(&server, now);
        if asking.given.is_some() {
            return self.begin_layer(st, turn, below, number);
        }
        asking.pending = Some(Pending { attempt, purpose: Purpose::Request, answer: None });
        let hook = asking.hook.clone();
        st.tries.make().handshake = Patience::of_stream(turn.now, within, delivery);
        st.link = Link::Handshaking { transport: below, layer: number };
        drop(st);
        hook.ask(self, attempt);
        drop(hook);
        self.take_answer(self.lock(), turn)
    }

    /// Goes on with the answer of the credentials hook, if it is there.
    pub(in crate::client) fn take_answer<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if !st.takes_credentials() || st.freed || st.link_broke {
            return st;
        }
        let server = st.profile.server.clone();
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else { return st };
        let Some(Pending { purpose, answer, .. }) =
            asking.pending.take_if(|pending| pending.answer.is_some())
        else {
            return st;
        };
        if matches!(purpose, Purpose::Renewal) {
            self.renew_with(&mut st, turn.now, answer.flatten());
            return st;
        }
        let Some(credentials) = answer.flatten() else {
            let text = "the credentials hook gave the attempt up".into();
            let phase = st.open_phase();
            let report = st.report(Code::HookAborted, phase, 0, text);
            return self.link_down(st, turn, report);
        };
        if credentials.valid_until > 0.0 {
            asking.known = Some((server, credentials.clone()));
        }
        let until = credentials.valid_until;
        match purpose {
            Purpose::Connect(params) => {
                self.warn_if_over(&mut st, until);
                self.connect_with(st, turn, *params, &credentials)
            }
            _ => {
                asking.given = Some(credentials);
                self.warn_if_over(&mut st, until);
                let Link::Handshaking { transport, layer } = std::mem::replace(&mut st.link, Link::Idle)
                else {
                    return st;
                };
                self.begin_layer(st, turn, transport, layer)
            }
        }
    }

    /// Says so if new credentials cannot be used again, though they are meant to.
    pub(in crate::client) fn warn_if_over(&self, st: &mut State, until: f64) {
        if until > 0.0 && until <= (self.context.wall_clock)() {
            let text = "the credentials end before they begin: is valid_until seconds since 1970?";
            self.note(st, Level::Warn, format_args!("{text}"));
        }
    }

    /// CONNECT with these credentials.
    fn connect_with<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut params: ConnectParams,
        credentials: &Credentials,
    ) -> MutexGuard<'a, State> {
        (params.user, params.password) = (credentials.user.clone(), credentials.password.clone());
        if let Some(data) = &credentials.auth_data {
            match with_data(params.connect_properties.properties(), data) {
                Some(block) => params.connect_properties = block,
                None => {
                    let text = match st.profile.authentication {
                        Authentication::ScramSha256 => DATA_IS_OURS,
                        Authentication::Password => {
                            "the credentials hook answered with authentication data, and properties of the options has no \
                             Authentication Method"
                        }
                    };
                    let report = st.report(Code::BadProperty, Phase::Connect, 0, text.into());
                    return self.link_down(st, turn, report);
                }
            }
        }
        self.hook_or_send(st, turn, params)
    }

    fn hook_or_send<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        params: ConnectParams,
    ) -> MutexGuard<'a, State> {
        if let Some(hook) = st.extras.hook.clone() {
            let text = format_args!("the connect hook is called, which is to send CONNECT");
            self.note(&mut st, Level::Debug, text);
            drop(st);
            hook.about_to_connect(self, &params);
            drop(hook);
            return self.lock();
        }
        let from_hook = st.extras.asking.is_some();
        if let Err(Trouble { code, text }) = st.append_connect(&params) {
            let text = match from_hook {
                true => format!("CONNECT could not be made with what the credentials hook answered: {text}"),
                false => format!("CONNECT could not be made from the configuration: {text}"),
            };
            let report = st.report(code, if from_hook { Phase::Connect } else { Phase::Usage }, 0, text);
            return self.link_down(st, turn, report);
        }
        st
    }
}

/// The properties of a CONNECT with other authentication data; `None` if they have no method for it.
fn with_data(properties: Properties<'_>, data: &[u8]) -> Option<PropertyBlock> {
    properties.text(PropertyId::AuthenticationMethod)?;
    let mut list = Vec::from_iter(&properties);
    list.retain(|(id, _)| *id != PropertyId::AuthenticationData);
    list.push((PropertyId::AuthenticationData, PropertyValue::Binary(data)));
    PropertyBlock::new(Properties::from_list(&list), Carrier::Packet(PacketType::Connect)).ok()
}

impl State {
    /// Whether an answer is of use: what it is for was not sent, or new credentials were asked for.
    fn takes_credentials(&self) -> bool {
        let pending = self.extras.asking.as_ref().and_then(|asking| asking.pending.as_ref());
        let is_open = matches!(self.link, Link::Open(_));
        self.closing.is_none()
            && match pending.map(|pending| &pending.purpose) {
                Some(Purpose::Request) => matches!(self.link, Link::Handshaking { .. }),
                Some(Purpose::Connect(_)) => is_open && self.session.awaits_connect(),
                Some(Purpose::Renewal) => is_open && self.session.is_up(),
                None => false,
            }
    }

    /// Whether the request for a WebSocket waits for the credentials hook.
    pub(in crate::client) fn awaits_request(&self) -> bool {
        let pending = self.extras.asking.as_ref().and_then(|asking| asking.pending.as_ref());
        pending.is_some_and(|pending| matches!(pending.purpose, Purpose::Request))
            && matches!(self.link, Link::Handshaking { .. })
    }

    /// The layer with this number, as the credentials hook wants it; `None`: as it is configured.
    #[cfg(feature = "websocket")]
    pub(in crate::client) fn layer_as_given(&self, number: usize) -> Option<Layer> {
        let given = self.extras.asking.as_ref()?.given.as_ref()?;
        let Layer::WebSocket(upgrade) = self.layers.get(number)? else { return None };
        let mut upgrade = Upgrade::clone(upgrade);
        if let Some(path) = &given.ws_path {
            upgrade.path.clone_from(path);
        }
        if let Some(headers) = &given.ws_headers {
            upgrade.headers = Secret(http_headers::write(headers));
        }
        Some(Layer::WebSocket(Arc::new(upgrade)))
    }

    /// The attempt is over: nobody waits for an answer any more. If the server did not like the credentials, or no CONNECT
    /// can be made with them, they are not used again.
    pub(in crate::client) fn forget_question(&mut self, report: &Report) {
        if let Some(extras) = self.extras.get_mut() {
            extras.scram = None;
        }
        if let Some(asking) = self.extras.get_mut().and_then(|extras| extras.asking.as_mut()) {
            (asking.pending, asking.given, asking.renew_at) = (None, None, None);
            let refused = matches!(
                report.code,
                Code::RefusedCredentials
                    | Code::RefusedNotAuthorized
                    | Code::AuthenticationFailed
                    | Code::WebSocketRefused
            );
            // Before it was sent.
            let unfit =
                report.phase == Phase::Connect && matches!(report.code, Code::BadProperty | Code::BadConfig);
            if refused || unfit || report.reason == Some(reason::NOT_AUTHORIZED) {
                asking.known = None;
            }
        }
    }

    /// Who should have sent CONNECT, and has not.
    pub(in crate::client) fn silent_hook(&self) -> Option<&'static str> {
        if !self.session.awaits_connect() {
            return None;
        }
        let asked = self.extras.asking.as_ref().is_some_and(|asking| asking.pending.is_some());
        Some(if asked {
            "the credentials hook did not answer in time: it has to call mgos_mqtt_conn_answer() within the \
             CONNACK time-out (connack_timeout_ms)"
        } else {
            "the connect hook did not answer in time: it has to call mg_send_mqtt_handshake_opt() within the \
             CONNACK time-out (connack_timeout_ms)"
        })
    }
}
