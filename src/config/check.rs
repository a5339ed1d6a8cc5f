//! What a profile must satisfy before a connection is attempted with it.

use super::error::ConfigError;
use super::http_headers;
use super::profile::{Authentication, Profile, Protocol, Will};
use crate::error::Code;
use crate::scram::{self, FEWEST_ITERATIONS};
use crate::wire::{PropertyId, topic};

/// The longest string or payload that CONNECT can carry.
const MAX_CONNECT_FIELD: usize = 65_535;

impl Profile {
    /// The first thing that is wrong; see [`Profile::problems`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that is wrong, in the order of the fields, at most once for each field.
    ///
    /// Whether there is a server at all is not checked: a profile may be made before it is known,
    /// and [`Profile::address`] says so when it is needed.
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let mut note = |problem: Option<ConfigError>| found.extend(problem);
        note(self.server.as_ref().and_then(|_| self.address().err()));
        note(self.check_client_id());
        note(self.user.as_deref().and_then(|user| check_string("user", user)));
        note(self.check_pass());
        note(self.check_authentication());
        note(self.check_certificates());
        note(self.check_psk());
        note(self.will.as_ref().and_then(|will| self.check_will(will)));
        note(self.check_max_qos());
        note(self.check_recv_limit());
        note(self.check_ws_path());
        note(self.check_ws_headers());
        note(self.address().ok().and_then(|address| self.proxy(&address).err()));
        note(self.route.socket.check());
        found
    }

    fn check_client_id(&self) -> Option<ConfigError> {
        let id = self.client_id.as_deref().unwrap_or_default();
        if !id.is_empty() {
            return check_string("client_id", id);
        }
        // With MQTT 3.1.1 the server chooses one, with 3.1 one is made for the connection: either way a new one each time.
        let problem = "an empty client id needs clean_session: the server could not find the session again";
        (!self.clean_session).then(|| ConfigError::new("client_id", problem))
    }

    fn check_pass(&self) -> Option<ConfigError> {
        let pass = self.pass.as_ref()?;
        (pass.len() > MAX_CONNECT_FIELD).then(|| too_long("pass", pass.len()))
    }

    fn check_authentication(&self) -> Option<ConfigError> {
        if self.authentication == Authentication::Password {
            return None;
        }
        let problem = |key, problem: &str| Some(ConfigError::new(key, problem));
        if self.protocol != Protocol::V5 {
            let text =
                "SCRAM-SHA-256 needs MQTT 5.0 (protocol_version 5), since no other version can carry it";
            return problem("authentication", text).map(|error| error.with_code(Code::NeedsV5));
        }
        let properties = self.connect_properties.properties();
        let ours = [PropertyId::AuthenticationMethod, PropertyId::AuthenticationData];
        if ours.iter().any(|id| properties.get(*id).is_some()) {
            return problem(
                "properties",
                "Authentication Method and Authentication Data are those of SCRAM-SHA-256",
            );
        }
        if self.scram_max_iterations < FEWEST_ITERATIONS {
            let text = format!("at least {FEWEST_ITERATIONS}, which every server asks for (RFC 7677)");
            return problem("scram_max_iterations", &text);
        }
        // Either may still come from a hook.
        let user = self.user.as_deref().unwrap_or("user");
        let pass = self.pass.as_ref().map_or(&b"pass"[..], |pass| pass);
        let trouble = scram::Login::new(user, pass).err()?;
        let (key, text) = trouble.text.split_once(": ").unwrap_or(("authentication", &trouble.text));
        problem(if key == "password" { "pass" } else { key }, text).map(|error| error.with_code(trouble.code))
    }

    fn check_certificates(&self) -> Option<ConfigError> {
        let tls = &self.tls;
        if self.ssl_ca_cert.as_deref() == Some("*") && !tls.insecure_skip_verification {
            let problem = "\"*\" does not switch the verification of the server off: name the file of the CA that \
                           signed the server's certificate, or, for tests, set tls_insecure_skip_verification";
            return Some(ConfigError::new("ssl_ca_cert", problem));
        }
        let pins = match self.pins() {
            Ok(pins) => pins,
            Err(problem) => return Some(problem),
        };
        if !pins.is_empty() && tls.insecure_skip_verification {
            let problem = "a pin and tls_insecure_skip_verification exclude each other";
            return Some(ConfigError::new("tls_pins", problem));
        }
        let has_crl = tls.crl.is_some() || tls.crl_file.is_some();
        let has_ca = self.ca_file().is_some() || tls.ca.is_some() || tls.system_roots;
        if has_crl && (!has_ca || tls.insecure_skip_verification) {
            let problem = "a list of revoked certificates is only of use with the certificates of who issues it: set \
                           ssl_ca_cert or tls_ca";
            return Some(ConfigError::new("tls_crl", problem));
        }
        let key = self.ssl_key.is_some() || tls.key.is_some();
        if key && self.ssl_cert.is_none() && tls.certificate.is_none() {
            return Some(ConfigError::new("ssl_cert", "ssl_key is set and ssl_cert is not"));
        }
        let bad = tls.alpn.iter().find(|name| name.is_empty() || name.len() > 255)?;
        Some(ConfigError::new("tls_alpn", format!("{bad:?} is not 1 to 255 bytes long")))
    }

    fn check_psk(&self) -> Option<ConfigError> {
        let problem = match (&self.ssl_psk_identity, &self.ssl_psk_key) {
            (Some(_), None) => "ssl_psk_identity is set and the key is not",
            (None, Some(_)) => "the key is set and ssl_psk_identity is not",
            (Some(_), Some(key)) if !key.bytes().all(|b| b.is_ascii_hexdigit()) => {
                "the key is written in hexadecimal digits"
            }
            (Some(_), Some(key)) if key.is_empty() || key.len() % 2 != 0 => {
                "the key has two hexadecimal digits for each byte"
            }
            _ => return None,
        };
        Some(ConfigError::new("ssl_psk_key", problem))
    }

    fn check_will(&self, will: &Will) -> Option<ConfigError> {
        if let Err(problem) = topic::valid_name(&will.topic) {
            return Some(ConfigError::new("will_topic", problem.text()).with_code(Code::BadTopic));
        }
        if will.payload.len() > MAX_CONNECT_FIELD {
            return Some(too_long("will_message", will.payload.len()));
        }
        let problem = || format!("{} is not 0, 1 or 2", will.qos);
        (will.qos > 2).then(|| ConfigError::new("will_qos", problem()).with_code(Code::BadQos))
    }

    fn check_max_qos(&self) -> Option<ConfigError> {
        let max = self.max_qos.filter(|max| *max > 2)?;
        let problem = format!("{max} is not 0, 1 or 2, nor negative for no limit");
        Some(ConfigError::new("max_qos", problem).with_code(Code::BadQos))
    }

    fn check_recv_limit(&self) -> Option<ConfigError> {
        // Handlers get lengths as `int`.
        let problem = || format!("{} is larger than {}", self.recv_limit, i32::MAX);
        (self.recv_limit > i32::MAX as usize).then(|| ConfigError::new("recv_mbuf_limit", problem()))
    }

    fn check_ws_path(&self) -> Option<ConfigError> {
        let path = self.ws_path.as_deref()?;
        let fine = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let problem = "a path begins with a slash and consists of visible ASCII characters without #";
        (!fine).then(|| ConfigError::new("ws_path", problem))
    }

    fn check_ws_headers(&self) -> Option<ConfigError> {
        let (line, why) = http_headers::check(self.route.ws_headers.as_ref()?).err()?;
        Some(ConfigError::new("ws_headers", format!("line {line} {why}")))
    }
}

