//! From sections to profiles.

use super::error::ConfigError;
use super::profile::{Profile, Secret, Will};
use super::schema::{Field, Section, Value};
use crate::time::Span;
use crate::wire::PropertyBlock;

impl Profile {
    /// The profile that a section describes.
    ///
    /// Fails for the first number that is out of range. Whether the fields fit each other is
    /// checked by [`Profile::validate`] at the time of a connect, since a client id may still come.
    pub fn from_section(section: &Section) -> Result<Profile, ConfigError> {
        for field in Field::ALL {
            let number = match section.get(field) {
                Value::Int(number) => number.into(),
                Value::Double(number) => number,
                Value::Bool(_) | Value::Text(_) => continue,
            };
            field.info().check_number(number).map_err(|problem| ConfigError::new(field.key(), problem))?;
        }
        // The will needs both fields; as in Mongoose OS, one alone makes none.
        let will = section.will_topic.clone().map(|topic| Will {
            topic,
            payload: section.will_message.clone().unwrap_or_default().into_bytes(),
            qos: 0,
            retain: section.will_retain,
            properties: PropertyBlock::EMPTY,
        });
        let (will, will_without_message) =
            if section.will_message.is_some() { (will, None) } else { (None, will) };
        let s = section.clone();
        Ok(Profile {
            enable: s.enable,
            server: s.server,
            client_id: s.client_id,
            user: s.user,
            pass: s.pass.map(|p| Secret(p.into_bytes())),
            reconnect_min: seconds(s.reconnect_timeout_min),
            reconnect_max: seconds(s.reconnect_timeout_max),
            ssl_cert: s.ssl_cert,
            ssl_key: s.ssl_key.map(Secret),
            ssl_ca_cert: s.ssl_ca_cert,
            ssl_cipher_suites: s.ssl_cipher_suites,
            ssl_psk_identity: s.ssl_psk_identity,
            ssl_psk_key: s.ssl_psk_key.map(Secret),
            clean_session: s.clean_session,
            keep_alive: u16::try_from(s.keep_alive).unwrap_or(u16::MAX),
            will,
            will_without_message,
            max_qos: u8::try_from(s.max_qos).ok(),
            recv_limit: usize::try_from(s.recv_mbuf_limit).unwrap_or(0),
            require_time: s.require_time,
            cloud_events: s.cloud_events,
            max_queue_length: usize::try_from(s.max_queue_length).unwrap_or(0),
            ws_enable: s.ws_enable,
            ws_path: s.ws_path,
            debug_use_log_level: s.debug_use_log_level,
            ..Profile::default()
        })
    }
}

/// Seconds in whole milliseconds, the resolution of every delay.
fn seconds(seconds: f64) -> Span {
    Span::millis((seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_same() {
        assert_eq!(Profile::from_section(&Section::default()), Ok(Profile::default()));
    }

    #[test]
    fn every_field_arrives() {
        let mut section = Section::default();
        for field in Field::ALL {
            let other = match section.get(field) {
                Value::Bool(b) => Value::Bool(!b),
                Value::Int(_) => Value::Int(1),
                Value::Double(d) => Value::Double(d + 0.0304),
                Value::Text(_) => Value::text(field.key()),
            };
            assert!(section.set(field, other));
        }
        let text = |key: &str| Some(key.to_owned());
        let expected = Profile {
            enable: true,
            server: text("server"),
            client_id: text("client_id"),
            user: text("user"),
            pass: Some(Secret(b"pass".to_vec())),
            reconnect_min: Span::millis(2_030),
            reconnect_max: Span::millis(60_030),
            ssl_cert: text("ssl_cert"),
            ssl_key: text("ssl_key").map(Secret),
            ssl_ca_cert: text("ssl_ca_cert"),
            ssl_cipher_suites: text("ssl_cipher_suites"),
            ssl_psk_identity: text("ssl_psk_identity"),
            ssl_psk_key: text("ssl_psk_key").map(Secret),
            clean_session: false,
            keep_alive: 1,
            will: Some(Will {
                topic: "will_topic".into(),
                payload: b"will_message".to_vec(),
                qos: 0,
                retain: true,
                properties: PropertyBlock::EMPTY,
            }),
            max_qos: Some(1),
            recv_limit: 1,
            require_time: true,
            cloud_events: false,
            max_queue_length: 1,
            ws_enable: true,
            ws_path: text("ws_path"),
            debug_use_log_level: true,
            ..Profile::default()
        };
        assert_eq!(Profile::from_section(&section), Ok(expected));
    }

    #[test]
    fn numbers_with_a_meaning_of_their_own() {
        let section = Section { max_qos: -1, max_queue_length: -5, recv_mbuf_limit: 0, ..Section::default() };
        let profile = Profile::from_section(&section).unwrap();
        assert_eq!((profile.max_qos, profile.max_queue_length, profile.recv_limit), (None, 0, 0));
        let half = Section { will_topic: Some("t".into()), ..Section::default() };
        let profile = Profile::from_section(&half).unwrap();
        assert_eq!((profile.will, profile.will_without_message.unwrap().topic), (None, "t".into()));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let text = |section: Section| Profile::from_section(&section).unwrap_err().to_string();
        assert_eq!(
            text(Section { keep_alive: 65_536, ..Section::default() }),
            "keep_alive: 65536 is not between 0 and 65535"
        );
        assert_eq!(
            text(Section { recv_mbuf_limit: -1, ..Section::default() }),
            "recv_mbuf_limit: -1 is not between 0 and 2147483647"
        );
        assert_eq!(
            text(Section { reconnect_timeout_min: f64::NAN, ..Section::default() }),
            "reconnect_timeout_min: NaN is not a number"
        );
    }
}
