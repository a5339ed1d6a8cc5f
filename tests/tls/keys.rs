//! The client's own certificate and key, as all sorts of programs write them.

#![cfg(feature = "tls")]

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::tls_support::{Broker, Ca, Client, Folder, Pair, profile};
use mgos_mqtt::client::{Callback, Conn, Event, Identity, Kind};
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::Code;

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// A broker that wants a client certificate, and the CA of both.
struct Strict {
    ca: Ca,
    folder: Folder,
    path: String,
    _broker: Broker,
    profile: Profile,
}

impl Strict {
    fn new() -> Strict {
        let (ca, folder) = (Ca::new("CA"), Folder::new());
        let file = folder.put("ca.pem", &ca.pem);
        let broker = Broker::tls(&ca.issue(HERE), &format!("cafile {file}\nrequire_certificate true"));
        let mut profile = profile(broker.port);
        profile.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
        let path = Path::new(&file).parent().unwrap().to_str().unwrap().to_owned();
        folder.put("ca.key", ca.issuer.key().serialize_pem());
        Strict { ca, folder, path, _broker: broker, profile }
    }

    /// Runs openssl in the folder; the arguments are between blanks.
    #[track_caller]
    fn openssl(&self, arguments: &str) {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(&self.path).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(Path::new(&self.path).join(name)).unwrap()
    }

    /// A profile with a certificate and a key, in memory.
    fn with(&self, certificate: &str, key: impl Into<Vec<u8>>) -> Profile {
        let mut p = self.profile.clone();
        p.tls.certificate = Some(Secret(certificate.as_bytes().to_vec()));
        p.tls.key = Some(Secret(key.into()));
        p
    }

    #[track_caller]
    fn refuses(&self, p: Profile, parts: &[&str]) {
        let report = Client::new(p).attempt();
        assert_eq!(report.code, Code::TlsBadKey, "{report:?}");
        for part in parts {
            assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
        }
    }
}

/// field: F-44
#[test]
fn a_certificate_of_version_1_is_sent() {
    let strict = Strict::new();
    strict.openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout c.key -subj /CN=c -out c.csr",
    );
    strict.openssl("x509 -req -in c.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 2 -out c.pem");
    let certificate = String::from_utf8(strict.read("c.pem")).unwrap();
    strict.openssl("x509 -noout -text -in c.pem -out c.txt");
    let text = String::from_utf8(strict.read("c.txt")).unwrap();
    assert!(text.contains("Version: 1 "), "this openssl makes other certificates");
    Client::new(strict.with(&certificate, strict.read("c.key"))).up();
}

/// Forms of an EC key that is `number` on the curve P-256, without its public half.
fn without_public_half(number: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, content.len() as u8], &content[..]].concat()
    }
    const VERSION: &[u8] = &[2, 1, 1];
    let curve = wrap(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]);
    let octets = wrap(4, &[number]);
    let longer = wrap(4, &[&[0], number]);
    let named = wrap(0xa0, &[&curve]);
    let algorithm = wrap(0x30, &[&wrap(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]), &curve]);
    let pkcs8 = |inner: &[u8]| wrap(0x30, &[&[2, 1, 0], &algorithm, &wrap(4, &[inner])]);
    vec![
        ("SEC1 with its curve", wrap(0x30, &[VERSION, &octets, &named])),
        ("SEC1 without", wrap(0x30, &[VERSION, &octets])),
        ("SEC1 with a zero before the number", wrap(0x30, &[VERSION, &longer, &named])),
        ("PKCS#8", pkcs8(&wrap(0x30, &[VERSION, &octets]))),
        ("PKCS#8 with the curve in both places", pkcs8(&wrap(0x30, &[VERSION, &octets, &named]))),
    ]
}

