use proptest::prelude::*;

use super::address::{Address, Scheme, Wanted};
use super::address_error::AddressError as E;
use super::user_info;
use crate::error::Code;

const PLAIN: Wanted = Wanted { tls: false, websocket: false };
const TLS: Wanted = Wanted { tls: true, websocket: false };
const WS: Wanted = Wanted { tls: false, websocket: true };
const WSS: Wanted = Wanted { tls: true, websocket: true };

fn url(text: &str, wanted: Wanted) -> String {
    Address::parse(text, wanted).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn short_forms() {
    for (text, plain, tls) in [
        ("h", "mqtt://h:1883", "mqtts://h:8883"),
        ("h:99", "mqtt://h:99", "mqtts://h:99"),
        ("1.2.3.4", "mqtt://1.2.3.4:1883", "mqtts://1.2.3.4:8883"),
        ("1.2.3.4:65535", "mqtt://1.2.3.4:65535", "mqtts://1.2.3.4:65535"),
        ("[::1]", "mqtt://[::1]:1883", "mqtts://[::1]:8883"),
        ("[::1]:1", "mqtt://[::1]:1", "mqtts://[::1]:1"),
        ("fe80::1", "mqtt://[fe80::1]:1883", "mqtts://[fe80::1]:8883"),
        ("[fe80::1%eth0]:1883", "mqtt://[fe80::1%25eth0]:1883", "mqtts://[fe80::1%25eth0]:1883"),
        ("fe80::1%25", "mqtt://[fe80::1%2525]:1883", "mqtts://[fe80::1%2525]:8883"),
        ("a-b_c.example.org.", "mqtt://a-b_c.example.org.:1883", "mqtts://a-b_c.example.org.:8883"),
        ("xn--bcher-kva.example", "mqtt://xn--bcher-kva.example:1883", "mqtts://xn--bcher-kva.example:8883"),
        ("tcp://h", "mqtt://h:1883", "mqtts://h:8883"),
        ("h/", "mqtt://h:1883", "mqtts://h:8883"),
    ] {
        assert_eq!(url(text, PLAIN), plain);
        assert_eq!(url(text, TLS), tls);
    }
}

#[test]
fn urls() {
    for (text, wanted, expected) in [
        ("MQTT://H/", PLAIN, "mqtt://H:1883"),
        ("mqtts://h", PLAIN, "mqtts://h:8883"),
        ("ssl://h", PLAIN, "mqtts://h:8883"),
        ("tls://h:443", TLS, "mqtts://h:443"),
        ("ws://h", PLAIN, "ws://h:80"),
        ("wss://h/mqtt?x=1", PLAIN, "wss://h:443/mqtt?x=1"),
        ("wss://[::1]:8/", WSS, "wss://[::1]:8/"),
        ("h", WS, "ws://h:1883"),
        ("h", WSS, "wss://h:8883"),
        ("ssl://h", WS, "wss://h:8883"),
        ("mqtt://[fe80::1%25eth0]", PLAIN, "mqtt://[fe80::1%25eth0]:1883"),
        ("unix:/run/m.sock", PLAIN, "unix:/run/m.sock"),
        ("UNIX:///run/m.sock", PLAIN, "unix:/run/m.sock"),
        ("unix:m.sock", PLAIN, "unix:m.sock"),
        ("unix:////run/m.sock", PLAIN, "unix:////run/m.sock"),
    ] {
        assert_eq!(url(text, wanted), expected, "{text}");
    }
}

#[test]
fn parts() {
    let a = Address::parse("[fe80::1%eth0]:7", TLS).unwrap();
    assert_eq!((a.scheme, a.host.as_str(), a.port), (Scheme::Mqtts, "fe80::1%eth0", 7));
    assert!(Scheme::Wss.is_tls() && Scheme::Wss.is_websocket() && !Scheme::Unix.is_tls());
}

#[test]
fn every_refusal_has_its_sentence() {
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(63).as_str(); 4].join(".");
    let long_path = format!("unix:/{}", "a".repeat(107));
    let cases: &[(&str, Wanted, E)] = &[
        ("", PLAIN, E::Empty),
        ("a b", PLAIN, E::Blank),
        ("a\0", PLAIN, E::Blank),
        ("h:1883\n", PLAIN, E::Blank),
        ("h\u{a0}", PLAIN, E::Blank),
        ("http://h", PLAIN, E::UnknownScheme),
        ("://h", PLAIN, E::UnknownScheme),
        ("u:p@h:1883", PLAIN, E::UserInfo),
        ("u@h", PLAIN, E::UserInfo),
        ("mqtt://u:p/w@h", PLAIN, E::UserInfoEncoding),
        ("mqtt://a@b@h", PLAIN, E::UserInfoEncoding),
        ("mqtt://%ff@h", PLAIN, E::UserUtf8),
        ("mqtt://u:p@", PLAIN, E::NoHost),
        ("mqtt://h", TLS, E::PlainWithTls),
        ("ws://h", TLS, E::PlainWithTls),
        ("mqtt://h", WS, E::NotWebSocket),
        ("mqtts://h", WSS, E::NotWebSocket),
        ("mqtt://h/topic", PLAIN, E::Path),
        ("h/topic", PLAIN, E::Path),
        ("h?x", PLAIN, E::Path),
        ("ws://h?x", PLAIN, E::WebSocketPath),
        ("ws://h/a#b", PLAIN, E::WebSocketPath),
        ("ws://h/ä", PLAIN, E::WebSocketPath),
        ("unix://host/path", PLAIN, E::UnixHost),
        ("unix:", PLAIN, E::UnixPath),
        (&long_path, PLAIN, E::UnixPathTooLong),
        ("unix:/run/m.sock", TLS, E::UnixWithTls),
        ("unix:/run/m.sock", WS, E::NotWebSocket),
        (":1883", PLAIN, E::NoHost),
        ("mqtt://", PLAIN, E::NoHost),
        (".", PLAIN, E::EmptyLabel),
        ("bücher.example", PLAIN, E::NotAscii),
        (&long_name, PLAIN, E::NameTooLong),
        ("a..b", PLAIN, E::EmptyLabel),
        (&long_label, PLAIN, E::LabelTooLong),
        ("a,b", PLAIN, E::NameCharacter),
        ("a%20b", PLAIN, E::NameCharacter),
        ("1.2.3", PLAIN, E::Ipv4),
        ("256.1.1.1", PLAIN, E::Ipv4),
        ("1883", PLAIN, E::Ipv4),
        ("[1.2.3.4]", PLAIN, E::Ipv6),
        ("[]", PLAIN, E::Ipv6),
        ("[::1%]", PLAIN, E::Ipv6),
        ("[::1%a,b]", PLAIN, E::Ipv6),
        ("[::1", PLAIN, E::OpenBracket),
        ("[::1]1883", PLAIN, E::AfterBracket),
        ("h:1883:1", PLAIN, E::ManyColons),
        ("::g", PLAIN, E::ManyColons),
        ("h:", PLAIN, E::PortMissing),
        ("[::1]:", PLAIN, E::PortMissing),
        ("h:mqtt", PLAIN, E::PortNotANumber),
        ("h:+1", PLAIN, E::PortNotANumber),
        ("h:-1", PLAIN, E::PortNotANumber),
        ("h:1883x", PLAIN, E::AfterPort),
        ("h:0", PLAIN, E::PortZero),
        ("h:65536", PLAIN, E::PortTooLarge),
        ("h:99999999999999999999", PLAIN, E::PortTooLarge),
    ];
    for (text, wanted, expected) in cases {
        let found = user_info::take(text).and_then(|found| {
            let rest = found.map_or((*text).to_owned(), |(rest, _)| rest);
            Address::parse(&rest, *wanted)
        });
        assert_eq!(found, Err(*expected), "{text:?}");
    }
    for error in E::ALL {
        assert!(cases.iter().any(|(_, _, e)| e == error), "{error:?} has no case");
        assert!(E::ALL.iter().filter(|e| e.text() == error.text()).count() == 1, "{error:?}");
        assert_eq!(error.code(), Code::BadAddress);
    }
}

proptest! {
    #[test]
    fn anything_is_taken_or_refused(text in "\\PC{0,40}", tls: bool, websocket: bool) {
        let _ = Address::parse(&text, Wanted { tls, websocket });
    }

    /// Texts that look like addresses; what is accepted reads back to itself.
    #[test]
    fn the_url_form_is_the_same_address(
        text in "((mqtts?|tcp|ssl|wss?|unix)://?)?(\\[?[0-9a-f:]{2,8}(%[a-z0-9]{1,4})?\\]?|[a-z0-9.]{1,8})(:[0-9]{1,5})?(/[a-z]{0,3})?",
        tls: bool,
        websocket: bool,
    ) {
        let wanted = Wanted { tls, websocket };
        if let Ok(address) = Address::parse(&text, wanted) {
            let again = Address::parse(&address.to_string(), Wanted::default());
            prop_assert_eq!(again, Ok(address));
        }
    }
}
