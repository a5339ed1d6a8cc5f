//! The options of a connection that override the profiles of its servers.
//!
//! The connection keeps them separately from its profiles, and merges the two at each attempt to connect: replacing a
//! profile changes no option, and replacing the options changes no profile.

use super::error::ConfigError;
use super::profile::{Authentication, Profile, Protocol, RouteOptions, Secret, Timeouts, TlsOptions, Will};
use super::settings::Settings;
use crate::error::Code;
use crate::wire::PropertyBlock;

/// The part of a connection's [`Settings`] that overrides its profiles. `None` leaves the profile's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileOptions {
    /// The version of MQTT.
    pub protocol: Option<Protocol>,
    /// How the client proves who it is.
    pub authentication: Option<Authentication>,
    /// How often a server may have the password hashed for SCRAM, at most.
    pub scram_max_iterations: Option<u32>,
    /// The password, any bytes.
    pub password: Option<Secret<Vec<u8>>>,
    /// The payload of the will, whose topic is the profile's.
    pub will_payload: Option<Vec<u8>>,
    /// The QoS of the will, if there is one.
    pub will_qos: Option<u8>,
    /// The properties of the will, if there is one (MQTT 5.0 §3.1.3.2).
    pub will_properties: Option<PropertyBlock>,
    /// The properties of CONNECT (MQTT 5.0 §3.1.2.11).
    pub connect_properties: Option<PropertyBlock>,
    /// How long each step of connecting may take.
    pub timeouts: Option<Timeouts>,
    /// The other options of TLS.
    pub tls: Option<TlsOptions>,
    /// The other options of the way to the server.
    pub route: Option<RouteOptions>,
}

impl ProfileOptions {
    /// Whether every profile stays as it is.
    pub fn is_empty(&self) -> bool {
        let ProfileOptions {
            protocol,
            authentication,
            scram_max_iterations,
            password,
            will_payload,
            will_qos,
            will_properties,
            connect_properties,
            timeouts,
            tls,
            route,
        } = self;
        protocol.is_none()
            && authentication.is_none()
            && scram_max_iterations.is_none()
            && password.is_none()
            && will_payload.is_none()
            && will_qos.is_none()
            && will_properties.is_none()
            && connect_properties.is_none()
            && timeouts.is_none()
            && tls.is_none()
            && route.is_none()
    }

    /// The profile that an attempt connects with.
    pub fn merge(&self, profile: &Profile) -> Result<Profile, ConfigError> {
        // Each field by its name, so that the compiler reports one that is forgotten here.
        let ProfileOptions {
            protocol,
            authentication,
            scram_max_iterations,
            password,
            will_payload,
            will_qos,
            will_properties,
            connect_properties,
            timeouts,
            tls,
            route,
        } = self;
        let mut merged = profile.clone();
        if let Some(protocol) = protocol {
            merged.protocol = *protocol;
        }
        if let Some(authentication) = authentication {
            merged.authentication = *authentication;
        }
        if let Some(most) = scram_max_iterations {
            merged.scram_max_iterations = *most;
        }
        if password.is_some() {
            merged.pass.clone_from(password);
        }
        if let Some(payload) = will_payload {
            let will = merged.will.take().or(merged.will_without_message.take());
            let Some(will) = will else {
                let problem = "there is no will_topic for it in the configuration of the server";
                return Err(ConfigError::new("will_payload", problem));
            };
            merged.will = Some(Will { payload: payload.clone(), ..will });
        }
        if let (Some(qos), Some(will)) = (will_qos, &mut merged.will) {
            will.qos = *qos;
        }
        if let (Some(properties), Some(will)) = (will_properties, &mut merged.will) {
            will.properties.clone_from(properties);
        }
        if let Some(properties) = connect_properties {
            merged.connect_properties.clone_from(properties);
        }
        if let Some(timeouts) = timeouts {
            merged.timeouts = *timeouts;
        }
        if let Some(tls) = tls {
            merged.tls.clone_from(tls);
        }
        if let Some(route) = route {
            merged.route.clone_from(route);
        }
        Ok(merged)
    }

    /// The errors that no profile can correct.
    fn validate(&self) -> Result<(), ConfigError> {
        if self.is_empty() {
            return Ok(());
        }
        // A profile with which only the options can be wrong.
        let topic = Will { topic: "t".to_owned(), ..Will::default() };
        let stand_in = Profile {
            server: Some("h".to_owned()),
            client_id: Some("c".to_owned()),
            user: Some("u".to_owned()),
            will_without_message: Some(topic),
            ssl_cert: Some("cert.pem".to_owned()),
            ssl_ca_cert: Some("ca.pem".to_owned()),
            ..Profile::default()
        };
        let merged = self.merge(&stand_in)?;
        merged.validate().map_err(|error| self.blame(error))
    }

