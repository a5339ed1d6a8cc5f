//! Whatever the socket takes at a time: what reaches it is in order, and it is known exactly what has gone out.

use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::*;
use crate::transport::Layer;

/// What a record has beside its plaintext.
const HEADER: usize = 3;

/// Puts a length before each record, and encrypts nothing. Whatever comes is answered with this many empty records.
struct Plain {
    answers: usize,
    made: VecDeque<Vec<u8>>,
}

impl Engine for Plain {
    fn is_handshaking(&self) -> bool {
        false
    }

    fn receive(&mut self, socket: &mut dyn Transport) -> io::Result<usize> {
        socket.read(&mut [0])
    }

    fn process(&mut self) -> Result<(), LayerError> {
        self.made.extend((0..self.answers).map(|_| vec![0x17, 0, 0]));
        Ok(())
    }

    fn collect(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while let Some(record) = self.made.pop_front() {
            out.write_all(&record)?;
        }
        Ok(())
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len();
        assert!(n <= RECORD);
        self.made.push_back([&[0x17, (n >> 8) as u8, n as u8], bytes].concat());
        Ok(n)
    }

    fn close_notify(&mut self) {}

    fn closing_hint(&self) -> &'static str {
        ""
    }

    fn describe(&self) -> Option<String> {
        None
    }
}

#[derive(Debug)]
struct Answering(usize);

impl Backend for Answering {
    fn engine(self: Arc<Self>, _: &str) -> Result<Box<dyn Engine>, LayerError> {
        Ok(Box::new(Plain { answers: self.0, made: VecDeque::new() }))
    }
}

/// What the socket takes with the next calls, and what it took.
#[derive(Default)]
struct Taken {
    next: VecDeque<usize>,
    bytes: Vec<u8>,
    /// So many bytes have come that are not read yet.
    came: usize,
}

impl Taken {
    /// The plaintext of the records that are there whole.
    fn plaintext(&self) -> Vec<u8> {
        let (mut plain, mut rest) = (Vec::new(), &self.bytes[..]);
        while let [0x17, high, low, behind @ ..] = rest {
            let n = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(record) = behind.get(..n) else { break };
            plain.extend(record);
            rest = &behind[n..];
        }
        assert!(rest.len() < HEADER || rest[0] == 0x17, "something else where a record should begin");
        plain
    }
}

#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Taken>>);

