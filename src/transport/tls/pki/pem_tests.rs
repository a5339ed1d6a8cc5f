use super::*;

fn damage(text: &str) -> (usize, &'static str) {
    let Err(Damage { line, what }) = sections(text.as_bytes()) else { panic!("not damaged: {text}") };
    (line, what)
}

/// `Hello, world` in all the ways that programs write a section.
#[test]
fn one_content_in_every_way_of_writing() {
    for text in [
        "-----BEGIN CERTIFICATE-----\nSGVsbG8s\nIHdvcmxk\n-----END CERTIFICATE-----\n",
        "\u{feff}-----BEGIN CERTIFICATE-----\r\nSGVsbG8sIHdvcmxk\r\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\rSGVsbG8sIHdvcmxk\r-----END CERTIFICATE-----\r",
        "-----BEGIN CERTIFICATE----- SGVsbG8s IHdvcmxk -----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----SGVsbG8sIHdvcmxk-----END CERTIFICATE-----\0",
        "subject=/CN=x\n---\n=====\n -----BEGIN X509 CERTIFICATE-----\n\n SGVsbG8sIHdvcmxk \n\n-----END X509 CERTIFICATE-----",
    ] {
        let found = sections(text.as_bytes()).unwrap_or_else(|damage| panic!("{damage:?}: {text}"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, &found[0].der[..]), (Kind::Certificate, &b"Hello, world"[..]), "{text}");
    }
}

#[test]
fn sections_that_touch_each_other() {
    let one = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    let two = "-----BEGIN RSA PRIVATE KEY-----\nAQID\n-----END RSA PRIVATE KEY-----";
    let text = format!("{one}{two}{one}\n{one}");
    let found = sections(text.as_bytes()).unwrap();
    let seen: Vec<_> = found.iter().map(|s| (s.kind, s.line, s.der.to_vec())).collect();
    let (c, k) = (Kind::Certificate, Kind::Pkcs1);
    assert_eq!(seen, [(c, 1, vec![0]), (k, 3, vec![1, 2, 3]), (c, 5, vec![0]), (c, 8, vec![0])]);
}

#[test]
fn damage_has_its_line() {
    let good = "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n";
    for (bad, line, part) in [
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", 4, "no line with END"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICAT-----\n", 4, "END line of its kind"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n", 4, "END line of its kind"),
        ("-----BEGIN CERTIFICATE----\nAAAA\n-----END CERTIFICATE-----\n", 4, "with BEGIN is damaged"),
        ("-----BEGIN certificate-----\nAAAA\n-----END certificate-----\n", 4, "with BEGIN is damaged"),
        (
            "----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            4,
            "damaged line with BEGIN or END",
        ),
        ("\nAAAA\n-----END CERTIFICATE-----\n", 6, "damaged line with BEGIN or END"),
        ("-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n", 5, "not Base64"),
        ("-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\n", 4, "backslash"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\nAAA\n-----END CERTIFICATE-----\n", 7, "cut off"),
        ("-----BEGIN CERTIFICATE-----\nAA==\nAAAA\n-----END CERTIFICATE-----\n", 6, "follows the padding"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 4, "is empty"),
    ] {
        let (at, what) = damage(&format!("{good}{bad}"));
        assert!(at == line && what.contains(part), "{at}: {what}: {bad}");
        // Before a good one it is seen as well.
        assert_eq!(damage(&format!("{bad}{good}")).0, line - 3, "{bad}");
    }
}

#[test]
fn headers_of_an_encrypted_key() {
    let text = "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00fF\r\n\r\nAAAA\r\n\
                -----END RSA PRIVATE KEY-----";
    let found = sections(text.as_bytes()).unwrap();
    let encrypted = found[0].encrypted.as_ref().unwrap();
    assert_eq!((&*encrypted.cipher, &*encrypted.start), ("AES-256-CBC", &[0, 0xff][..]));
    assert_eq!(&found[0].der[..], [0; 3]);
    for bad in ["DEK-Info: AES-256-CBC", "DEK-Info: AES-256-CBC,0", "DEK-Info: AES-256-CBC,0g", ""] {
        let text = text.replace("DEK-Info: AES-256-CBC,00fF", bad);
        assert!(sections(text.as_bytes()).is_err(), "{bad}");
    }
}
