//! Why a server address was refused: one sentence for each mistake.

use core::fmt;

use crate::error::Code;

macro_rules! refusals {
    ($($variant:ident = $text:literal;)*) => {
        /// Why a text is not a server address.
        ///
        /// The sentences never quote the address: it may hold a password that does not belong there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum AddressError { $(#[doc = $text] $variant,)* }

        impl AddressError {
            /// Every refusal.
            #[cfg(test)]
            pub(super) const ALL: &'static [AddressError] = &[$(AddressError::$variant,)*];

            /// The sentence, without a full stop.
            pub const fn text(self) -> &'static str {
                match self { $(AddressError::$variant => $text,)* }
            }
        }
    };
}

refusals! {
    Empty = "the address is empty";
    Blank = "an address has no blanks, line breaks or control characters";
    UnknownScheme = "unknown scheme: use mqtt, mqtts, tcp, ssl, tls, ws, wss or unix, or none";
    UserInfo = "credentials stand behind a scheme, as in mqtt://user:password@host, or in the fields user and pass";
    UserInfoEncoding = "in the user name and the password of an address, @ / ? # % and what is not ASCII are written as % and two hexadecimal digits, %40 for @";
    UserUtf8 = "the user name in the address is not UTF-8";
    PlainWithTls = "the scheme says plain text, but the profile has TLS settings: use mqtts or wss, or leave the scheme out";
    NotWebSocket = "the scheme says no WebSocket, but ws_enable is set: use ws or wss, or leave the scheme out";
    Path = "an MQTT address ends after the port: only WebSocket and unix addresses have a path";
    WebSocketPath = "the path of a WebSocket address begins with a slash, is ASCII and has no #";
    UnixHost = "a unix address has a path and no host: unix:/run/mqtt.sock";
    UnixPath = "the path of the unix address is missing";
    UnixPathTooLong = "the path of a local socket has at most 103 bytes, 107 on Linux";
    UnixWithTls = "a unix address says no TLS, but the profile has TLS settings: leave them out for a local socket";
    NoHost = "the host is missing";
    NotAscii = "a host name is ASCII: write an international name in punycode (xn--...)";
    NameTooLong = "a host name has at most 253 characters";
    EmptyLabel = "a host name has an empty part between two dots";
    LabelTooLong = "each part of a host name has at most 63 characters";
    NameCharacter = "a host name consists of letters, digits, hyphens, underscores and dots";
    Ipv4 = "the host ends in a number but is not an IPv4 address like 192.0.2.1";
    Ipv6 = "there is no valid IPv6 address between the brackets";
    OpenBracket = "the bracket around the IPv6 address is not closed";
    AfterBracket = "after the closing bracket comes nothing or a colon and the port";
    ManyColons = "more than one colon, and not an IPv6 address: write host:port, or [IPv6 address]:port";
    PortMissing = "the port after the colon is missing";
    PortNotANumber = "the port is not a number";
    AfterPort = "something follows the port";
    PortZero = "port 0 cannot be connected to";
    PortTooLarge = "the port is larger than 65535";
}

impl AddressError {
    /// The number of the error: `BAD_ADDRESS` for all of them.
    pub const fn code(self) -> Code {
        Code::BadAddress
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for AddressError {}
