//! Files of certificates on a slow flash: read when they changed, and nobody waits meanwhile.
//!
//! This program has an `open64()` of its own, which counts, and waits where a test tells it to.

#![cfg(all(feature = "tls", target_os = "linux"))]

mod tls_support;

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use mgos_mqtt::error::Code;
use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Ca, Client, Folder, profile};

/// How often a file was opened whose name has `counted` in it.
static OPENED: AtomicUsize = AtomicUsize::new(0);
/// Whether a file is being opened whose name has `slow` in it, and may be.
static WAITS: AtomicBool = AtomicBool::new(false);
static GO: AtomicBool = AtomicBool::new(false);

/// # Safety
/// As that of the C library, whose place it takes. The third argument is passed as if it were a named one on all systems
/// that these tests run on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: a C string, as the caller promises.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
    if has(b"counted") && flags & libc::O_ACCMODE == libc::O_RDONLY {
        OPENED.fetch_add(1, SeqCst);
    }
    if has(b"slow.pem") && flags & libc::O_ACCMODE == libc::O_RDONLY {
        WAITS.store(true, SeqCst);
        while !GO.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // SAFETY: the caller's arguments.
    unsafe { libc::openat64(libc::AT_FDCWD, path, flags, mode) }
}

/// field: F-52
#[test]
fn files_are_read_when_they_changed() {
    let (ca, other, folder) = (Ca::new("CA"), Ca::new("Other CA"), Folder::new());
    let broker = Broker::tls(&ca.issue(&["127.0.0.1"]), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("counted.pem", &ca.pem));
    let client = Client::new(p);
    let again = |closed| {
        let before = OPENED.load(SeqCst);
        client.up();
        client.conn.disconnect().unwrap();
        client.until(|seen| seen.closed == closed);
        OPENED.load(SeqCst) - before
    };
    assert_eq!(again(1), 1, "it is read for the first attempt");
    // A file that was just written could be written again within the same tick of its clock: it is not trusted at once.
    let mut attempts = 1;
    loop {
        attempts += 1;
        if again(attempts) == 0 {
            break;
        }
        assert!(attempts < 500, "it is read each time");
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..3 {
        attempts += 1;
        assert_eq!(again(attempts), 0);
    }
    // What replaces it is seen, and so is what is written into it, though it has the same length and time.
    folder.put("counted.pem", &other.pem);
    assert_eq!(client.attempt().code, Code::TlsUntrusted);
    let file = folder.put("counted.pem", &ca.pem);
    attempts += 1;
    assert_eq!(again(attempts), 1);
    let times = std::fs::metadata(&file).unwrap().modified().unwrap();
    let damaged = ca.pem.replacen(|c: char| c.is_ascii_lowercase(), "!", 1);
    std::fs::write(&file, damaged).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    assert_eq!(client.attempt().code, Code::TlsBadFile);
}

/// field: F-52
#[test]
fn nobody_waits_for_a_file_that_is_being_read() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let broker = Broker::tls(&ca.issue(&["127.0.0.1"]), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("slow.pem", &ca.pem));
    let client = Client::new(p);
    let (told, done) = mpsc::channel();
    std::thread::scope(|scope| {
        let conn = client.conn.clone();
        scope.spawn(move || {
            while !WAITS.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Each of these takes the connection's lock.
            conn.publish(Publication::new("t", b"x", QoS::AtLeastOnce)).unwrap();
            conn.report();
            told.send(()).unwrap();
        });
        scope.spawn(move || {
            let heard = done.recv_timeout(Duration::from_secs(20));
            GO.store(true, SeqCst);
            heard.expect("who publishes waits for the file");
        });
        client.up();
    });
    client.until(|seen| seen.acknowledged == 1);
}
