//! AUTH: enhanced authentication, with CONNECT and again later (MQTT 5.0 §4.12).

use crate::error::Code;
use crate::session::event::{Event, Failure};
use crate::session::output::encode_code;
use crate::session::state::five::{Exchange, Proof};
use crate::session::state::{Session, State};
use crate::wire::{self, Properties, PropertyId, Version, reason};

impl Session {
    /// Appends AUTH: with reason code 0x18 (Continue authentication) as the answer to the server's, or with 0x19
    /// (Re-authenticate) once the connection is up. The authentication method is that of CONNECT.
    ///
    /// [`Code::BadArgument`] if CONNECT had no method, or AUTH cannot say this; [`Code::NotConnected`] without a
    /// connection; [`Code::Busy`] if it is not the client's turn; [`Code::TooLarge`] if the server takes no
    /// packet of that size.
    pub fn authenticate(&mut self, reason: u8, properties: Properties<'_>) -> Result<(), Code> {
        let method = properties.text(PropertyId::AuthenticationMethod);
        if self.version != Version::V5 || self.five.method.is_none() || method != self.five.method.as_deref()
        {
            return Err(Code::BadArgument);
        }
        match (self.state, reason, self.five.exchange) {
            (State::Connecting | State::Up, reason::CONTINUE_AUTHENTICATION, Exchange::OurTurn) => {}
            (State::Up, reason::REAUTHENTICATE, Exchange::None) => {}
            (State::Connecting | State::Up, reason::CONTINUE_AUTHENTICATION | reason::REAUTHENTICATE, _) => {
                return Err(Code::Busy);
            }
            (State::Connecting | State::Up, ..) => return Err(Code::BadArgument),
            _ => return Err(Code::NotConnected),
        }
        self.check_closing_len(&properties)?;
        let auth = wire::Auth { reason, properties };
        self.out.append(|out| auth.encode(Version::V5, out)).map_err(encode_code)?;
        // It may have a secret in it.
        self.out.mark_secret();
        self.five.try_make()?.exchange = Exchange::ServersTurn;
        Ok(())
    }

    /// The authentication method of the present CONNECT, if it had one.
    pub fn authentication_method(&self) -> Option<&str> {
        self.five.method.as_deref()
    }

    /// From now on the server has to prove at the end of the exchange that it is the one that is meant, in the
    /// authentication data of its CONNACK or its AUTH with success: by this, or by this with more behind a comma. `None`:
    /// by something that the exchange has yet to bring. Otherwise the connection does not come up, or ends.
    pub fn demand_proof(&mut self, proof: Option<&[u8]>) -> Result<(), Code> {
        self.five.try_make()?.proof = proof.map_or(Proof::Awaited, |proof| Proof::Expected(proof.into()));
        Ok(())
    }

    /// The server says that the exchange has ended well.
    pub(super) fn check_proof(&self, properties: Properties<'_>) -> Result<(), Failure> {
        let data = properties.bytes(PropertyId::AuthenticationData).unwrap_or_default();
        let what = match &self.five.proof {
            Proof::NotAsked => return Ok(()),
            Proof::Expected(proof) => match data.strip_prefix(&**proof) {
                Some([] | [b',', ..]) => return Ok(()),
                _ if data.is_empty() => {
                    "the server has accepted the client without a proof that it knows the password"
                }
                _ => "the server's proof is wrong: it does not know the password, or somebody is in between",
            },
            Proof::Awaited => "the server accepted the client before the client had proved who it is",
        };
        Err(Failure::new(Code::AuthenticationFailed, what).because(reason::UNSPECIFIED_ERROR))
    }

    /// The server's AUTH, and the CONNACK with which it accepts the client, are about the method of CONNECT, if they say
    /// which.
    pub(super) fn check_method(&self, properties: Properties<'_>) -> Result<(), Failure> {
        match (properties.text(PropertyId::AuthenticationMethod), self.five.method.as_deref()) {
            (Some(_), None) => Err(Failure::protocol(
                "the server names an authentication method, and CONNECT had none [MQTT-4.12.0-6]",
            )),
            (Some(theirs), Some(ours)) if theirs != ours => Err(Failure::protocol(
                "the server names another authentication method than CONNECT [MQTT-4.12.0-5]",
            )),
            _ => Ok(()),
        }
    }

    /// The server's AUTH.
    pub(super) fn auth(&mut self, auth: &wire::Auth<'_>) -> Result<Event, Failure> {
        if self.five.exchange == Exchange::None {
            return Err(Failure::protocol("the server sent AUTH, and the client had not asked for it"));
        }
        self.check_method(auth.properties)?;
        let next = match (auth.reason, self.state, self.five.exchange) {
            (reason::CONTINUE_AUTHENTICATION, _, Exchange::OurTurn) => {
                return Err(Failure::protocol("the server sent AUTH twice, without waiting for an answer"));
            }
            (reason::CONTINUE_AUTHENTICATION, ..) => Exchange::OurTurn,
            // CONNACK says it before that.
            (reason::SUCCESS, State::Up | State::Closing, _) => {
                self.check_proof(auth.properties)?;
                Exchange::None
            }
            _ => return Err(Failure::protocol("AUTH has a reason code that is not the server's to send")),
        };
        if let Some(five) = self.five.get_mut() {
            five.exchange = next;
        }
        Ok(Event::Auth(auth.reason))
    }
}
