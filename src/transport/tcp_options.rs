//! A TCP socket that is made as [`SocketOptions`] ask for.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::LayerError;
use crate::config::SocketOptions;
use crate::error::{Code, Phase};
use crate::time::Span;

/// EINPROGRESS, which is not worth `libc` in this room.
const IN_PROGRESS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 150 } else { 115 }
} else if cfg!(any(target_os = "illumos", target_os = "solaris")) {
    150
} else {
    36
};

/// Begins to connect. An option that the system refuses is an error with its name, never left out.
pub(super) fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    configure(&socket, address.is_ipv6(), options)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

fn configure(socket: &Socket, is_ipv6: bool, options: &SocketOptions) -> Result<(), LayerError> {
    let SocketOptions {
        source_address,
        source_interface,
        keepalive_idle: idle,
        keepalive_interval: interval,
        keepalive_count: count,
        user_timeout,
        dscp,
        send_buffer,
        receive_buffer,
    } = options;
    // Before anything is sent, so that TCP scales its window to it.
    if *receive_buffer > 0 {
        let done = socket.set_recv_buffer_size(*receive_buffer);
        named("socket_receive_buffer", receive_buffer, done)?;
    }
    if *send_buffer > 0 {
        named("socket_send_buffer", send_buffer, socket.set_send_buffer_size(*send_buffer))?;
    }
    if let Some(name) = source_interface {
        named("source_interface", name, bind_interface(socket, name))?;
    }
    if let Some(source) = source_address {
        named("source_address", source, socket.bind(&SocketAddr::new(*source, 0).into()))?;
    }
    if *dscp > 0 {
        // The two bits below are those of explicit congestion notification.
        let class = dscp << 2;
        named("dscp", dscp, if is_ipv6 { traffic_class(socket, class) } else { socket.set_tos_v4(class) })?;
    }
    if let Some(wait) = user_timeout {
        named("tcp_user_timeout_ms", wait.as_millis_ceil(), set_user_timeout(socket, *wait))?;
    }
    // One after the other, since the system does not say which of them it refuses.
    let keep_alive = TcpKeepalive::new;
    if let Some(idle) = idle {
        let with = keep_alive().with_time(whole_seconds(*idle));
        named("tcp_keepalive_idle_ms", idle.as_millis_ceil(), socket.set_tcp_keepalive(&with))?;
    }
    if let Some(interval) = interval {
        let with = keep_alive().with_interval(whole_seconds(*interval));
        named("tcp_keepalive_interval_ms", interval.as_millis_ceil(), socket.set_tcp_keepalive(&with))?;
    }
    if let Some(count) = count {
        let with = keep_alive().with_retries(*count);
        named("tcp_keepalive_count", count, socket.set_tcp_keepalive(&with))?;
    }
    Ok(())
}

/// The system counts in seconds, and refuses 0.
fn whole_seconds(span: Span) -> std::time::Duration {
    Span::secs(span.as_millis_ceil().div_ceil(1000)).to_duration()
}

/// The error names the option, its value, and what the system said.
fn named(option: &str, value: impl Display, done: io::Result<()>) -> Result<(), LayerError> {
    done.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrNotAvailable => ": no interface of this device has that address",
            io::ErrorKind::PermissionDenied => ": this process may not do that",
            _ if option == "source_interface" && error.raw_os_error() == Some(NO_DEVICE) => {
                ": there is no interface of that name"
            }
            _ => "",
        };
        let text = format!("the option {option} {value} cannot be set on the socket: {error}{hint}");
        LayerError { code: Code::SocketOption, phase: Phase::Tcp, text, alert: None }
    })
}

/// ENODEV, everywhere.
const NO_DEVICE: i32 = 19;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_interface(socket: &Socket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_interface(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::Error::other("only Linux can do that; set source_address to an address of the interface"))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_user_timeout(socket: &Socket, wait: Span) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(wait.to_duration()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_user_timeout(_: &Socket, _: Span) -> io::Result<()> {
    Err(io::Error::other("only Linux can do that"))
}

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn traffic_class(socket: &Socket, class: u32) -> io::Result<()> {
    socket.set_tclass_v6(class)
}

#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn traffic_class(_: &Socket, _: u32) -> io::Result<()> {
    Err(io::Error::other("this system cannot do that"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    fn connected(on: &str, options: &SocketOptions) -> (io::Result<Socket>, TcpListener) {
        let listener = TcpListener::bind((on, 0)).unwrap();
        let stream = connect(listener.local_addr().unwrap(), options);
        (stream.map(Socket::from), listener)
    }

    fn all() -> SocketOptions {
        SocketOptions {
            source_address: None,
            source_interface: None,
            keepalive_idle: Some(Span::millis(30_001)),
            keepalive_interval: Some(Span::secs(7)),
            keepalive_count: Some(4),
            user_timeout: Some(Span::millis(12_345)),
            dscp: 46,
            send_buffer: 8_192,
            receive_buffer: 16_384,
        }
    }

    #[test]
    fn the_socket_has_what_was_asked_for() {
        let (socket, listener) = connected("127.0.0.1", &all());
        let socket = socket.unwrap();
        assert!(socket.keepalive().unwrap() && socket.nonblocking().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(31));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(12_345)));
        assert_eq!(socket.tos_v4().unwrap(), 46 << 2);
        // The system doubles both.
        assert_eq!(socket.send_buffer_size().unwrap(), 16_384);
        assert_eq!(socket.recv_buffer_size().unwrap(), 32_768);
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn of_keepalive_the_system_has_what_was_not_set() {
        let options = SocketOptions { keepalive_count: Some(2), ..SocketOptions::default() };
        let socket = connected("127.0.0.1", &options).0.unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
        let system: u64 =
            std::fs::read_to_string("/proc/sys/net/ipv4/tcp_keepalive_time").unwrap().trim().parse().unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(system));
    }

    #[test]
    fn the_class_of_service_with_ipv6() {
        let Ok(probe) = TcpListener::bind("[::1]:0") else { return };
        drop(probe);
        let socket = connected("::1", &all()).0.unwrap();
        assert_eq!(socket.tclass_v6().unwrap(), 46 << 2);
    }

    #[test]
    fn what_the_system_refuses_is_named() {
        let text = |options| connected("127.0.0.1", &options).0.unwrap_err().to_string();
        let address = Some("192.0.2.77".parse().unwrap());
        let text_of_address = text(SocketOptions { source_address: address, ..SocketOptions::default() });
        assert!(
            text_of_address.starts_with("the option source_address 192.0.2.77 cannot be set on the socket: ")
                && text_of_address.ends_with(": no interface of this device has that address"),
            "{text_of_address}"
        );
        let none = SocketOptions::default;
        let interface = Some("nosuch7".to_owned());
        let (too_long, too_many) = (Some(Span::secs(32_768)), Some(128));
        for (options, what) in [
            (SocketOptions { source_interface: interface, ..none() }, "source_interface nosuch7"),
            (SocketOptions { keepalive_idle: too_long, ..all() }, "tcp_keepalive_idle_ms 32768000"),
            (SocketOptions { keepalive_interval: too_long, ..all() }, "tcp_keepalive_interval_ms 32768000"),
            (SocketOptions { keepalive_count: too_many, ..all() }, "tcp_keepalive_count 128"),
        ] {
            let text = text(options);
            assert!(text.starts_with(&format!("the option {what} cannot be set on the socket: ")), "{text}");
        }
    }
}
