//! Opening a connection, step by step, and what happens when one ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::{Handlers, Recipients, State};
use crate::client::handlers::callback::Slot;
use crate::client::handlers::event::{Event, KeptReport, Kind, Report};
use crate::client::link::configure::session_limits;
use crate::client::link::race::{close, interleave};
use crate::client::state::log::Level;
use crate::client::state::params::ConnectParams;
use crate::client::state::profiles::UserCredentials;

use crate::client::state::Link;
pub(in crate::client) use crate::client::state::tries::PLAUSIBLE_TIME;
use crate::client::state::waiters::Attempt;
use crate::config::proxy::Proxy;
use crate::config::{Address, Profile, Redirect, Scheme};
use crate::driver::{LookupError, Turn};
use crate::error::{Code, Phase};
use crate::lazy_box::LazyBox;
use crate::sync::MutexGuard;
use crate::time::{Moment, Span};
use crate::transport::{Endpoint, Stream};
use crate::wire::{
    Carrier, PacketType, Properties, PropertyBlock, PropertyId, PropertyValue, RawProperties, Version,
};

impl Conn {
    /// Moves an attempt on as far as it goes now.
    pub(in crate::client) fn attempt<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if st.freed {
            return st;
        }
        let due = match st.link {
            Link::Idle => st.course.is_due(),
            Link::Waiting(at) => st.course.is_due() || at <= turn.now,
            _ => false,
        };
        if due && !self.puts_first_off(&mut st, turn) {
            st.course.begins();
            st = self.begin(st, turn);
            // A handler may have ended it again: then the turn that this asked for goes on.
            if st.freed || st.closing.is_some() {
                return st;
            }
        }
        if matches!(st.link, Link::Resolving { .. }) {
            st = self.resolving(st, turn);
        }
        if matches!(st.link, Link::Opening { .. }) {
            st = self.opening(st, turn);
        }
        if matches!(st.link, Link::Handshaking { .. }) {
            st = self.handshaking(st, turn);
        }
        st
    }

    /// Starts an attempt with the active profile.
    fn begin<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        st.tries = LazyBox::new();
        // It is for this attempt, or for none.
        let on = st.take_redirect();
        let Some((at, snapshot)) = st.next_profile(&self.context.common) else { return self.stay_down(st) };
        st.stats.attempts += 1;
        if at != st.reconnect.active() {
            st.reconnect.select(at);
        }
        let (common, mut client) = match snapshot {
            Ok(profile) => profile,
            Err(text) => return self.cannot_begin(st, turn, Code::BadConfig, text),
        };
        // The device id may have been set after the profile was made.
        if client.client_id.is_none()
            && let Some(id) = (self.context.default_client_id)()
        {
            Arc::make_mut(&mut client).client_id = Some(id.into());
        }
        // Stays shared with other connections unless something in it differs for this one.
        let mut profile = common.clone();
        if let Some(will) = &st.extras.will {
            Arc::make_mut(&mut profile).will.clone_from(will);
        }
        st.put_own_certificate(&mut profile);
        st.follow_redirect(&mut profile, on);
        let problem = st.whole(&profile, &client).validate().err();
        (st.profile, st.client) = (profile.clone(), client);
        if !Arc::ptr_eq(&profile, &common) {
            st.tries.make().common = Some(common);
        }
        let limits = session_limits(&st.settings, &profile);
        st.session.set_limits(self.context.common.limits.share(limits));
        if profile.require_time && (self.context.wall_clock)() < PLAUSIBLE_TIME {
            let text = "the clock is not set yet, and require_time is on".into();
            return self.cannot_begin(st, turn, Code::TimeNotSet, text);
        }
        if let Some(problem) = problem {
            return self.cannot_begin(st, turn, problem.code, problem.to_string());
        }
        let address = match profile.address() {
            Ok(address) => address,
            Err(error) => return self.cannot_begin(st, turn, error.code, error.to_string()),
        };
        let proxy = match profile.proxy(&address) {
            Ok(proxy) => proxy,
            Err(error) => return self.cannot_begin(st, turn, error.code, error.to_string()),
        };
        if let Some(missing) = missing_transport(&address, proxy.as_ref()) {
            return self.cannot_begin(st, turn, Code::NotBuilt, missing.into());
        }
        if self.context.log.wants(Level::Info) {
            let text = match address.scheme {
                Scheme::Unix => format!("connecting to unix:{}", address.path),
                _ => {
                    let through =
                        proxy.map(|proxy| format!(" through the proxy {}:{}", proxy.host, proxy.port));
                    format!("connecting to {}:{}{}", address.host, address.port, through.unwrap_or_default())
                }
            };
            self.note(&mut st, Level::Info, format_args!("{text}"));
        }
        st.generation += 1;
        let generation = st.generation;
        st = self.look_up(st, turn, &address);
        st = self.tell(st, |h, recipients| h.connection(Kind::Connecting, recipients), &Event::Connecting);
        if st.freed || st.closing.is_some() || st.generation != generation {
            return st;
        }
        self.prepare_tls(st, turn, address)
    }

    /// Asks for the addresses of the server, or of the proxy that leads to it. A local socket has none, and is opened in the same turn.
    pub(in crate::client) fn look_up<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &Turn<'_>,
        address: &Address,
    ) -> MutexGuard<'a, State> {
        if address.scheme == Scheme::Unix {
            st.tries.make().is_literal = true;
            st.tries.make().others.make().endpoints.push_back(Endpoint::Unix(address.path.as_str().into()));
            st.link = Link::Opening { race: Vec::new(), by: Moment::NONE };
            return st;
        }
        let Some(source) = self.source.get() else { return st };
        let (host, port) = st.first_hop();
        if st.extras.custom.is_some() {
            // Who opens the stream resolves the name.
            let name = format!("{host}:{port}");
            st.tries.make().is_literal = true;
            st.tries.make().others.make().endpoints.push_back(Endpoint::Custom(name.as_str().into()));
            st.link = Link::Opening { race: Vec::new(), by: Moment::NONE };
            return st;
        }
        self.note(&mut st, Level::Debug, format_args!("resolving {host:?}"));
        let lookup = self.context.driver.lookup(&host, port, *source);
        let by = after(turn, st.profile.timeouts.dns);
        st.tries.make().is_literal = host.parse::<IpAddr>().is_ok();
        st.link = Link::Resolving { lookup, by };
        st
    }

    /// Every profile is disabled: there is nothing to try.
    fn stay_down<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        st.course.give_up(Code::Disabled);
        st.link = Link::Idle;
        let text = format!("the connection is disabled: {}", st.why_disabled().unwrap_or_default());
        if st.session.unsent_bytes() > 0 {
            self.warn_if_nobody_opens(&mut st, "a published message");
        } else if st.session.pending_subscriptions() > 0 {
            self.warn_if_nobody_opens(&mut st, "a subscription");
        }
        st.report = KeptReport::of(st.report(Code::Disabled, Phase::Usage, 0, text));
        let number = st.attempt_number();
        self.tell_once(st, u64::MAX, Attempt::failed(Code::Disabled, number))
    }

    fn cannot_begin<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        code: Code,
        text: String,
    ) -> MutexGuard<'a, State> {
        let report = st.report(code, Phase::Usage, 0, text);
        self.link_down(st, turn, report)
    }

    fn resolving<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        let Link::Resolving { lookup, by } = &st.link else { return st };
        let host = match st.proxy_host() {
            Some(proxy) => proxy,
            None => st.shown_server(),
        };
        let (code, text) = match lookup.take() {
            Some(Ok(addresses)) if !addresses.is_empty() => {
                if self.context.log.wants(Level::Debug) {
                    let list: Vec<String> =
                        addresses.iter().map(|address| address.ip().to_string()).collect();
                    self.note(&mut st, Level::Debug, format_args!("resolved {host:?}: {}", list.join(", ")));
                }
                let options = &st.profile.route.socket;
                let mut within_reach: Vec<_> =
                    addresses.iter().copied().filter(|address| options.reaches(&address.ip())).collect();
                if let (true, Some(source)) = (within_reach.is_empty(), options.source_address) {
                    let [own, other] = if source.is_ipv4() { ["IPv4", "IPv6"] } else { ["IPv6", "IPv4"] };
                    let text =
                        format!("source_address {source} is {own}, and {host:?} has {other} addresses only");
                    let report = st.report(Code::SocketOption, Phase::Tcp, 0, text);
                    return self.link_down(st, turn, report);
                }
                // The one that was good last comes first, and the other family second.
                let known = st.known.get().and_then(|known| known.address_for(&st.profile));
                if let Some(at) = within_reach.iter().position(|address| Some(*address) == known) {
                    within_reach[..=at].rotate_right(1);
                }
                let mut endpoints = interleave(&within_reach);
                let first = endpoints.pop_front();
                if !endpoints.is_empty() {
                    st.tries.make().others.make().endpoints = endpoints;
                }
                return self.try_endpoint(st, turn, first);
            }
            Some(Ok(_)) => (Code::DnsFailed, format!("the name in {host:?} has no addresses")),
            Some(Err(LookupError::NoResources)) => {
                (Code::NoResources, "no thread could be started for the name service".into())
            }
            Some(Err(error @ LookupError::AllHang)) => {
                (Code::NoResources, format!("the name in {host:?} cannot be resolved: {error}"))
            }
            Some(Err(error)) => {
                (Code::DnsFailed, format!("the name in {host:?} cannot be resolved: {error}"))
            }
            None if by.is_over(turn.now) => {
                (Code::DnsTimeout, format!("the name service gave no answer for {host:?} in time"))
            }
            None => return st,
        };
        if let Some(known) = st.known.get().and_then(|known| known.address_for(&st.profile)) {
            self.note(&mut st, Level::Warn, format_args!("{text}; trying the last known address, {known}"));
            st.tries.make().others.make().no_name = Some(text);
            return self.try_endpoint(st, turn, Some(known.into()));
        }
        let report = st.report(code, Phase::Dns, 0, text);
        self.link_down(st, turn, report)
    }

    /// The transport is open: CONNECT, by the hook or by ourselves.
    pub(in crate::client) fn opened<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        transport: Stream,
    ) -> MutexGuard<'a, State> {
        if bug(Bug::BackoffResetEarly) {
            st.reconnect.succeeded();
        }
        st.partial = Vec::new();
        st.keep_peer();
        st.backlog = None;
        if st.tries.others.get().is_none() && st.tries.common.is_none() {
            // Nothing failed that would be reported: thousands that connect at the same time need not keep it.
            st.tries = LazyBox::new();
        }
        st.unread = transport.has_unread();
        let delivery = transport.delivery(0, self.context.send_queue);
        st.link = Link::Open(transport);
        let within = st.profile.timeouts.connack;
        st.session.opened(turn.now, within, delivery);
        let params = self.connect_params(&mut st);
        let another = st.serves_another(params.version);
        if st.settings.redirect == Redirect::Never {
            if another {
                st.session.forget_inbound();
            }
            st.session_is_there(another);
        } else {
            // One that only sends the client on does not take the session over.
            st.session.at_another_server(another);
        }
        self.make_connect(st, turn, params)
    }

    /// What CONNECT says without a hook.
    fn connect_params(&self, st: &mut State) -> ConnectParams {
        let profile = st.profile.clone();
        let version = st.version_to_try(self.context.driver.now());
        let UserCredentials { user, pass } = st.user_credentials(&st.client);
        let password = pass.filter(|pass| user.is_some() || !pass.is_empty());
        // A password goes with a user name, and if that is empty (MQTT 3.1.1 §3.1.2.8, §3.1.3.4); not in MQTT 5.0.
        let alone = version == Version::V5;
        let user = user.or_else(|| (password.is_some() && !alone).then(String::new));
        let client_id = match st.client.client_id.clone() {
            Some(id) => id.into(),
            // 3.1.1 lets the server choose an id for a clean session, and for no other; 3.1 never does.
            None if version == Version::V5 => st.assigned_id().unwrap_or_default(),
            None if version == Version::V311 => String::new(),
            None => format!("mgos-{:016x}", st.random()),
        };
        ConnectParams {
            version,
            client_id,
            clean_session: profile.clean_session,
            keep_alive: profile.keep_alive,
            user,
            password,
            will: profile.will.clone(),
            connect_properties: connect_properties(&profile, st.most_for_queue()),
        }
    }

    // -- up and down ----------------------------------------------------------------------------

    /// CONNACK 0 came.
    pub(in crate::client) fn link_up<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        session_present: bool,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        st.stats.came_up(turn.now);
        if st.settings.redirect != Redirect::Never {
            let another = st.serves_another(st.session.version());
            st.session_is_there(another);
        }
        st.session_is(session_present);
        if !st.is_elsewhere() {
            st.attempt_over();
        }
        st.course.came_up();
        st.session_present = session_present;
        st.keep_assigned_id(properties);
        let fail_back = st.settings.fail_back;
        if let Some(extras) = st.extras.get_mut() {
            extras.fail_back = LazyBox::new();
        }
        if st.reconnect.active() != 0 && fail_back > Span::ZERO {
            st.extras.make().fail_back.make().at = Some(turn.now + fail_back);
        }
        // It is empty, with the room that CONNECT took.
        st.session.shrink_output();
        if self.context.log.wants(Level::Info) {
            let text = if session_present { "connected, session resumed" } else { "connected, session new" };
            self.note(&mut st, Level::Info, format_args!("{text}"));
        }
        if let Some(silence) = st.session.found_path() {
            let text = format_args!(
                "the path to the server does not stay open that long without traffic: from now on PINGREQ is sent after {silence} s of silence"
            );
            self.note(&mut st, Level::Info, text);
        }
        let queued = st.session.queue_len();
        if queued > 0 {
            let text = format_args!("QoS 1 and 2 messages that are sent now, or again: {queued}");
            self.note(&mut st, Level::Debug, text);
        }
        self.connected.store(true, Ordering::Release);
        self.context.driver.notify();
        let generation = st.generation;
        st.version_accepted(turn.now);
        if st.extras.asking.is_some() {
            st.plan_renewal(turn.now, (self.context.wall_clock)());
        }
        let version = st.connect_version();
        let number = st.attempt_number();
        let attempt = Attempt { error: Code::Ok, connack: Some(0), session_present, number, version };
        let st = self.tell_result(st, attempt, properties);
        let st = self.tell_once(st, generation, attempt);
        let event = Event::ConnAck(properties);
        let st = self.tell(st, |h, recipients| h.connection(Kind::ConnAck, recipients), &event);
        if st.generation == generation { self.tell_expiry(st, turn) } else { st }
    }

    /// The attempt failed or the connection ended: tell the handlers, and plan what comes next.
    pub(in crate::client) fn link_down<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        report: Report,
    ) -> MutexGuard<'a, State> {
        let report = st.with_other_end(report);
        let version = st.connect_version();
        if let Some(known) = st.known.get_mut() {
            known.is_linked = false;
        }
        let link = std::mem::replace(&mut st.link, Link::Idle);
        match link {
            Link::Handshaking { mut transport, .. }
            | Link::Open(mut transport)
            | Link::Draining { mut transport, .. } => transport.deregister(turn.registry()),
            Link::Opening { race, .. } => close(race, turn.registry()),
            Link::Idle | Link::Waiting(_) | Link::Resolving { .. } => {}
        }
        let was_up = self.connected.swap(false, Ordering::AcqRel);
        let up_since = if was_up { st.stats.up_since() } else { Moment::NONE };
        let how = self.note_end(&mut st, turn, up_since, &report);
        if st.fails_probe(&report) {
            st.course.hurry();
        }
        let ended = st.generation;
        st.generation += 1;
        st.stats.went_down(turn.now, was_up, report.code, report.phase);
        let poison = st.close_session(was_up, report.code);
        if let Some(receive_queue) = st.extras.get_mut().and_then(|extras| extras.receive_queue.get_mut()) {
            receive_queue.closed();
        }
        self.settle(&mut st);
        let falls_back = self.falls_back(&mut st, version, &report);
        st.partial = Vec::new();
        st.backlog = None;
        st.closing = None;
        if let Some(extras) = st.extras.get_mut() {
            extras.close_until = None;
        }
        st.link_broke = false;
        if let Some(back) = st.extras.get_mut().and_then(|extras| extras.fail_back.get_mut()) {
            back.at = None;
        }
        st.attempt_over();
        st.forget_question(&report);
        st.expiry = LazyBox::new();
        st.report = KeptReport::of(report.copy());
        if self.context.log.wants(Level::Warn) {
            let level = if report.code == Code::ClosedByClient { Level::Info } else { Level::Warn };
            match report.phase {
                Phase::None => self.note(&mut st, level, format_args!("{}", report.text)),
                phase => self.note(&mut st, level, format_args!("{}: {}", phase.name(), report.text)),
            }
        }
        self.context.driver.notify();
        if was_up {
            st =
                self.tell(st, |h, recipients| h.connection(Kind::Disconnect, recipients), &Event::Disconnect);
            let event = Event::Close(&report);
            st = self.tell(st, |h, recipients| h.connection(Kind::Close, recipients), &event);
            st = self.tell(st, |h, recipients| h.slot(Slot::Offline, recipients), &event);
            st = self.tell(st, |h, recipients| h.all_subscribers(Kind::Close, recipients), &event);
            st = self.tell_poison(st, poison);
        } else {
            let (error, connack) = (report.code, report.connack);
            let number = st.attempt_number();
            let attempt = Attempt { error, connack, session_present: false, number, version };
            st = self.tell_result(st, attempt, report.properties.raw());
            // Who waits for one result gets that of the attempt that follows at once.
            st = if falls_back || st.is_sent_on() { st } else { self.tell_once(st, ended, attempt) };
        }
        if falls_back {
            st.course.hurry();
        }
        self.go_on_elsewhere(&mut st);
        self.plan(&mut st, turn, how);
        st
    }

    /// An attempt ended: the handlers, then the slot.
    fn tell_result<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        attempt: Attempt,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        let event = attempt.event(properties);
        let collect = |h: &mut Handlers, recipients: &mut Recipients| {
            h.connection(Kind::ConnectResult, recipients);
            h.slot(Slot::Connect, recipients);
        };
        self.tell(st, collect, &event)
    }
}

