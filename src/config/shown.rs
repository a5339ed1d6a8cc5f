//! Server addresses in places where people may read them.

use core::fmt;

/// An address as it may be shown: without user name and password, which do not belong there but may be there all the
/// same, and without the query of a WebSocket address, in which clouds put signatures.
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self.0.split_once("://") {
            Some((scheme, rest)) => {
                write!(f, "{scheme}://")?;
                rest
            }
            None => self.0,
        };
        // The last `@`: a password may contain others. A path that contains one is cut, too; that
        // is not worth the risk.
        let rest = match rest.rsplit_once('@') {
            Some((_, rest)) => {
                f.write_str("***@")?;
                rest
            }
            None => rest,
        };
        match rest.split_once('?') {
            Some((rest, _)) => write!(f, "{rest}?***"),
            None => f.write_str(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_left_out_and_nothing_else() {
        for (address, shown) in [
            ("mqtt://u:pw@h:1883", "mqtt://***@h:1883"),
            ("u:pw@h", "***@h"),
            ("pw@h", "***@h"),
            ("mqtts://u:p@w/x@h", "mqtts://***@h"),
            ("mqtt://u:p://w@h", "mqtt://***@h"),
            ("wss://h/mqtt?X-Amz-Signature=abc", "wss://h/mqtt?***"),
            ("wss://u:p?w@h/mqtt?a@b", "wss://***@b"),
            ("h:1883", "h:1883"),
            ("[fe80::1%eth0]:1883", "[fe80::1%eth0]:1883"),
            ("unix:/run/mqtt.sock", "unix:/run/mqtt.sock"),
            ("", ""),
        ] {
            assert_eq!(Shown(address).to_string(), shown, "{address}");
        }
    }
}