    /// An error of the merged profile; it names the option if the value came from there.
    fn blame(&self, mut error: ConfigError) -> ConfigError {
        let option = match error.key.as_str() {
            "pass" if self.password.is_some() => "password",
            "will_message" if self.will_payload.is_some() => "will_payload",
            _ => return error,
        };
        error.key = option.to_owned();
        error
    }

    /// The options that protect the link and are set here but not in `newer`.
    pub fn protection_lost(&self, newer: &ProfileOptions) -> Vec<&'static str> {
        let default = TlsOptions::default();
        let (old, new) = (self.tls.as_ref().unwrap_or(&default), newer.tls.as_ref().unwrap_or(&default));
        let has = |tls: &TlsOptions| {
            [
                ("tls_min_version", tls.only_tls13),
                ("tls_system_roots", tls.system_roots),
                ("tls_ca", tls.ca.is_some()),
                ("tls_cert", tls.certificate.is_some()),
                ("tls_pins", tls.pins.is_some()),
                ("tls_crl", tls.crl.is_some()),
                ("tls_crl_file", tls.crl_file.is_some()),
            ]
        };
        let scram = |options: &ProfileOptions| options.authentication == Some(Authentication::ScramSha256);
        let mut lost: Vec<_> = has(old)
            .into_iter()
            .zip(has(new))
            .filter(|(old, new)| old.1 && !new.1)
            .map(|(old, _)| old.0)
            .collect();
        if scram(self) && !scram(newer) {
            lost.push("authentication");
        }
        lost
    }
}

impl Settings {
    /// Whether a connection can be made with this profile under these settings. A client id may still come, from the
    /// device's.
    pub fn check(&self, profile: &Profile) -> Result<(), ConfigError> {
        if self.profile.is_empty() && profile.client_id.is_some() {
            return profile.validate();
        }
        // What a connection keeps of the profile.
        let mut kept = profile.clone();
        if kept.address().is_ok() {
            kept.take_user_info();
        }
        let mut merged = self.profile.merge(&kept)?;
        merged.name_client(Some("device"));
        merged.validate().map_err(|error| self.profile.blame(error))
    }

