//! The server reference with which a server sends its clients to another one (MQTT 5.0 §4.11).

use std::net::IpAddr;

use super::address::{Address, Wanted};

/// Where a server may send this client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// Nowhere.
    #[default]
    Never,
    /// To the host that is configured, or a name below the domain that it is in.
    SameDomain,
    /// Anywhere.
    Any,
}

/// The first server of a reference, a list between blanks, that this client may be sent to from `from`. What is spoken there
/// stays the same, and so do TLS and the path of a WebSocket. The error follows "not followed, ".
pub fn choose(from: &Address, reference: &str, policy: Redirect) -> Result<Address, &'static str> {
    if policy == Redirect::Never {
        return Err("since the option redirect does not allow it");
    }
    let mut why = "since it names no server";
    for server in reference.split(' ').filter(|server| !server.is_empty()) {
        let text = format!("{}://{server}", from.scheme.name());
        match Address::parse(&text, Wanted::default()) {
            // Only a path can be in the way: credentials were refused.
            Ok(to) if to.path.is_empty() && !to.host.is_empty() => {
                if policy == Redirect::Any || is_same_domain(&from.host, &to.host) {
                    return Ok(Address { path: from.path.clone(), ..to });
                }
                why = "since it is in another domain, and the option redirect allows this one alone";
            }
            _ => why = "since it is not a name with a port or without",
        }
    }
    Err(why)
}

/// Whether `to` is the same host, or a name below the domain of `from`. At the top of a domain that is `from` itself: its
/// neighbours are other people's.
fn is_same_domain(from: &str, to: &str) -> bool {
    let [from, to] = [from, to].map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    if from == to {
        return true;
    }
    if [&from, &to].iter().any(|host| host.parse::<IpAddr>().is_ok() || host.contains([':', '%'])) {
        return false;
    }
    let parent = from.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
    to.strip_suffix(parent.unwrap_or(&from)).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, reference: &str, policy: Redirect) -> Result<String, &'static str> {
        choose(&Address::parse(from, Wanted::default()).unwrap(), reference, policy).map(|to| to.to_string())
    }

    #[test]
    fn what_is_spoken_stays_the_same() {
        let any = |from, reference| to(from, reference, Redirect::Any).unwrap();
        assert_eq!(any("mqtts://a.example", "b.example"), "mqtts://b.example:8883");
        assert_eq!(any("mqtts://a.example:1", "b.example:2"), "mqtts://b.example:2");
        assert_eq!(any("mqtt://a.example:1", "10.1.2.3:2"), "mqtt://10.1.2.3:2");
        assert_eq!(
            any("mqtt://a.example", "[fe80::9610:3eff:fe1c]:1883"),
            "mqtt://[fe80::9610:3eff:fe1c]:1883"
        );
        assert_eq!(any("wss://a.example/mqtt", "b.example"), "wss://b.example:443/mqtt");
        assert_eq!(any("mqtt://a.example", "  b.example:5 c.example"), "mqtt://b.example:5");
    }

    #[test]
    fn what_is_no_reference() {
        let malformed = Err("since it is not a name with a port or without");
        for bad in ["mqtt://b", "b/path", "u:p@b", "b:0", "b:65536", "b:x", ":1883", "a\tb", "?x"] {
            assert_eq!(to("mqtts://a.example", bad, Redirect::Any), malformed, "{bad}");
        }
        for empty in ["", " ", "   "] {
            assert_eq!(to("mqtt://a.example", empty, Redirect::Any), Err("since it names no server"));
        }
        // Another one in the list may be.
        assert_eq!(to("mqtt://a.example", "b/path c:7", Redirect::Any).unwrap(), "mqtt://c:7");
        assert!(to("mqtt://a.example", "a.example", Redirect::Never).is_err());
        // A local socket has no neighbours.
        assert!(to("unix:/run/mqtt.sock", "b.example", Redirect::Any).is_err());
    }

    #[test]
    fn the_same_domain() {
        let same = |from: &str, reference: &str| to(from, reference, Redirect::SameDomain).is_ok();
        for near in [
            "mqtt.example.com",
            "MQTT.Example.COM.",
            "mqtt-2.example.com",
            "a.b.example.com",
            "x.mqtt.example.com:9",
        ] {
            assert!(same("mqtt.example.com", near), "{near}");
        }
        for far in [
            "example.com",
            "mqtt.example.org",
            "evilexample.com",
            "mqtt.example.com.evil",
            ".example.com",
            "com",
            "10.0.0.1",
        ] {
            assert!(!same("mqtt.example.com", far), "{far}");
        }
        assert!(same("example.com", "a.example.com") && same("example.com", "example.com:7"));
        assert!(!same("example.com", "other.com"));
        assert!(same("localhost", "localhost:2") && !same("localhost", "host"));
        assert!(
            same("10.0.0.1", "10.0.0.1:2") && !same("10.0.0.1", "10.0.0.2") && !same("10.0.0.1", "2.0.0.1")
        );
        assert!(same("[::1]", "[::1]:2") && !same("[::1]", "[::2]"));
        // One of several.
        assert_eq!(
            to("a.example.com", "b.evil c.example.com", Redirect::SameDomain).unwrap(),
            "mqtt://c.example.com:1883"
        );
    }
}