/// The properties of CONNECT: those of the configuration, and how long the session is to be kept. That is as MQTT 3.x
/// says it, unless they say something else: without `clean_session` for ever, with it until the link ends.
fn connect_properties(profile: &Profile, most: Option<u16>) -> PropertyBlock {
    let given = profile.connect_properties.properties();
    let expiry = (!profile.clean_session)
        .then_some((PropertyId::SessionExpiryInterval, PropertyValue::FourByte(u32::MAX)));
    let most = most.map(|most| (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(most)));
    let ours = || [expiry, most].into_iter().flatten().filter(|(id, _)| given.get(*id).is_none());
    if ours().next().is_none() {
        return profile.connect_properties.clone();
    }
    let mut list = Vec::from_iter(&given);
    list.extend(ours());
    let carrier = Carrier::Packet(PacketType::Connect);
    // What was checked before is right with one more of each.
    PropertyBlock::new(Properties::from_list(&list), carrier).unwrap_or_default()
}

/// What an address asks for and this library was built without.
pub(in crate::client) fn missing_transport(address: &Address, proxy: Option<&Proxy>) -> Option<&'static str> {
    if cfg!(not(feature = "proxy")) && proxy.is_some() {
        return Some("a proxy leads to this server, and this library was built without (feature proxy)");
    }
    match address.scheme {
        // TLS says so itself, if it was not built.
        Scheme::Ws | Scheme::Wss if cfg!(not(feature = "websocket")) => Some(
            "ws:// and ws_enable need a library that was built with WebSocket (feature websocket); without it, use mqtt:// or mqtts://",
        ),
        _ => None,
    }
}