    /// The first error, independent of the profiles.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.in_flight_window == 0 {
            return Err(ConfigError::new("in_flight_window", "0 would never send anything: use 1 to 65535"));
        }
        if self.jitter_percent > 100 {
            let problem = format!("{} is not between 0 and 100 percent", self.jitter_percent);
            return Err(ConfigError::new("jitter_percent", problem));
        }
        self.profile.validate()
    }

    /// Whether a link to this server would be encrypted under `self` and would not be under `newer`.
    pub fn would_lose_tls(&self, newer: &Settings, profile: &Profile) -> bool {
        let is_tls = |settings: &Settings| {
            settings.profile.merge(profile).and_then(|merged| merged.address()).map(|a| a.scheme.is_tls())
        };
        profile.enable && is_tls(self) == Ok(true) && is_tls(newer) == Ok(false)
    }

    /// The error for options with which it would.
    pub fn tls_would_be_lost(&self, newer: &Settings) -> ConfigError {
        let lost = self.profile.protection_lost(&newer.profile).join(", ");
        let lost = if lost.is_empty() { "what had switched it on" } else { lost.as_str() };
        let problem = "is missing in these options, which replace all that there were: without it the connection \
                       would not be encrypted any more; to want that, write mqtt:// before the server";
        ConfigError::new(lost, problem).with_code(Code::BadConfig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Carrier, PacketType, Properties, PropertyId, PropertyValue};

    const CONNECT: Carrier = Carrier::Packet(PacketType::Connect);

    fn block(list: &[(PropertyId, u32)], carrier: Carrier) -> PropertyBlock {
        let list: Vec<_> = list.iter().map(|(id, value)| (*id, PropertyValue::FourByte(*value))).collect();
        PropertyBlock::new(Properties::from_list(&list), carrier).unwrap()
    }

    fn will(payload: &[u8], qos: u8) -> Will {
        Will { topic: "t".into(), payload: payload.into(), qos, retain: true, ..Will::default() }
    }

    #[test]
    fn each_option_goes_over_the_profile_and_leaves_the_rest() {
        let profile = Profile {
            client_id: Some("c".into()),
            pass: Some(Secret(b"text".to_vec())),
            will: Some(will(b"message", 0)),
            ..Profile::default()
        };
        let none = ProfileOptions::default();
        assert_eq!(none.merge(&profile).as_ref(), Ok(&profile));
        let timeouts = Timeouts { tcp: crate::time::Span::secs(1), ..Timeouts::default() };
        let tls = TlsOptions { system_roots: true, ..TlsOptions::default() };
        let route = RouteOptions { ws_headers: Some(Secret("a: b".into())), ..RouteOptions::default() };
        let all = ProfileOptions {
            protocol: Some(Protocol::V31),
            authentication: Some(Authentication::ScramSha256),
            scram_max_iterations: Some(5000),
            will_properties: Some(block(&[(PropertyId::WillDelayInterval, 1)], Carrier::Will)),
            connect_properties: Some(block(&[(PropertyId::SessionExpiryInterval, 2)], CONNECT)),
            password: Some(Secret(vec![0, 255])),
            will_payload: Some(vec![0]),
            will_qos: Some(2),
            timeouts: Some(timeouts),
            tls: Some(tls.clone()),
            route: Some(route.clone()),
        };
        let expected = Profile {
            protocol: Protocol::V31,
            authentication: Authentication::ScramSha256,
            scram_max_iterations: 5000,
            pass: Some(Secret(vec![0, 255])),
            will: Some(Will {
                properties: block(&[(PropertyId::WillDelayInterval, 1)], Carrier::Will),
                ..will(&[0], 2)
            }),
            connect_properties: block(&[(PropertyId::SessionExpiryInterval, 2)], CONNECT),
            timeouts,
            tls,
            route,
            ..profile.clone()
        };
        assert_eq!(all.merge(&profile), Ok(expected));
    }

    #[test]
    fn a_payload_makes_a_will_of_a_topic_and_needs_one() {
        let options = ProfileOptions { will_payload: Some(vec![1]), ..ProfileOptions::default() };
        let half = Profile { will_without_message: Some(will(b"", 0)), ..Profile::default() };
        assert_eq!(options.merge(&half).unwrap().will, Some(will(&[1], 0)));
        let text = options.merge(&Profile::default()).unwrap_err().to_string();
        assert_eq!(text, "will_payload: there is no will_topic for it in the configuration of the server");
    }

    #[test]
    fn what_is_wrong_whatever_the_profile_says() {
        let text = |profile| Settings { profile, ..Settings::default() }.validate().unwrap_err().to_string();
        let tls = |tls| text(ProfileOptions { tls: Some(tls), ..ProfileOptions::default() });
        let pins = Some("sha256/x".to_owned());
        assert!(
            tls(TlsOptions { pins, ..TlsOptions::default() }).starts_with("tls_pins: \"sha256/x\" is no pin")
        );
        let long = Some(Secret(vec![0; 65_536]));
        let text = text(ProfileOptions { password: long, ..ProfileOptions::default() });
        assert_eq!(text, "password: 65536 bytes are too long: CONNECT carries at most 65535");
        // A field that the profile may still complete is not an error yet.
        let tls = TlsOptions {
            key: Some(Secret(vec![1])),
            crl_file: Some("crl.pem".into()),
            only_tls13: true,
            ..TlsOptions::default()
        };
        let profile = ProfileOptions {
            protocol: Some(Protocol::V31),
            password: Some(Secret(vec![1])),
            will_payload: Some(Vec::new()),
            tls: Some(tls),
            ..ProfileOptions::default()
        };
        assert_eq!(Settings { profile, ..Settings::default() }.validate(), Ok(()));
    }

    #[test]
    fn lost_protection_is_named() {
        let with = |tls| ProfileOptions { tls: Some(tls), ..ProfileOptions::default() };
        let tls = TlsOptions {
            system_roots: true,
            ca: Some(Secret(vec![1])),
            only_tls13: true,
            ..TlsOptions::default()
        };
        let less = TlsOptions { only_tls13: false, ..tls.clone() };
        assert_eq!(with(tls.clone()).protection_lost(&with(less)), ["tls_min_version"]);
        let all = ["tls_min_version", "tls_system_roots", "tls_ca"];
        assert_eq!(with(tls.clone()).protection_lost(&ProfileOptions::default()), all);
        assert_eq!(ProfileOptions::default().protection_lost(&with(tls.clone())), [""; 0]);

        let old = Settings { profile: with(tls), ..Settings::default() };
        let new = Settings::default();
        let server =
            |server: &str| Profile { enable: true, server: Some(server.into()), ..Profile::default() };
        assert!(old.would_lose_tls(&new, &server("h")) && !new.would_lose_tls(&old, &server("h")));
        assert!(!old.would_lose_tls(&new, &server("mqtts://h")) && !old.would_lose_tls(&old, &server("h")));
        let text = old.tls_would_be_lost(&new).to_string();
        assert!(text.starts_with("tls_min_version, tls_system_roots, tls_ca: is missing"), "{text}");
    }
}
