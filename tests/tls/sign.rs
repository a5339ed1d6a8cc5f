//! A function of the application signs for the client: the key is where the library cannot read it.

#![cfg(all(feature = "tls", feature = "capi"))]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "all are calls of the C API with what its headers ask for"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::process::Command;
use std::ptr::null_mut;

use crate::tls_support::{Broker, Ca, Folder};
use mgos_mqtt::capi::mgos_config::mgos_config_mqtt_set_defaults;
use mgos_mqtt::capi::mgos_mqtt_conn::{mgos_mqtt_conn_free, mgos_mqtt_conn_is_connected};
use mgos_mqtt::capi::mgos_mqtt_connect::{mgos_mqtt_conn_connect_wait, mgos_mqtt_conn_state};
use mgos_mqtt::capi::mgos_mqtt_error::mgos_mqtt_conn_last_error_text;
use mgos_mqtt::capi::mgos_mqtt_loop::{mgos_mqtt_loop_create, mgos_mqtt_loop_free};
use mgos_mqtt::capi::mgos_mqtt_options::{
    mgos_mqtt_conn_create_on, mgos_mqtt_conn_set_certificate, mgos_mqtt_conn_set_sign_fn,
};
use mgos_mqtt::capi::types::mgos_config::mgos_config_mqtt;
use mgos_mqtt::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use mgos_mqtt::capi::types::mgos_mqtt_connect::mgos_mqtt_state;
use mgos_mqtt::capi::types::mgos_mqtt_loop::mgos_mqtt_loop;
use mgos_mqtt::capi::types::mgos_mqtt_options::{MGOS_MQTT_RETRY_NEVER, mgos_mqtt_options};
use mgos_mqtt::error::Code;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

type SignBy = dyn Fn(u16, &[u8]) -> Result<Vec<u8>, c_int>;

/// The key, and what its user saw.
struct Keeper {
    sign: Box<SignBy>,
    schemes: Vec<u16>,
    /// Free the connection while it signs.
    frees: bool,
    freed: bool,
}

impl Keeper {
    /// One that has this key in memory.
    fn with(pem: &str) -> Keeper {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        Keeper::by(move |scheme, message| {
            key.choose_scheme(&[scheme.into()]).ok_or(-1)?.sign(message).map_err(|_| -2)
        })
    }

    fn by(sign: impl Fn(u16, &[u8]) -> Result<Vec<u8>, c_int> + 'static) -> Keeper {
        Keeper { sign: Box::new(sign), schemes: Vec::new(), frees: false, freed: false }
    }
}

unsafe extern "C" fn sign(
    c: *mut mgos_mqtt_conn,
    scheme: c_int,
    message: *const c_void,
    message_len: usize,
    signature: *mut c_void,
    signature_len: *mut usize,
    ud: *mut c_void,
) -> c_int {
    let (keeper, message, room) = unsafe {
        let message = std::slice::from_raw_parts(message.cast::<u8>(), message_len);
        (
            &mut *ud.cast::<Keeper>(),
            message,
            std::slice::from_raw_parts_mut(signature.cast::<u8>(), *signature_len),
        )
    };
    // Every function may be called here: nothing is locked.
    let mut state: mgos_mqtt_state = unsafe { std::mem::zeroed() };
    state.size = size_of_val(&state);
    assert_eq!(unsafe { mgos_mqtt_conn_state(c, &mut state) }, 0);
    keeper.schemes.push(scheme as u16);
    if keeper.frees {
        unsafe { mgos_mqtt_conn_free(c) };
    }
    match (keeper.sign)(scheme as u16, message) {
        Ok(bytes) => {
            room[..bytes.len()].copy_from_slice(&bytes);
            unsafe { *signature_len = bytes.len() };
            0
        }
        Err(number) => number,
    }
}

unsafe extern "C" fn taken_back(ud: *mut c_void) {
    unsafe { (*ud.cast::<Keeper>()).freed = true };
}

/// A broker that wants a certificate, and a connection to it with this certificate.
struct Scene {
    home: *mut mgos_mqtt_loop,
    conn: *mut mgos_mqtt_conn,
    _broker: Broker,
}

