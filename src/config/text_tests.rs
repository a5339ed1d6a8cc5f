use proptest::prelude::*;

use super::schema::{Field, SectionId, Value};
use super::text::{MAX_TEXT, parse_document, parse_section, parse_value};
use super::{Change, Document, Key, Section, Style};

const ALL: Style = Style { pretty: false, secrets: true };

fn section(text: &str) -> Result<Section, String> {
    let mut section = Section::default();
    for (field, value) in parse_section(text.as_bytes()).map_err(|e| e.to_string())? {
        assert!(section.set(field, value));
    }
    Ok(section)
}

fn refusal(text: &str) -> String {
    parse_document(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn a_document_becomes_changes() {
    let text = br#"{
        "mqtt": {"enable": true, "server": "h:1", "reconnect_timeout_min": 1, "keep_alive": 6e1},
        "wifi": {"sta": [{"enable": true}, null]},
        "mqtt1": {"server": null, "clean_session": 0, "will_retain": 1},
        "debug": {"level": 2, "stdout_topic": "/log", "stderr_topic": ""},
        "device": {"id": "d\u00e9\ud83d\ude00", "mac": "x"}
    }"#;
    use Field::*;
    let profile = |id, field, value| Change { key: Key::Profile(id, field), value };
    let (m, m1) = (SectionId::Mqtt, SectionId::Mqtt1);
    let expected = [
        profile(m, Enable, Value::Bool(true)),
        profile(m, Server, Value::text("h:1")),
        profile(m, ReconnectTimeoutMin, Value::Double(1.0)),
        profile(m, KeepAlive, Value::Int(60)),
        profile(m1, Server, Value::Text(None)),
        profile(m1, CleanSession, Value::Bool(false)),
        profile(m1, WillRetain, Value::Bool(true)),
        Change { key: Key::StdoutTopic, value: Value::text("/log") },
        Change { key: Key::StderrTopic, value: Value::Text(None) },
        Change { key: Key::DeviceId, value: Value::text("dé😀") },
    ];
    assert_eq!(parse_document(text).as_deref(), Ok(&expected[..]));
    assert_eq!(parse_document(b"{}"), Ok(vec![]));
    assert_eq!(parse_document(b"\xef\xbb\xbf{}"), Ok(vec![]));
}

#[test]
fn errors_name_the_field_the_line_and_the_column() {
    for (text, expected) in [
        (
            "{\n \"mqtt\": {\n  \"server\": \"h\",\n  \"keep_alive\": \"60\"\n }}",
            "mqtt.keep_alive: expected a number, found a string (line 4, column 20)",
        ),
        ("{\"mqtt\": {\"pass\": 17}}", "mqtt.pass: expected a string, found a number (line 1, column 20)"),
        (
            "{\"mqtt1\": {\"keep_alive\": 65536}}",
            "mqtt1.keep_alive: 65536 is not between 0 and 65535 (line 1, column 30)",
        ),
        (
            "{\"mqtt\": {\"max_qos\": 1.5}}",
            "mqtt.max_qos: expected a whole number, found 1.5 (line 1, column 24)",
        ),
        ("{\"mqtt\": {\"max_qos\": 3}}", "mqtt.max_qos: 3 is not between -32768 and 2 (line 1, column 22)"),
        (
            "{\"mqtt\": {\"max_queue_length\": 1e300}}",
            "mqtt.max_queue_length: 1e300 is not between -2147483648 and 2147483647 (line 1, column 35)",
        ),
        (
            "{\"mqtt\": {\"enable\": 2}}",
            "mqtt.enable: expected true or false, found a number (line 1, column 21)",
        ),
        (
            "{\"mqtt\": {\"enable\": \"on\"}}",
            "mqtt.enable: expected true or false, found a string (line 1, column 24)",
        ),
        (
            "{\"mqtt\": {\"keep_alive\": null}}",
            "mqtt.keep_alive: expected a number, found null (line 1, column 28)",
        ),
        (
            "{\"mqtt\": {\"server\": [\"a\"]}}",
            "mqtt.server: expected a string, found a list (line 1, column 21)",
        ),
        (
            "{\"mqtt\": {\"server\": {\"a\": 1}}}",
            "mqtt.server: expected a string, found an object (line 1, column 21)",
        ),
        (
            "{\"mqtt\": {\"server\": true}}",
            "mqtt.server: expected a string, found true or false (line 1, column 24)",
        ),
        (
            "{\"mqtt\": {\"keepalive\": 1}}",
            "mqtt: unknown key; the nearest is keep_alive (line 1, column 21)",
        ),
        (
            "{\"mqtt\": {\"user\": \"a\", \"user\": \"b\"}}",
            "mqtt.user: this key comes twice (line 1, column 29)",
        ),
        ("{\"mqtt\": {}, \"mqtt\": {}}", "mqtt: this section comes twice (line 1, column 19)"),
        ("{\"mqtt\": 1}", "mqtt: expected an object (line 1, column 10)"),
        ("[]", "expected an object (line 1, column 0)"),
        ("{\"device\": {\"id\": 1}}", "device.id: expected a string, found a number (line 1, column 19)"),
        (
            "{\"mqtt\": {\"user\": \"a\\u0000\"}}",
            "mqtt.user: a string cannot contain U+0000 (line 1, column 27)",
        ),
        ("", "not valid JSON: EOF while parsing a value (line 1, column 0)"),
        ("{} x", "not valid JSON: trailing characters (line 1, column 4)"),
        (
            "{\"mqtt\": {\"user\": \"\\ud800\"}}",
            "not valid JSON: unexpected end of hex escape (line 1, column 26)",
        ),
        ("{\"mqtt\": {\"user\" 1}}", "not valid JSON: expected `:` (line 1, column 18)"),
        ("{\"mqtt\": {\"keep_alive\": 1e999}}", "not valid JSON: number out of range (line 1, column 29)"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let long = format!("{{\"mqtt\": {{\"{}\\n\": 1}}}}", "x".repeat(99));
    assert!(refusal(&long).starts_with("mqtt: unknown key; the nearest is"));
    assert!(parse_document(b"{\"mqtt\": {\"user\": \"\xff\"}}").is_err());
    let huge = parse_document(&vec![b' '; MAX_TEXT + 1]).unwrap_err().to_string();
    assert_eq!(huge, "the text is longer than 1048576 bytes");
}

#[test]
fn deep_nesting_is_no_danger() {
    let text = format!("{{\"app\": {}{}}}", "[".repeat(400_000), "]".repeat(400_000));
    assert_eq!(parse_document(text.as_bytes()), Ok(vec![]));
    assert!(parse_document(&vec![b'['; 400_000]).is_err());
}

#[test]
fn a_partial_text_sets_only_what_it_names() {
    let s = Section { user: Some("u".into()), keep_alive: 7, ..Section::default() };
    let mut document = Document { sections: [s.clone(), s.clone()], ..Document::default() };
    document.apply(parse_document(b"{\"mqtt1\": {\"user\": \"\"}}").unwrap());
    let changed = Section { user: None, ..s.clone() };
    assert_eq!(document, Document { sections: [s, changed], ..Document::default() });
}

#[test]
fn a_section_alone_has_no_name() {
    let refusal = |text: &str| section(text).unwrap_err();
    assert_eq!(refusal("{\"usr\": 1}"), "unknown key; the nearest is user (line 1, column 6)");
    assert_eq!(refusal("{\"user\": 1}"), "user: expected a string, found a number (line 1, column 10)");
    assert_eq!(refusal("1"), "expected an object (line 1, column 1)");
}

#[test]
fn single_values() {
    let of =
        |key: &str, text: &str| parse_value(Key::of_dotted(key).unwrap(), text).map_err(|e| e.to_string());
    assert_eq!(of("mqtt.server", "60"), Ok(Value::text("60")));
    assert_eq!(of("mqtt.server", ""), Ok(Value::Text(None)));
    assert_eq!(of("mqtt.enable", "true"), Ok(Value::Bool(true)));
    assert_eq!(of("mqtt.enable", "0"), Ok(Value::Bool(false)));
    assert_eq!(of("mqtt.keep_alive", "60"), Ok(Value::Int(60)));
    assert_eq!(of("mqtt.reconnect_timeout_min", "0.5"), Ok(Value::Double(0.5)));
    assert_eq!(
        of("mqtt.keep_alive", "sixty"),
        Err("mqtt.keep_alive: expected a number, found a string".into())
    );
    assert_eq!(
        of("mqtt.reconnect_timeout_max", "NaN"),
        Err("mqtt.reconnect_timeout_max: NaN is not a number".into())
    );
    assert_eq!(of("mqtt.enable", ""), Err("mqtt.enable: expected true or false, found a string".into()));
}

#[test]
fn secrets_are_written_only_on_request() {
    let s = Section {
        pass: Some("hunter2".into()),
        ssl_key: Some("hunter2".into()),
        ssl_psk_key: Some("hunter2".into()),
        ..Section::default()
    };
    let public = s.to_json(Style::default()).unwrap();
    assert!(!public.contains("hunter2"));
    assert_eq!(public.matches("\"***\"").count(), 3);
    assert_eq!(section(&s.to_json(ALL).unwrap()), Ok(s));
}

#[test]
fn the_written_form() {
    let text =
        Section { server: Some("h\"\n".into()), ..Section::default() }.to_json(Style::default()).unwrap();
    assert!(
        text.starts_with(
            "{\"enable\":false,\"server\":\"h\\\"\\n\",\"client_id\":\"\",\"user\":\"\",\"pass\":\"\",\
             \"reconnect_timeout_min\":2.0,"
        ),
        "{text}"
    );
    let pretty = Document::default().to_json(Style { pretty: true, secrets: true }).unwrap();
    assert!(pretty.starts_with("{\n  \"mqtt\": {\n    \"enable\": false,\n"), "{pretty}");
    assert!(pretty.ends_with("  \"device\": {\n    \"id\": \"\"\n  }\n}"), "{pretty}");
    let nan = Section { reconnect_timeout_max: f64::INFINITY, ..Section::default() };
    assert_eq!(
        nan.to_json(Style::default()).unwrap_err().to_string(),
        "reconnect_timeout_max: JSON cannot write the number inf"
    );
    let document = Document { sections: [Section::default(), nan], ..Document::default() };
    assert!(document.to_json(ALL).unwrap_err().to_string().starts_with("mqtt1.reconnect_timeout_max: "));
}

fn any_section() -> impl Strategy<Value = Section> {
    let fields: Vec<BoxedStrategy<Value>> = Field::ALL
        .into_iter()
        .map(|field| {
            let (min, max) = field.info().range;
            match field.info().default_value() {
                Value::Bool(_) => any::<bool>().prop_map(Value::Bool).boxed(),
                Value::Int(_) => (min as i32..=max as i32).prop_map(Value::Int).boxed(),
                Value::Double(_) => (min..=max).prop_map(Value::Double).boxed(),
                Value::Text(_) => "[^\0]{0,20}".prop_map(Value::text).boxed(),
            }
        })
        .collect();
    fields.prop_map(|values| {
        let mut section = Section::default();
        for (field, value) in Field::ALL.into_iter().zip(values) {
            assert!(section.set(field, value));
        }
        section
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(s in any_section(), pretty: bool) {
        prop_assert_eq!(section(&s.to_json(Style { pretty, secrets: true }).unwrap()), Ok(s));
    }

    #[test]
    fn documents_too(
        a in any_section(),
        b in any_section(),
        texts in proptest::array::uniform3(proptest::option::of("[^\0]{1,9}")),
        pretty: bool,
    ) {
        let [stdout_topic, stderr_topic, device_id] = texts;
        let document = Document { sections: [a, b], stdout_topic, stderr_topic, device_id };
        let text = document.to_json(Style { pretty, secrets: true }).unwrap();
        let mut again = Document::default();
        again.apply(parse_document(text.as_bytes()).unwrap());
        prop_assert_eq!(again, document);
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_document(&text);
        let _ = parse_section(&text);
    }

    /// Broken texts that are nearly right reach further.
    #[test]
    fn no_damage_panics(s in any_section(), cut in 0usize..2000, byte: u8) {
        let mut text = s.to_json(ALL).unwrap().into_bytes();
        let cut = cut % text.len();
        text[cut] = byte;
        let _ = parse_section(&text);
        text.truncate(cut);
        prop_assert!(parse_section(&text).is_err());
    }
}
