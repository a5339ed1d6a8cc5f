//! No byte of a secret appears in an error or in the log, whatever is wrong with the file or text
//! that has it.

#![cfg(feature = "tls")]

use std::sync::{Arc, Mutex};

use crate::tls_support::{Ca, Client, Folder, profile};
use mgos_mqtt::client::{Level, Sink};
use mgos_mqtt::config::text::{parse_document, parse_section};
use mgos_mqtt::config::{Profile, Secret};

/// Random numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

/// What is searched for.
struct Needles(Vec<String>);

impl Needles {
    /// Pieces of eight bytes, as text and as Rust and C print bytes.
    fn of(secrets: &[&str]) -> Needles {
        let mut all = Vec::new();
        for secret in secrets {
            for piece in secret.as_bytes().windows(8).step_by(3) {
                all.push(String::from_utf8(piece.to_vec()).unwrap());
                let list = |format: fn(&u8) -> String, between| {
                    piece[..4].iter().map(format).collect::<Vec<_>>().join(between)
                };
                all.push(list(|byte| byte.to_string(), ", "));
                all.push(list(|byte| format!("{byte:02x}"), ""));
            }
        }
        Needles(all)
    }

    #[track_caller]
    fn search(&self, text: &str, input: &str) {
        if let Some(found) = self.0.iter().find(|needle| text.contains(*needle)) {
            panic!("{input}: {found:?} is in {text:?}");
        }
    }
}

/// One thing that goes wrong when text is copied, edited or sent.
fn damage(text: &str, random: &mut Random) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut bytes = text.as_bytes().to_vec();
    match random.below(12) {
        // A piece is missing.
        0 => {
            let from = random.below(bytes.len());
            let len = random.below(80).min(bytes.len() - from);
            bytes.drain(from..from + len);
        }
        1 => bytes.truncate(bytes.len() - random.below(bytes.len() / 3)),
        // Bytes are others.
        2 => {
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = b"\\:.-=\n\t\x01@\"'{}_"[random.below(14)];
            }
        }
        3 => bytes.insert(random.below(bytes.len()), b' ' + random.below(90) as u8),
        // Lines are joined, with something between them or nothing, or some of them are lost.
        4 => return lines.join(""),
        5 => return lines.join(" "),
        6 => return lines.join("\\n"),
        7 => return lines[1..].join("\n"),
        8 => return lines[..lines.len() - 1].join("\n"),
        9 => {
            return lines.iter().filter(|line| !line.starts_with("--")).copied().collect::<Vec<_>>().join("");
        }
        10 => return text.replace("-----", "----"),
        _ => return format!("{text}{text}"),
    }
    String::from_utf8_lossy(&bytes).replace('\0', "0")
}

struct Lines(Arc<Mutex<String>>);

impl Sink for Lines {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

/// Everything that an attempt says.
fn said(profile: Profile) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    if let Err(error) = profile.validate() {
        return error.to_string();
    }
    let client = Client::new(profile);
    client.context.log.set(Level::Debug, Some(Arc::new(Lines(text.clone()))));
    let report = client.attempt();
    let mut all = text.lock().unwrap().clone();
    all.push_str(&report.text);
    assert!(!all.is_empty());
    client.log.lock().unwrap().push(all.clone());
    all
}

/// A field of a profile, and the text that is put there.
type Input = (&'static str, fn(&mut Profile, &Folder, String));

/// Every place of TLS in which a private key, a password, or a pre-shared key stands, or may stand by mistake.
const INPUTS: [Input; 11] = [
    ("ssl_key as a name", |p, _, text| p.ssl_key = Some(Secret(text))),
    ("ssl_key as a file", |p, folder, text| p.ssl_key = Some(Secret(folder.put("k", text)))),
    ("ssl_cert as a name", |p, _, text| p.ssl_cert = Some(text)),
    ("ssl_cert as a file", |p, folder, text| {
        p.ssl_cert = Some(folder.put("c", text));
        p.ssl_key = None;
    }),
    ("ssl_ca_cert as a name", |p, _, text| p.ssl_ca_cert = Some(text)),
    ("ssl_ca_cert as a file", |p, folder, text| p.ssl_ca_cert = Some(folder.put("a", text))),
    ("tls_key", |p, _, text| p.tls.key = Some(Secret(text.into_bytes()))),
    ("tls_cert", |p, _, text| {
        p.tls.certificate = Some(Secret(text.into_bytes()));
        p.ssl_key = None;
    }),
    ("tls_ca", |p, _, text| p.tls.ca = Some(Secret(text.into_bytes()))),
    ("tls_crl", |p, _, text| p.tls.crl = Some(Secret(text.into_bytes()))),
    ("tls_crl_file as a name", |p, _, text| p.tls.crl_file = Some(text)),
];

/// The same key with a password.
fn encrypted(folder: &Folder, key: &str) -> String {
    let file = folder.put("encrypted.pem", "");
    let arguments = ["pkcs8", "-topk8", "-passout", "pass:another", "-in", key, "-out", &file];
    assert!(std::process::Command::new("openssl").args(arguments).status().unwrap().success());
    file
}

/// field: F-41
#[test]
fn no_text_of_a_profile_quotes_what_may_be_a_private_key() {
    let text = b"the bytes of a key".to_vec();
    let mut p = Profile::default();
    p.tls.ca = Some(Secret(text.clone()));
    p.tls.certificate = Some(Secret(text.clone()));
    p.tls.key = Some(Secret(text.clone()));
    p.tls.crl = Some(Secret(text.clone()));
    p.tls.key_password = Some(Secret(text));
    let shown = format!("{p:?}");
    assert!(!shown.contains("116, 104, 101") && !shown.contains("the bytes"), "{shown}");
}

/// field: F-41
#[test]
fn no_error_quotes_a_private_key() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let pair = ca.issue(&["client"]);
    let plain = folder.put("plain.pem", &pair.key);
    let encrypted = std::fs::read_to_string(encrypted(&folder, &plain)).unwrap();
    let certificate = folder.put("client.pem", &pair.certificate);
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with("--")).collect::<String>();
    let mut random = Random(0x5eed_0041);
    for key in [&pair.key, &encrypted] {
        let needles = Needles::of(&[&body(key)]);
        for (input, put) in INPUTS {
            for _ in 0..12 {
                let mut text = key.clone();
                for _ in 0..random.below(4) {
                    if !text.is_empty() {
                        text = damage(&text, &mut random);
                    }
                }
                let mut p = profile(1);
                // A server that is known by its certificate and must show its own: all that could be read is read.
                p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
                p.ssl_cert = Some(certificate.clone());
                p.ssl_key = Some(Secret(plain.clone()));
                put(&mut p, &folder, text);
                needles.search(&said(p), input);
            }
        }
    }
}