/// field: F-45
#[test]
fn an_ecdsa_key_without_its_public_half() {
    let strict = Strict::new();
    let pair = strict.ca.issue(&["client"]);
    // ring writes the number there.
    let number = rcgen::KeyPair::from_pem(&pair.key).unwrap().serialize_der()[36..68].to_vec();
    for (form, key) in without_public_half(&number) {
        let client = Client::new(strict.with(&pair.certificate, key.clone()));
        let report = client.attempt();
        assert!(client.conn.is_connected(), "{form}: {report:?}");
        // Of another certificate: it is not just taken.
        let other = strict.ca.issue(&["client"]);
        strict.refuses(strict.with(&other.certificate, key), &["does not belong to the certificate"]);
    }
    // As openssl writes it.
    let sec1 = strict.folder.put("pkcs8.pem", &pair.key);
    strict.openssl(&format!("ec -in {sec1} -no_public -out bare.pem"));
    Client::new(strict.with(&pair.certificate, strict.read("bare.pem"))).up();
}

/// field: F-45
#[test]
fn keys_of_other_kinds_are_named() {
    let strict = Strict::new();
    for (kind, name) in [
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "of ECDSA on P-521"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "of ECDSA on secp256k1"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", "of ECDSA on brainpoolP256r1"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "of RSA with 1024 bits"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "of RSASSA-PSS"),
        ("-algorithm ED448", "of Ed448"),
    ] {
        strict.openssl(&format!("genpkey {kind} -out k.pem"));
        strict.openssl("req -x509 -new -key k.pem -subj /CN=c -days 2 -out c.pem");
        let certificate = String::from_utf8(strict.read("c.pem")).unwrap();
        let key = strict.read("k.pem");
        let parts = [
            name,
            "supported are RSA of 2048 to 4096 bits, ECDSA on the curves P-256 and P-384, and Ed25519",
        ];
        strict.refuses(strict.with(&certificate, key), &parts);
    }
    let pair = strict.ca.issue(&["client"]);
    for kind in ["DSA", "OPENSSH"] {
        let text = format!("-----BEGIN {kind} PRIVATE KEY-----\nAAAA\n-----END {kind} PRIVATE KEY-----\n");
        strict
            .refuses(strict.with(&pair.certificate, text), &["a form that is not supported", "openssl pkey"]);
    }
    let two = format!("{}{}", pair.key, pair.key);
    let report = Client::new(strict.with(&pair.certificate, two)).attempt();
    assert!(report.text.contains("is a second private key, after that of line 1"), "{report:?}");
}

/// The client's certificate, its key, and the same as files that openssl encrypted.
fn encrypted_in_every_way(strict: &Strict) -> (Pair, String, Vec<(String, Vec<u8>)>) {
    let pair = strict.ca.issue(&["client"]);
    strict.folder.put("ec.pem", &pair.key);
    strict.openssl("genrsa -traditional -out rsa.pem 2048");
    strict.openssl("pkcs8 -topk8 -nocrypt -in rsa.pem -out rsa8.pem");
    let rsa = strict.ca.issue_for(&["client"], &String::from_utf8(strict.read("rsa8.pem")).unwrap());
    let mut keys = Vec::new();
    for (command, from) in [("ec", "ec.pem"), ("rsa -traditional", "rsa.pem")] {
        for cipher in ["aes128", "aes256", "des3"] {
            strict.openssl(&format!("{command} -in {from} -{cipher} -passout pass:pa55.wort -out e.pem"));
            let key = strict.read("e.pem");
            assert!(String::from_utf8_lossy(&key).contains("Proc-Type: 4,ENCRYPTED"));
            keys.push((format!("{from} {cipher}"), key));
        }
    }
    for how in [
        "-v2 aes-256-cbc",
        "-v2 aes-128-cbc -v2prf hmacWithSHA1",
        "-v2 des3 -v2prf hmacWithSHA512 -iter 1000",
        "-v2 aes256 -outform DER",
    ] {
        for from in ["ec.pem", "rsa.pem"] {
            strict.openssl(&format!("pkcs8 -topk8 -in {from} {how} -passout pass:pa55.wort -out e.pem"));
            keys.push((format!("{from} {how}"), strict.read("e.pem")));
        }
    }
    (pair, rsa, keys)
}