fn check_string(key: &str, text: &str) -> Option<ConfigError> {
    if text.len() > MAX_CONNECT_FIELD {
        return Some(too_long(key, text.len()));
    }
    // [MQTT-1.5.3-2]
    let problem = "a string of MQTT cannot contain U+0000";
    text.contains('\0').then(|| ConfigError::new(key, problem).with_code(Code::BadUtf8))
}

fn too_long(key: &str, len: usize) -> ConfigError {
    ConfigError::new(key, format!("{len} bytes are too long: CONNECT carries at most {MAX_CONNECT_FIELD}"))
}

#[cfg(test)]
mod tests {
    use super::super::profile::Protocol;
    use super::*;
    use crate::config::profile::Secret;
    use crate::time::Span;

    fn only(change: impl FnOnce(&mut Profile)) -> (Code, String) {
        let mut profile = Profile::default();
        change(&mut profile);
        let problems = profile.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(profile.validate().as_ref(), Err(&problems[0]));
        (problems[0].code, problems[0].to_string())
    }

    fn bad(text: &str) -> (Code, String) {
        (Code::BadConfig, text.to_owned())
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(Profile::default().problems(), []);
        assert_eq!(Profile::default().address().unwrap_err().to_string(), "server: no server is set");
    }

    #[test]
    fn server() {
        let e = only(|p| p.server = Some("h:0".into()));
        assert_eq!(e, (Code::BadAddress, "server: port 0 cannot be connected to".into()));
        let e = only(|p| {
            p.server = Some("mqtt://h".into());
            p.ssl_ca_cert = Some("ca.pem".into());
        });
        assert!(e.1.starts_with("server: the scheme says plain text"), "{e:?}");
        let e = only(|p| {
            p.server = Some("mqtt://u:p@h".into());
            p.pass = Some(Secret(b"q".to_vec()));
        });
        assert!(e.1.starts_with("server: the address names a user or a password, and so do"), "{e:?}");
    }