/// field: F-41
#[test]
fn no_error_quotes_a_password_or_a_pre_shared_key() {
    // Each piece of it has something that no name of a host has, so that it cannot be taken for one.
    const PASSWORD: &str = "qZ!xW~vK(pJ!mR~tB)";
    const KEY: &str = "c0ffee15bad0facade0ddba11decade5";
    let folder = Folder::new();
    let needles = Needles::of(&[PASSWORD, KEY]);
    let mut random = Random(0x5eed_0042);
    let pair = Ca::new("CA").issue(&["client"]);
    let with_password = encrypted(&folder, &folder.put("plain.pem", &pair.key));
    for _ in 0..40 {
        let mut p = profile(1);
        p.ssl_psk_identity = Some("device".into());
        p.ssl_psk_key = Some(Secret(damage(KEY, &mut random)));
        needles.search(&said(p), "ssl_psk_key");
        let mut p = profile(1);
        p.user = Some("u".into());
        p.pass = Some(Secret(damage(PASSWORD, &mut random).into_bytes()));
        needles.search(&said(p), "pass");
        let mut p = profile(1);
        p.server = Some(damage(&format!("mqtt://user:{PASSWORD}@127.0.0.1:1"), &mut random));
        // A name that is made of what is left of it is not looked up here.
        let wrong = p.validate().err().or(p.address().err()).map(|error| error.to_string());
        needles.search(&wrong.unwrap_or_default(), "server");
        // The password of an encrypted key.
        let mut p = profile(1);
        p.tls.certificate = Some(Secret(pair.certificate.clone().into_bytes()));
        p.ssl_key = Some(Secret(with_password.clone()));
        p.tls.key_password = Some(Secret(damage(PASSWORD, &mut random).into_bytes()));
        needles.search(&said(p), "tls_key_password");
    }
}

/// field: F-41
#[test]
fn no_error_of_a_configuration_text_quotes_its_secrets() {
    const PASSWORD: &str = "qZ!xW~vK(pJ!mR~tB)";
    let text = format!(
        "{{\"mqtt\": {{\"enable\": true, \"server\": \"mqtt://u:{PASSWORD}@h\", \"user\": \"me\",\n \"pass\": \
         \"{PASSWORD}\", \"keep_alive\": 60,\n \"ssl_key\": \"{PASSWORD}\", \"ssl_psk_key\": \"{PASSWORD}\", \
         \"max_qos\": 2}}}}\n"
    );
    let needles = Needles::of(&[PASSWORD]);
    let mut random = Random(0x5eed_0043);
    let mut refused = 0;
    for _ in 0..6_000 {
        let mut bad = text.clone();
        for _ in 0..=random.below(3) {
            if !bad.is_empty() {
                bad = damage(&bad, &mut random);
            }
        }
        let errors = [
            parse_document(bad.as_bytes()).err(),
            parse_section(bad.replace("{\"mqtt\": ", "").as_bytes()).err(),
        ];
        for error in errors.into_iter().flatten() {
            needles.search(&error.to_string(), "configuration text");
            refused += 1;
        }
    }
    assert!(refused > 3_000, "{refused}");
    // The value of one key where another belongs.
    let moved = format!("{{\"mqtt\": {{\"{PASSWORD}\": 1, \"keep_alive\": \"{PASSWORD}\"}}}}");
    needles.search(&parse_document(moved.as_bytes()).unwrap_err().to_string(), "a key");
}