pub(in crate::client) fn after(turn: &Turn<'_>, limit: Span) -> Moment {
    (limit > Span::ZERO).then(|| turn.now + limit).into()
}

impl State {
    /// Host and port of the server, or of the proxy that leads to it.
    pub(in crate::client) fn first_hop(&self) -> (String, u16) {
        // What is wrong with them was reported when the attempt began.
        let Ok(address) = self.profile.address() else { return Default::default() };
        match self.profile.proxy(&address).ok().flatten() {
            Some(proxy) => (proxy.host, proxy.port),
            None => (address.host, address.port),
        }
    }

    /// Whether it was found out that the link did not survive a change of the network: that is nothing to wait for.
    fn fails_probe(&self, report: &Report) -> bool {
        let lost = matches!(
            report.code,
            Code::KeepAliveTimeout | Code::ConnectionReset | Code::IoFailed | Code::ClosedByServer
        );
        lost && report.reason.is_none() && self.closing.is_none() && self.session.is_probing()
    }

    /// Whose name is looked up, if a proxy leads to the server.
    fn proxy_host(&self) -> Option<String> {
        let address = self.profile.address().ok().filter(|_| self.is_proxied())?;
        Some(format!("proxy {}", self.profile.proxy(&address).ok()??.host))
    }

    /// Whether who accepts the present CONNECT is not who has the session. A client of MQTT 3.1 without a name has another
    /// one each time.
    fn serves_another(&self, version: Version) -> bool {
        let unnamed = self.client.client_id.is_none() && version == Version::V31;
        self.session_of.as_ref().is_some_and(|(client, profile)| {
            unnamed || client.client_id != self.client.client_id || profile.server != self.profile.server
        })
    }

