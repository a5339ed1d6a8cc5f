//! A server's address: what is read can be written, and is then read as the same.

use std::net::Ipv6Addr;

use mgos_mqtt::config::address::Wanted;
use mgos_mqtt::config::{Address, Scheme};

/// The first byte says what the profile wants, the rest is the address.
pub fn run(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let wanted = Wanted { tls: first & 1 == 1, websocket: first & 2 == 2 };
    let address = match Address::parse(text, wanted) {
        Ok(address) => address,
        Err(error) => {
            assert!(!error.text().is_empty());
            return;
        }
    };
    assert_eq!(address.scheme == Scheme::Unix, address.host.is_empty());
    assert_eq!(address.scheme == Scheme::Unix, address.port == 0);
    if let Some((ip, _)) = address.host.split_once('%') {
        assert!(ip.parse::<Ipv6Addr>().is_ok(), "{address:?}");
    }
    let written = address.to_string();
    assert_eq!(Address::parse(&written, Wanted::default()).as_ref(), Ok(&address), "{written}");
}
