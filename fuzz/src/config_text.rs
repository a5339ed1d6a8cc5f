//! The JSON text of a configuration, and single values of it. What is read is applied as a whole, can be written, and is
//! then read as the same; what is wrong has a position inside of the text.

use mgos_mqtt::config::{Document, Key, Profile, Style, pin, text};

/// The first byte says which of the readers; the rest is the text.
pub fn run(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else { return };
    match first % 4 {
        0 | 1 => document(text),
        2 => section(text),
        _ => value(text),
    }
}

fn document(text: &[u8]) {
    let changes = match text::parse_document(text) {
        Ok(changes) => changes,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut document = Document::default();
    document.apply(changes);
    written_and_read(&document);
    for section in &document.sections {
        let Ok(profile) = Profile::from_section(section) else {
            panic!("a number out of its range was read")
        };
        let problems = profile.problems();
        assert_eq!(profile.validate().err(), problems.into_iter().next());
        let _ = (profile.address(), profile.pins(), profile.reconnect_bounds());
    }
}

fn written_and_read(document: &Document) {
    for pretty in [false, true] {
        let written = document.to_json(Style { pretty, secrets: true }).unwrap();
        let mut again = Document::default();
        again.apply(text::parse_document(written.as_bytes()).unwrap());
        assert!(again == *document, "{written}");
        let for_people = document.to_json(Style { pretty, secrets: false }).unwrap();
        text::parse_document(for_people.as_bytes()).unwrap();
    }
}

fn section(text: &[u8]) {
    let Ok(fields) = text::parse_section(text) else { return };
    let mut document = Document::default();
    for (field, value) in fields {
        assert!(document.sections[0].set(field, value));
    }
    written_and_read(&document);
}

/// `KEY=VALUE`.
fn value(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let _ = pin::parse(text);
    let Some((name, value)) = text.split_once('=') else { return };
    let Some(key) = Key::of_dotted(name) else { return };
    assert_eq!(key.to_string(), name);
    if let (Ok(value), Key::Profile(id, field)) = (text::parse_value(key, value), key) {
        let mut document = Document::default();
        assert!(document.sections[id as usize].set(field, value));
        written_and_read(&document);
    }
}