    /// mqtt3: MQTT-3.1.3-7
    #[test]
    fn client_id() {
        let e = only(|p| p.clean_session = false);
        assert!(e.1.starts_with("client_id: an empty client id needs clean_session"), "{e:?}");
        let e = only(|p| (p.protocol, p.clean_session) = (Protocol::V31, false));
        assert!(e.1.starts_with("client_id: an empty client id needs clean_session"), "{e:?}");
        assert_eq!(Profile { protocol: Protocol::V31, ..Profile::default() }.validate(), Ok(()));
        let e = only(|p| p.client_id = Some("a\0b".into()));
        assert_eq!(e, (Code::BadUtf8, "client_id: a string of MQTT cannot contain U+0000".into()));
        let mut p = Profile { clean_session: false, ..Profile::default() };
        p.name_client(Some("esp32_A1B2C3"));
        assert_eq!(p.validate(), Ok(()));
        p.name_client(Some("other"));
        assert_eq!(p.client_id.as_deref(), Some("esp32_A1B2C3"));
    }

    #[test]
    fn credentials() {
        let e = only(|p| p.user = Some("u".repeat(65_536)));
        assert_eq!(e, bad("user: 65536 bytes are too long: CONNECT carries at most 65535"));
        let e = only(|p| p.pass = Some(Secret(vec![0; 65_536])));
        assert!(e.1.starts_with("pass: 65536 bytes"), "{e:?}");
        for user in [None, Some("u".into())] {
            let ok = Profile { user, pass: Some(Secret(vec![0, 255])), ..Profile::default() };
            assert_eq!(ok.validate(), Ok(()));
        }
    }

    #[test]
    fn certificates() {
        let e = only(|p| p.ssl_ca_cert = Some("*".into()));
        assert!(e.1.starts_with("ssl_ca_cert: \"*\" does not switch the verification"), "{e:?}");
        assert!(e.1.ends_with("tls_insecure_skip_verification"), "{e:?}");
        let e = only(|p| p.ssl_key = Some(Secret("key.pem".into())));
        assert_eq!(e, bad("ssl_cert: ssl_key is set and ssl_cert is not"));
        let e = only(|p| p.tls.alpn = vec!["mqtt".into(), String::new()]);
        assert_eq!(e, bad("tls_alpn: \"\" is not 1 to 255 bytes long"));
        let mut p = Profile { ssl_ca_cert: Some("*".into()), ..Profile::default() };
        p.tls.insecure_skip_verification = true;
        assert_eq!(p.validate(), Ok(()));
    }

    #[test]
    fn pre_shared_key() {
        let psk = |key: Option<&str>| {
            only(|p| {
                p.ssl_psk_identity = Some("id".into());
                p.ssl_psk_key = key.map(|k| Secret(k.to_owned()));
            })
        };
        assert_eq!(psk(None), bad("ssl_psk_key: ssl_psk_identity is set and the key is not"));
        assert_eq!(psk(Some("xy")), bad("ssl_psk_key: the key is written in hexadecimal digits"));
        let half = only(|p| p.ssl_psk_key = Some(Secret("00".into())));
        assert_eq!(half, bad("ssl_psk_key: the key is set and ssl_psk_identity is not"));
        assert_eq!(psk(Some("")), bad("ssl_psk_key: the key has two hexadecimal digits for each byte"));
        assert_eq!(psk(Some("abc")), bad("ssl_psk_key: the key has two hexadecimal digits for each byte"));
    }

