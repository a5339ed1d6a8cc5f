//! SCRAM-SHA-256 in CONNECT and AUTH (MQTT 5.0 §4.12): the library answers the server by itself, and a helper thread does the
//! hashing. The session holds the server to its own proof: see `Session::demand_proof`.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::state::params::ConnectParams;
use crate::client::state::scram::{Scram, Step};
use crate::config::Authentication;
use crate::driver::{TaskError, Turn};
use crate::error::{Code, Trouble};
use crate::scram::{Login, METHOD};
use crate::sync::MutexGuard;
use crate::wire::{
    Carrier, PacketType, Properties, Property, PropertyBlock, PropertyId, PropertyValue, RawProperties,
    Version, reason,
};

/// The properties that carry a message of the exchange.
fn method_and(data: &[u8]) -> [Property<'_>; 2] {
    [
        (PropertyId::AuthenticationMethod, PropertyValue::Utf8(METHOD)),
        (PropertyId::AuthenticationData, PropertyValue::Binary(data)),
    ]
}

/// These properties, and a message of the exchange.
fn block(properties: Properties<'_>, data: &[u8], packet: PacketType) -> Result<PropertyBlock, Code> {
    let mut list = Vec::from_iter(&properties);
    list.extend(method_and(data));
    PropertyBlock::new(Properties::from_list(&list), Carrier::Packet(packet)).map_err(|_| Code::BadArgument)
}

impl State {
    /// The properties of a CONNECT with which the client begins to prove who it is, instead of carrying the password;
    /// `None` if it is to carry that.
    pub(in crate::client) fn begin_scram(
        &mut self,
        params: &ConnectParams,
    ) -> Result<Option<PropertyBlock>, Trouble> {
        if self.profile.authentication == Authentication::Password {
            return Ok(None);
        }
        if params.version != Version::V5 {
            let text = "CONNECT is not one of MQTT 5.0, and no other version can carry SCRAM-SHA-256".into();
            return Err(Trouble { code: Code::NeedsV5, text });
        }
        let password = params.password.as_ref().map_or(&[][..], |password| password);
        let login = Login::new(params.user.as_deref().unwrap_or_default(), password)?;
        let hello = login.hello()?;
        let properties = block(params.connect_properties.properties(), hello.message(), PacketType::Connect)?;
        let extras = self.extras.try_make()?;
        extras.scram = Some(Box::new(Scram { login, step: Step::Said(hello) }));
        Ok(Some(properties))
    }

    /// Begins again on a connection that is up, with another login or the same. `properties` are further ones of that AUTH.
    /// If that cannot begin, an exchange that is under way goes on as it was.
    pub(in crate::client) fn repeat_scram(
        &mut self,
        login: Option<Login>,
        properties: Properties<'_>,
    ) -> Result<(), Trouble> {
        let Some(scram) = self.extras.get_mut().and_then(|extras| extras.scram.as_mut()) else {
            return Err(Code::Busy.into());
        };
        if [PropertyId::AuthenticationMethod, PropertyId::AuthenticationData]
            .iter()
            .any(|id| properties.get(*id).is_some())
        {
            return Err(Code::BadProperty.into());
        }
        let hello = login.as_ref().unwrap_or(&scram.login).hello()?;
        let properties = block(properties, hello.message(), PacketType::Auth)?;
        self.session.authenticate(reason::REAUTHENTICATE, properties.properties())?;
        scram.step = Step::Said(hello);
        if let Some(login) = login {
            scram.login = login;
        }
        Ok(self.session.demand_proof(None)?)
    }
}

impl Conn {
    /// The server's challenge: a thread makes the answer.
    pub(in crate::client) fn challenged<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        let most = st.profile.scram_max_iterations;
        let scram = st.extras.get_mut().and_then(|extras| extras.scram.as_mut());
        let (Some(scram), Some(source)) = (scram, self.source.get()) else { return st };
        let data = properties.properties().bytes(PropertyId::AuthenticationData).unwrap_or_default();
        let challenge = match std::mem::replace(&mut scram.step, Step::Rest) {
            Step::Said(hello) => hello.challenged(&scram.login, data, most),
            _ => {
                let text = format!("the server sent another challenge for {METHOD} instead of its proof");
                Err(Trouble { code: Code::AuthenticationFailed, text })
            }
        };
        match challenge {
            Ok(challenge) => {
                scram.step = Step::Proves(self.context.driver.compute(*source, move || challenge.answer()));
                st
            }
            Err(trouble) => self.fail_authentication(st, turn, trouble),
        }
    }

    /// The answer may be there.
    pub(in crate::client) fn take_proof<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if st.freed || st.link_broke || st.closing.is_some() {
            return st;
        }
        let Some(scram) = st.extras.get_mut().and_then(|extras| extras.scram.as_mut()) else { return st };
        let Step::Proves(task) = &scram.step else { return st };
        let Some(result) = task.take() else { return st };
        scram.step = Step::Rest;
        let sent = match result {
            Ok(answer) => {
                let properties = method_and(&answer.message);
                let properties = Properties::from_list(&properties);
                st.session
                    .authenticate(reason::CONTINUE_AUTHENTICATION, properties)
                    .and_then(|()| st.session.demand_proof(Some(&answer.proof)))
            }
            Err(TaskError::NoResources) => Err(Code::NoResources),
            Err(TaskError::Panicked) => Err(Code::Panic),
        };
        match sent {
            Ok(()) => st,
            Err(code) => {
                let text = format!("{METHOD} could not be answered: {}", code.text());
                self.fail_authentication(st, turn, Trouble { code, text })
            }
        }
    }

    fn fail_authentication<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        trouble: Trouble,
    ) -> MutexGuard<'a, State> {
        let phase = st.open_phase();
        let report = st.report(trouble.code, phase, 0, trouble.text);
        self.fail_with(st, turn, report, Some(reason::UNSPECIFIED_ERROR))
    }
}