    /// The session is that with the server of the present attempt; `another` one has it no more.
    fn session_is_there(&mut self, another: bool) {
        if another {
            self.session_over();
        }
        let configured = self.tries.common.as_ref().filter(|_| !self.is_elsewhere());
        self.session_of = Some((self.client.clone(), configured.unwrap_or(&self.profile).clone()));
    }

    /// The client id that this server assigned before.
    fn assigned_id(&self) -> Option<String> {
        let (server, id) = &**self.extras.assigned.as_ref()?;
        (*server == self.profile.server).then(|| id.clone())
    }

    /// A client without an id has the one that the server assigned, on the next connection too (MQTT 5.0 §3.2.2.3.7).
    fn keep_assigned_id(&mut self, connack: RawProperties<'_>) {
        if let Some(id) = connack.properties().text(PropertyId::AssignedClientIdentifier) {
            let assigned = (self.profile.server.clone(), id.to_owned());
            self.extras.make().assigned = Some(Box::new(assigned));
        }
    }

    /// The attempt is over: drops what belonged to it alone.
    pub(in crate::client) fn attempt_over(&mut self) {
        if let Some(common) = self.tries.get_mut().and_then(|tries| tries.common.take()) {
            self.profile = common;
        }
        if self.tries.others.tried.is_empty() {
            self.tries = LazyBox::new();
        }
    }
}