    #[test]
    fn will() {
        let will = |topic: &str, payload: usize, qos: u8| {
            let topic = topic.to_owned();
            only(|p| p.will = Some(Will { topic, payload: vec![0; payload], qos, ..Will::default() }))
        };
        for topic in ["", "a/+", "#", "a\0"] {
            assert_eq!(will(topic, 0, 0).0, Code::BadTopic);
        }
        assert!(will("t", 65_536, 0).1.starts_with("will_message: 65536 bytes"));
        assert_eq!(will("t", 0, 3), (Code::BadQos, "will_qos: 3 is not 0, 1 or 2".into()));
    }

    #[test]
    fn limits() {
        let e = only(|p| p.max_qos = Some(3));
        assert_eq!(e, (Code::BadQos, "max_qos: 3 is not 0, 1 or 2, nor negative for no limit".into()));
        let e = only(|p| p.recv_limit = 1 << 31);
        assert_eq!(e, bad("recv_mbuf_limit: 2147483648 is larger than 2147483647"));
        for path in ["mqtt", "", "/a b", "/a#b", "/ä"] {
            assert!(only(|p| p.ws_path = Some(path.into())).1.starts_with("ws_path: a path begins"));
        }
        let e = only(|p| p.route.ws_headers = Some(Secret("Authorization Bearer hunter2".into())));
        assert_eq!(e, bad("ws_headers: line 1 has no colon: a header is Name: value"));
        let e = only(|p| {
            p.server = Some("h".into());
            p.route.proxy = Some(Secret("hunter2@proxy".into()));
        });
        let text = "proxy: a proxy begins with http://, https://, socks5:// or socks5h://";
        assert_eq!(e, (Code::BadAddress, text.into()));
    }

    #[test]
    fn all_problems_come_in_the_order_of_the_fields() {
        let p = Profile {
            server: Some(":".into()),
            pass: Some(Secret(vec![0; 65_536])),
            max_qos: Some(9),
            ..Profile::default()
        };
        let keys: Vec<_> = p.problems().into_iter().map(|e| e.key).collect();
        assert_eq!(keys, ["server", "pass", "max_qos"]);
    }

    #[test]
    fn derived_values() {
        let p = Profile {
            reconnect_min: Span::secs(90),
            ws_enable: true,
            server: Some("h".into()),
            ..Profile::default()
        };
        assert_eq!(p.reconnect_bounds(), (Span::secs(60), Span::secs(60)));
        assert_eq!(p.address().map(|a| a.to_string()).as_deref(), Ok("ws://h:1883/mqtt"));
        let own = Profile { server: Some("wss://h/x?y".into()), ..p.clone() };
        assert_eq!(own.address().map(|a| a.to_string()).as_deref(), Ok("wss://h:443/x?y"));
    }

    #[test]
    fn credentials_of_the_address_go_into_their_fields() {
        let mut p = Profile { server: Some("mqtts://u:p%40@h:1".into()), ..Profile::default() };
        assert_eq!(p.address().map(|a| a.to_string()).as_deref(), Ok("mqtts://h:1"));
        p.take_user_info();
        assert_eq!((p.server.as_deref(), p.user.as_deref()), (Some("mqtts://h:1"), Some("u")));
        assert_eq!(p.pass, Some(Secret(b"p@".to_vec())));
        // One part here, the other there.
        let server = Some("mqtt://u@h".to_owned());
        let mut p = Profile { server, pass: Some(Secret(vec![0])), ..Profile::default() };
        assert_eq!(p.validate(), Ok(()));
        p.take_user_info();
        assert_eq!((p.user.as_deref(), p.pass), (Some("u"), Some(Secret(vec![0]))));
        // A contradiction stays, to be reported.
        let mut p =
            Profile { server: Some("mqtt://u@h".into()), user: Some("v".into()), ..Profile::default() };
        p.take_user_info();
        assert_eq!((p.server.as_deref(), p.user.as_deref()), (Some("mqtt://u@h"), Some("v")));
    }

    #[test]
    fn debug_hides_secrets() {
        let p = Profile {
            pass: Some(Secret(b"hunter2".to_vec())),
            ssl_key: Some(Secret("hunter2".into())),
            ssl_psk_key: Some(Secret("hunter2".into())),
            ..Profile::default()
        };
        let text = format!("{p:?}");
        assert!(!text.contains("hunter2") && !text.contains("104, 117") && text.contains("***"), "{text}");
    }
}
