//! TCP, alone and through a loop.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::driver_support::{new_loop, server, until};
use mgos_mqtt::config::SocketOptions;
use mgos_mqtt::driver::{Loop, Source, Turn};
use mgos_mqtt::transport::{Tcp, Transport};

/// Calls a closure with the stream in every turn after it was registered.
struct Stream<F>(Mutex<(Tcp, bool, F)>);

impl<F: FnMut(&mut Tcp, &mut Turn<'_>) + Send> Source for Stream<F> {
    fn drive(&self, turn: &mut Turn<'_>) {
        let (tcp, registered, run) = &mut *self.0.lock().unwrap();
        if !std::mem::replace(registered, true) {
            tcp.register(turn.registry(), turn.token()).unwrap();
            return;
        }
        run(tcp, turn);
    }
}

fn add(on: &Loop, tcp: Tcp, run: impl FnMut(&mut Tcp, &mut Turn<'_>) + Send + 'static) {
    let id = on.add(Arc::new(Stream(Mutex::new((tcp, false, run))))).unwrap();
    on.schedule(id);
}

#[test]
fn nobody_listens() {
    let address = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let on = new_loop();
    let result = Arc::new(Mutex::new(None));
    let to = result.clone();
    // Some systems say it at once.
    match Tcp::connect(address, &SocketOptions::default()) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        Ok(tcp) => {
            add(&on, tcp, move |tcp, _| *to.lock().unwrap() = Some(tcp.connected()));
            until(&on, || result.lock().unwrap().is_some());
            let result = result.lock().unwrap().take().unwrap();
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    }
}

#[test]
fn bytes_arrive_in_order_however_they_are_cut() {
    let expected: Vec<u8> = (0..=250).cycle().take(8_000_003).collect();
    let (address, server) = server(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let on = new_loop();
    let done = Arc::new(Mutex::new(false));
    let (to, bytes) = (done.clone(), expected.clone());
    let mut sent = 0;
    add(&on, Tcp::connect(address, &SocketOptions::default()).unwrap(), move |tcp, turn| {
        if !tcp.connected().unwrap() {
            return;
        }
        while sent < bytes.len() {
            match tcp.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
        tcp.shutdown();
        *to.lock().unwrap() = true;
        turn.handle().notify();
    });
    until(&on, || *done.lock().unwrap());
    assert!(server.join().unwrap() == expected);
}

#[test]
fn after_a_half_close_the_other_half_goes_on() {
    let (address, server) = server(|mut stream| {
        let mut request = String::new();
        stream.read_to_string(&mut request).unwrap();
        std::io::Write::write_all(&mut stream, b"bye").unwrap();
        request
    });
    let on = new_loop();
    let answer = Arc::new(Mutex::new((Vec::new(), false)));
    let (to, mut asked) = (answer.clone(), false);
    add(&on, Tcp::connect(address, &SocketOptions::default()).unwrap(), move |tcp, turn| {
        if !tcp.connected().unwrap() {
            return;
        }
        if !std::mem::replace(&mut asked, true) {
            assert_eq!(tcp.peer(), Some(address.into()));
            assert!(tcp.handshake().unwrap());
            assert_eq!((tcp.unsent(), tcp.has_unread()), (0, false));
            assert_eq!(tcp.write(b"good").unwrap(), 4);
            tcp.shutdown();
        }
        let answer = &mut *to.lock().unwrap();
        loop {
            match tcp.read(turn.buffer) {
                Ok(0) => break answer.1 = true,
                Ok(n) => answer.0.extend_from_slice(&turn.buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    });
    until(&on, || answer.lock().unwrap().1);
    assert_eq!(answer.lock().unwrap().0, b"bye");
    assert_eq!(server.join().unwrap(), "good");
}

/// A C host has SIGPIPE as the system sets it, and dies of it. A Rust program ignores it, so the
/// test runs itself once more, as a child that behaves like a C host.
#[test]
fn a_peer_that_went_away_is_an_error_and_not_a_signal() {
    const ROLE: &str = "MGOS_TEST_SIGPIPE_CHILD";
    if std::env::var_os(ROLE).is_none() {
        let name = "a_peer_that_went_away_is_an_error_and_not_a_signal";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ROLE, "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the child ended with {status}");
        return;
    }
    // SAFETY: this process runs nothing but this test; the default action is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (address, server) = server(|stream| stream.shutdown(Shutdown::Both).unwrap());
    let mut tcp = Tcp::connect(address, &SocketOptions::default()).unwrap();
    // The server accepted, so this end is connected, too.
    server.join().unwrap();
    assert!(tcp.connected().unwrap());
    // The end of the sending half makes every later send a broken pipe, without a race.
    tcp.shutdown();
    assert_eq!(tcp.write(b"a").unwrap_err().kind(), ErrorKind::BrokenPipe);
}
