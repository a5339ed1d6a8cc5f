//! Options of the TCP socket that leads to the server, or to the proxy before it.

use std::net::IpAddr;

use super::error::ConfigError;
use crate::time::Span;

/// The longest name of a network interface (Linux; BSD allows as many).
const LONGEST_INTERFACE: usize = 15;
/// The longest time between two probes that Linux takes.
const LONGEST_PROBE: Span = Span::secs(32_767);

/// What is not set stays as the system has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// The address that the socket is bound to; servers with addresses of the other family only cannot be reached from there.
    pub source_address: Option<IpAddr>,
    /// The network interface that the socket is bound to, whatever the routes say.
    pub source_interface: Option<String>,
    /// Without traffic for so long, the first probe of TCP keep-alive is sent.
    pub keepalive_idle: Option<Span>,
    /// So long after an unanswered probe comes the next one.
    pub keepalive_interval: Option<Span>,
    /// After so many unanswered probes the connection is lost.
    pub keepalive_count: Option<u32>,
    /// So long bytes may stay unacknowledged before the connection is lost.
    pub user_timeout: Option<Span>,
    /// The class of service (RFC 2474), 6 bits.
    pub dscp: u32,
    /// The room of the system's send buffer, in bytes; 0 is the system's.
    pub send_buffer: usize,
    /// The room of its receive buffer.
    pub receive_buffer: usize,
}

impl SocketOptions {
    /// An address that a socket can be bound to.
    pub fn source(text: &str) -> Result<IpAddr, ConfigError> {
        text.parse().map_err(|_| {
            let problem = format!(
                "{text:?} is not an IP address, such as 192.0.2.1 or 2001:db8::1; the name of a network interface goes \
                 into source_interface"
            );
            ConfigError::new("source_address", problem)
        })
    }

    /// Whether a socket that is bound as this says can reach an address of this family.
    pub fn reaches(&self, address: &IpAddr) -> bool {
        self.source_address.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
    }

    /// The first thing that is wrong.
    pub(super) fn check(&self) -> Option<ConfigError> {
        if let Some(name) = &self.source_interface
            && (name.len() > LONGEST_INTERFACE || name.bytes().any(|b| b <= b' ' || b == b'/'))
        {
            let problem = format!(
                "{name:?} is not the name of a network interface, such as eth0: at most {LONGEST_INTERFACE} bytes, without \
                 spaces and slashes"
            );
            return Some(ConfigError::new("source_interface", problem));
        }
        let spans = [
            ("tcp_keepalive_idle_ms", self.keepalive_idle),
            ("tcp_keepalive_interval_ms", self.keepalive_interval),
        ];
        let (key, _) = spans.into_iter().find(|(_, span)| span.is_some_and(|span| span > LONGEST_PROBE))?;
        let problem = format!("more than {} ms is more than TCP can wait", LONGEST_PROBE.as_millis_ceil());
        Some(ConfigError::new(key, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let text =
            |options: SocketOptions| options.check().map_or_else(String::new, |error| error.to_string());
        assert_eq!(text(SocketOptions::default()), "");
        let interface =
            |name: &str| SocketOptions { source_interface: Some(name.into()), ..SocketOptions::default() };
        assert_eq!(text(interface("wwan0.100")), "");
        for bad in ["a b", "a/b", "sixteen-letters0"] {
            assert!(text(interface(bad)).starts_with("source_interface: \""), "{bad}");
        }
        let idle = |ms| SocketOptions { keepalive_idle: Some(Span::millis(ms)), ..SocketOptions::default() };
        assert_eq!(text(idle(32_767_000)), "");
        assert_eq!(
            text(idle(32_767_001)),
            "tcp_keepalive_idle_ms: more than 32767000 ms is more than TCP can wait"
        );
        assert_eq!(SocketOptions::source("::1").unwrap(), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        let text = SocketOptions::source("eth0").unwrap_err().to_string();
        assert!(text.starts_with("source_address: \"eth0\" is not an IP address"), "{text}");
    }
}