/// field: F-47
#[test]
fn encrypted_keys_work_with_their_password() {
    let strict = Strict::new();
    let (pair, rsa, keys) = encrypted_in_every_way(&strict);
    for (how, key) in keys {
        let certificate = if how.starts_with("rsa") { &rsa } else { &pair.certificate };
        let mut p = strict.with(certificate, key);
        let said = |p: &Profile, part: &str| {
            let report = Client::new(p.clone()).attempt();
            assert!(report.code == Code::TlsBadKey && report.text.contains(part), "{how}: {report:?}");
        };
        said(&p, "is encrypted: set tls_key_password");
        for wrong in ["", "pa55.wor", "pa55.wort "] {
            p.tls.key_password = Some(Secret(wrong.into()));
            said(&p, "tls_key_password is not its password");
        }
        p.tls.key_password = Some(Secret(b"pa55.wort".to_vec()));
        let client = Client::new(p);
        let report = client.attempt();
        assert!(client.conn.is_connected(), "{how}: {report:?}");
    }
}

/// field: F-47
#[test]
fn what_is_encrypted_otherwise_is_named() {
    let strict = Strict::new();
    let pair = strict.ca.issue(&["client"]);
    strict.folder.put("ec.pem", &pair.key);
    for (command, part) in [
        ("pkcs8 -topk8 -in ec.pem -v2 aes-192-cbc", "with AES-192"),
        ("pkcs8 -topk8 -in ec.pem -scrypt", "with scrypt"),
        ("pkcs8 -topk8 -in ec.pem -v1 PBE-SHA1-3DES", "in an old way (PBES1, or that of PKCS#12)"),
        ("ec -in ec.pem -aes192", "with AES-192"),
        ("ec -in ec.pem -camellia128", "with another cipher than AES and Triple DES in CBC mode"),
    ] {
        strict.openssl(&format!("{command} -passout pass:a -out e.pem"));
        let mut p = strict.with(&pair.certificate, strict.read("e.pem"));
        p.tls.key_password = Some(Secret(b"a".to_vec()));
        strict.refuses(p, &[part, "which is not supported", "openssl pkcs8 -topk8"]);
    }
}

/// Sets the password when an attempt begins, as somebody would who is asked for it.
struct Asked(Mutex<Vec<&'static str>>);

impl Callback<Conn> for Asked {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        let password = self.0.lock().unwrap().pop().map(|password| Secret(password.into()));
        conn.set_key_password(password).unwrap();
    }
}

/// field: F-47
#[test]
fn a_handler_is_asked_for_the_password() {
    let strict = Strict::new();
    let pair = strict.ca.issue(&["client"]);
    strict.folder.put("ec.pem", &pair.key);
    strict.openssl("pkcs8 -topk8 -in ec.pem -passout pass:right -out e.pem");
    let client = Client::new(strict.with(&pair.certificate, strict.read("e.pem")));
    let asked = Box::new(Asked(Mutex::new(vec!["right", "wrong"])));
    client.conn.add_handler(Identity(8, 0), Kind::Connecting.bit(), asked).unwrap();
    assert!(client.attempt().text.contains("tls_key_password is not its password"));
    client.up();
}

/// field: F-47
#[test]
fn a_ca_file_with_a_key_in_it_is_a_ca_file() {
    let ca = Ca::new("CA");
    let broker = Broker::tls(&ca.issue(HERE), "");
    let key = ca.issuer.key().serialize_pem();
    for text in
        [format!("{key}{}", ca.pem), format!("{}{}", ca.pem, key.replace("PRIVATE", "ENCRYPTED PRIVATE"))]
    {
        let mut p = profile(broker.port);
        p.tls.ca = Some(Secret(text.into_bytes()));
        Client::new(p).up();
    }
}
