//! AUTH: enhanced authentication, with CONNECT and again later (MQTT 5.0 §4.12).

use crate::error::Code;
use crate::session::event::{Event, Failure};
use crate::session::output::encode_code;
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
        match (self.state, reason) {
            (State::Connecting | State::Up, reason::CONTINUE_AUTHENTICATION) if self.five.authenticates => {}
            (State::Up, reason::REAUTHENTICATE) if !self.five.authenticates => {}
            (State::Connecting | State::Up, reason::CONTINUE_AUTHENTICATION | reason::REAUTHENTICATE) => {
                return Err(Code::Busy);
            }
            (State::Connecting | State::Up, _) => return Err(Code::BadArgument),
            _ => return Err(Code::NotConnected),
        }
        self.check_closing_len(&properties)?;
        let auth = wire::Auth { reason, properties };
        self.out.append(|out| auth.encode(Version::V5, out)).map_err(encode_code)?;
        // It may have a secret in it.
        self.out.mark_secret();
        self.five.try_make()?.authenticates = true;
        Ok(())
    }

    /// The server's AUTH.
    pub(super) fn auth(&mut self, auth: &wire::Auth<'_>) -> Result<Event, Failure> {
        let five = self.five.get_mut().filter(|five| five.authenticates);
        let Some(five) = five else {
            return Err(Failure::protocol("the server sent AUTH, and the client had not asked for it"));
        };
        let method = auth.properties.text(PropertyId::AuthenticationMethod);
        if method.is_some() && method != five.method.as_deref() {
            return Err(Failure::protocol("AUTH has another method than CONNECT [MQTT-4.12.0-5]"));
        }
        match (auth.reason, self.state) {
            (reason::CONTINUE_AUTHENTICATION, _) => {}
            // CONNACK says it before that.
            (reason::SUCCESS, State::Up | State::Closing) => five.authenticates = false,
            _ => return Err(Failure::protocol("AUTH has a reason code that is not the server's to send")),
        }
        Ok(Event::Auth(auth.reason))
    }
}