impl Scene {
    fn new(ca: &Ca, certificate: &str, only: &str, keeper: &mut Keeper) -> Scene {
        let folder = Folder::new();
        let lines = format!("cafile {}\nrequire_certificate true\n{only}", folder.put("ca.pem", &ca.pem));
        let broker = Broker::tls(&ca.issue(&["127.0.0.1"]), &lines);
        let server = CString::new(format!("mqtts://127.0.0.1:{}", broker.port)).unwrap();
        unsafe {
            let mut cfg: mgos_config_mqtt = std::mem::zeroed();
            mgos_config_mqtt_set_defaults(&mut cfg);
            (cfg.enable, cfg.server, cfg.client_id) = (1, server.as_ptr(), c"signs".as_ptr());
            let mut o: mgos_mqtt_options = std::mem::zeroed();
            (o.size, o.profiles, o.num_profiles) = (size_of_val(&o), &cfg, 1);
            (o.tls_ca, o.tls_ca_len) = (ca.pem.as_ptr().cast(), ca.pem.len());
            (o.tls_cert, o.tls_cert_len) = (certificate.as_ptr().cast(), certificate.len());
            o.retry = MGOS_MQTT_RETRY_NEVER;
            let home = mgos_mqtt_loop_create();
            let conn = mgos_mqtt_conn_create_on(home, 1, &o);
            assert!(!conn.is_null());
            let ud = std::ptr::from_mut(keeper).cast();
            assert_eq!(mgos_mqtt_conn_set_sign_fn(conn, Some(sign), ud, Some(taken_back)), 0);
            Scene { home, conn, _broker: broker }
        }
    }

    fn connect(&self) -> c_int {
        unsafe { mgos_mqtt_conn_connect_wait(self.conn, 20_000) }
    }