impl Socket {
    fn with<T>(&self, look: impl FnOnce(&mut Taken) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for Socket {
    fn register(&mut self, _: &Registry, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {}

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|taken| match taken.came.min(buf.len()) {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => {
                taken.came -= n;
                Ok(n)
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|taken| match taken.next.pop_front().unwrap_or(0).min(bytes.len()) {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => {
                taken.bytes.extend(&bytes[..n]);
                Ok(n)
            }
        })
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

/// Who writes keeps what is not out, and counts on that being the same when he goes on: what is sent while something is
/// read is told then.
#[test]
fn reading_does_not_change_what_is_known_to_be_out() {
    let socket = Socket::default();
    let backend: Arc<dyn Backend> = Arc::new(Answering(0));
    let mut tls = wrap(Stream::Other(Box::new(socket.clone())), &backend, "").unwrap();
    assert_eq!(tls.write(&[7; 1_000]).unwrap(), 1_000);
    assert_eq!(tls.unsent(), 1_000);
    socket.with(|taken| {
        taken.next = [usize::MAX; 8].into();
        taken.came = 1;
    });
    assert_eq!(tls.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(socket.with(|taken| taken.plaintext()), [7; 1_000]);
    assert_eq!(tls.unsent(), 1_000);
    tls.flush().unwrap();
    assert_eq!(tls.unsent(), 0);
    assert_eq!(socket.with(|taken| taken.plaintext()), [7; 1_000]);
}

#[test]
fn what_the_engine_answers_goes_out_as_one_piece() {
    let socket = Socket::default();
    let backend: Arc<dyn Backend> = Arc::new(Answering(3));
    let mut tls = wrap(Stream::Other(Box::new(socket.clone())), &backend, "").unwrap();
    socket.with(|taken| {
        taken.next = [usize::MAX; 4].into();
        taken.came = 1;
    });
    assert_eq!(tls.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.with(|taken| assert_eq!((taken.bytes.len(), taken.next.len()), (3 * HEADER, 3)));
    assert_eq!(tls.write(b"data").unwrap(), 4);
    socket.with(|taken| assert_eq!((taken.bytes.len(), taken.next.len()), (4 * HEADER + 4, 2)));
}

/// As TLS through a proxy that speaks TLS itself.
#[test]
fn layers_stack() {
    let socket = Socket::default();
    let layers = [0, 0].map(|answers| Layer::Tls(Arc::new(Answering(answers))));
    let bottom = Stream::Other(Box::new(socket.clone()));
    let mut top = layers.iter().fold(bottom, |below, layer| layer.begin(below, "").unwrap());
    assert!(top.handshake().unwrap());
    assert_eq!(top.write(&[7; 1_000]).unwrap(), 1_000);
    assert_eq!(top.unsent(), 1_000, "the layer below has it");
    // All but one byte.
    socket.with(|taken| taken.next = [1_000 + 2 * HEADER - 1].into());
    assert_eq!(top.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(top.unsent(), 1_000);
    socket.with(|taken| taken.next = [1].into());
    top.flush().unwrap();
    assert_eq!(top.unsent(), 0);
    let inner = Taken { bytes: socket.with(|taken| taken.plaintext()), ..Taken::default() };
    assert_eq!(inner.plaintext(), [7; 1_000]);
}

/// A socket that always takes something and never all of it must not make us keep what it took.
#[test]
fn what_the_socket_took_is_not_kept() {
    let socket = Socket::default();
    let inner = Stream::Other(Box::new(socket.clone()));
    let mut below = Below::new(inner);
    let record = [0x17; RECORD];
    let mut made = 0;
    for _ in 0..300 {
        while below.waiting() < HIGH {
            below.write_all(&record).unwrap();
            made += record.len();
        }
        // Less than waits, and then nothing more.
        socket.with(|taken| taken.next = [RECORD + 1, 0].into());
        assert_eq!(below.push().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert!(made > 64 * HIGH);
    assert!(
        below.out.capacity() <= 8 * HIGH,
        "{} bytes of memory for {}",
        below.out.capacity(),
        below.waiting()
    );
    socket.with(|taken| taken.next = [usize::MAX].into());
    below.push().unwrap();
    assert_eq!(socket.with(|taken| taken.bytes.len()), made);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_order_and_counted_to_the_byte(
        writes in prop::collection::vec(0..90_000_usize, 1..12),
        takes in prop::collection::vec(prop_oneof![Just(0), 1..40_usize, 1..20_000_usize, Just(usize::MAX)], 0..60),
    ) {
        let socket = Socket::default();
        let backend: Arc<dyn Backend> = Arc::new(Answering(0));
        let mut tls = wrap(Stream::Other(Box::new(socket.clone())), &backend, "").unwrap();
        socket.with(|taken| taken.next.extend(takes));
        let mut given = Vec::new();
        for len in writes {
            // No two places look alike.
            let from = given.len() as u32;
            let bytes: Vec<u8> =
                (from..).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(len).collect();
            match tls.write(&bytes) {
                Ok(n) => given.extend(&bytes[..n]),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let gone = socket.with(|taken| taken.plaintext());
            prop_assert!(given.starts_with(&gone));
            prop_assert_eq!(tls.unsent(), given.len() - gone.len());
        }
        // The socket takes everything again.
        socket.with(|taken| taken.next = [usize::MAX; 100].into());
        tls.flush().unwrap();
        prop_assert_eq!(tls.unsent(), 0);
        prop_assert_eq!(socket.with(|taken| taken.plaintext()), given);
    }
}