    fn text(&self) -> String {
        let mut text = [0 as c_char; 400];
        unsafe {
            mgos_mqtt_conn_last_error_text(self.conn, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr()).to_str().unwrap().to_owned()
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        unsafe {
            // Both are NULL in a test that has freed them.
            mgos_mqtt_conn_free(self.conn);
            mgos_mqtt_loop_free(self.home);
        }
    }
}

/// A key of openssl, PEM.
fn generated(arguments: &[&str]) -> String {
    let output = Command::new("openssl").arg("genpkey").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn keys_of_all_kinds_sign_with_both_versions_of_tls() {
    let ca = Ca::new("CA");
    let ec =
        |curve: &str| generated(&["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")]);
    let rsa = generated(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    for (key, scheme) in [
        (ec("P-256"), 0x0403),
        (ec("P-384"), 0x0503),
        (generated(&["-algorithm", "ED25519"]), 0x0807),
        (rsa, 0x0804),
    ] {
        for only in ["tls_version tlsv1.3", "tls_version tlsv1.2"] {
            let mut keeper = Keeper::with(&key);
            let scene = Scene::new(&ca, &ca.issue_for(&["signs"], &key), only, &mut keeper);
            assert_eq!(scene.connect(), 0, "{scheme:#x}, {only}: {}", scene.text());
            drop(scene);
            assert_eq!((&keeper.schemes[..], keeper.freed), (&[scheme][..], true), "{only}");
        }
    }
}

#[test]
fn without_a_signature_there_is_no_connection() {
    let ca = Ca::new("CA");
    let pair = ca.issue(&["signs"]);
    let mut keeper = Keeper::by(|_, _| Err(-7));
    let scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    assert_eq!(scene.connect(), Code::TlsBadKey.number());
    let text = scene.text();
    assert!(text.contains("mgos_mqtt_conn_set_sign_fn") && text.contains("it returned -7"), "{text}");
    drop(scene);
    // The signature of another key is found out by the server.
    let stranger = ca.issue(&["signs"]);
    let mut keeper = Keeper::with(&stranger.key);
    let scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    assert_ne!(scene.connect(), 0);
    assert_eq!(keeper.schemes.len(), 1);
    drop(scene);
    // Nothing at all is no signature either.
    let mut keeper = Keeper::by(|_, _| Ok(Vec::new()));
    let scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    assert_eq!(scene.connect(), Code::TlsBadKey.number());
    assert!(scene.text().contains("a signature of 0 bytes"), "{}", scene.text());
}

#[test]
fn it_can_be_removed_and_needs_a_certificate_without_a_key() {
    let ca = Ca::new("CA");
    let pair = ca.issue(&["signs"]);
    let mut keeper = Keeper::with(&pair.key);
    let scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    assert_eq!(unsafe { mgos_mqtt_conn_set_sign_fn(scene.conn, None, null_mut(), None) }, 0);
    assert!(keeper.freed);
    assert_eq!(scene.connect(), Code::TlsBadKey.number());
    assert!(scene.text().contains("has no private key in it"), "{}", scene.text());
    drop(scene);
    let mut keeper = Keeper::with(&pair.key);
    let scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    let (cert, key) = (&pair.certificate, &pair.key);
    let set = unsafe {
        mgos_mqtt_conn_set_certificate(
            scene.conn,
            cert.as_ptr().cast(),
            cert.len(),
            key.as_ptr().cast(),
            key.len(),
        )
    };
    assert_eq!((set, scene.connect()), (0, Code::TlsBadKey.number()));
    assert!(scene.text().contains("must not be set"), "{}", scene.text());
    assert!(keeper.schemes.is_empty());
    let refused = unsafe { mgos_mqtt_conn_set_sign_fn(null_mut(), Some(sign), null_mut(), None) };
    assert_eq!(refused, Code::NullArgument.number());
}

#[test]
fn the_connection_may_be_freed_while_it_signs() {
    let ca = Ca::new("CA");
    let pair = ca.issue(&["signs"]);
    let mut keeper = Keeper { frees: true, ..Keeper::with(&pair.key) };
    let mut scene = Scene::new(&ca, &pair.certificate, "", &mut keeper);
    assert_eq!(scene.connect(), Code::Incomplete.number());
    unsafe {
        assert!(!mgos_mqtt_conn_is_connected(scene.conn));
        assert_eq!(mgos_mqtt_loop_free(scene.home), 0);
    }
    (scene.conn, scene.home) = (null_mut(), null_mut());
    drop(scene);
    assert_eq!((keeper.schemes.len(), keeper.freed), (1, true));
}

/// A key that never leaves its token, by way of PKCS #11.
#[test]
fn softhsm2_signs() {
    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    let missing = ["softhsm2-util", "pkcs11-tool"]
        .into_iter()
        .find(|program| Command::new(program).arg("--help").output().is_err());
    if let Some(program) = missing {
        return eprintln!("SKIPPED: {program} is not installed (packages softhsm2, opensc)");
    }
    let folder = std::sync::Arc::new(Folder::new());
    let tokens = folder.put("tokens", "");
    std::fs::remove_file(&tokens).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.put("softhsm2.conf", format!("directories.tokendir = {tokens}\n"));
    let run = move |program: &str, arguments: &[&str]| {
        let output = Command::new(program).env("SOFTHSM2_CONF", &conf).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    };
    run("softhsm2-util", &["--init-token", "--free", "--label", "t", "--pin", "1234", "--so-pin", "1234"]);
    // It comes into the token here, so that the test can have a certificate made for it.
    let key = generated(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let file = folder.put("key.pem", &key);
    run("softhsm2-util", &["--import", &file, "--token", "t", "--label", "k", "--id", "01", "--pin", "1234"]);
    std::fs::remove_file(&file).unwrap();
    let ca = Ca::new("CA");
    let certificate = ca.issue_for(&["signs"], &key);
    let kept = folder.clone();
    let mut keeper = Keeper::by(move |scheme, message| {
        assert_eq!(scheme, 0x0403);
        let text = kept.put("hash", ring::digest::digest(&ring::digest::SHA256, message));
        let signature = kept.put("signature", "");
        run(
            "pkcs11-tool",
            &[
                "--module",
                MODULE,
                "--token-label",
                "t",
                "--login",
                "--pin",
                "1234",
                "--id",
                "01",
                "--sign",
                "--mechanism",
                "ECDSA",
                "--signature-format",
                "openssl",
                "--input-file",
                &text,
                "--output-file",
                &signature,
            ],
        );
        Ok(std::fs::read(signature).unwrap())
    });
    let scene = Scene::new(&ca, &certificate, "", &mut keeper);
    assert_eq!(scene.connect(), 0, "{}", scene.text());
    drop(scene);
    assert_eq!(keeper.schemes, [0x0403]);
}
