//! Dotted names: everything a configuration text can set.

use core::fmt;

use super::address::same_word;
use super::schema::{FIELDS, Fallback, Field, SectionId, Value};

/// One settable thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A field of a server profile: `mqtt.server`, `mqtt1.keep_alive` …
    Profile(SectionId, Field),
    /// `debug.stdout_topic`: where standard output is published.
    StdoutTopic,
    /// `debug.stderr_topic`: where standard error is published.
    StderrTopic,
    /// `device.id`: the client id of profiles that have none.
    DeviceId,
}

/// One assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What is set.
    pub key: Key,
    /// The value, of the key's type and in its range.
    pub value: Value,
}

/// The objects at the top of a text that are read; an application may have its own beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Profile(SectionId),
    Debug,
    Device,
}

impl Group {
    pub(super) fn of_name(name: &str) -> Option<Group> {
        match name {
            "mqtt" => Some(Group::Profile(SectionId::Mqtt)),
            "mqtt1" => Some(Group::Profile(SectionId::Mqtt1)),
            "debug" => Some(Group::Debug),
            "device" => Some(Group::Device),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Group::Profile(id) => id.name(),
            Group::Debug => "debug",
            Group::Device => "device",
        }
    }

    /// Whether every key in it must be known. Other libraries have keys in the other two.
    pub(super) fn is_ours_alone(self) -> bool {
        matches!(self, Group::Profile(_))
    }

    pub(super) fn key(self, name: &str) -> Option<Key> {
        match (self, name) {
            (Group::Profile(id), name) => Field::of_key(name).map(|field| Key::Profile(id, field)),
            (Group::Debug, "stdout_topic") => Some(Key::StdoutTopic),
            (Group::Debug, "stderr_topic") => Some(Key::StderrTopic),
            (Group::Device, "id") => Some(Key::DeviceId),
            _ => None,
        }
    }
}

impl Key {
    /// The key with this dotted name.
    pub fn of_dotted(name: &str) -> Option<Key> {
        let (group, name) = name.split_once('.')?;
        Group::of_name(group)?.key(name)
    }

    /// Its default, which gives its type.
    pub(super) fn default(self) -> Fallback {
        match self {
            Key::Profile(_, field) => field.info().default,
            Key::StdoutTopic | Key::StderrTopic | Key::DeviceId => Fallback::Text(None),
        }
    }

    pub(super) fn check_number(self, number: f64) -> Result<(), String> {
        match self {
            Key::Profile(_, field) => field.info().check_number(number),
            Key::StdoutTopic | Key::StderrTopic | Key::DeviceId => Ok(()),
        }
    }
}

/// The dotted name.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Profile(id, field) => write!(f, "{}.{}", id.name(), field.key()),
            Key::StdoutTopic => f.write_str("debug.stdout_topic"),
            Key::StderrTopic => f.write_str("debug.stderr_topic"),
            Key::DeviceId => f.write_str("device.id"),
        }
    }
}

/// The section that an unknown name at the top of a text was probably meant for: the name differs from it only in
/// case or in one letter, or has it before a dot. `mqtt` with another number is a section of the application's.
pub(super) fn section_meant(name: &str) -> Option<&'static str> {
    if let Some((section, _)) = name.split_once('.') {
        let ours =
            Group::of_name(section).filter(|group| group.is_ours_alone() || Key::of_dotted(name).is_some());
        return ours.map(Group::name);
    }
    if name
        .strip_prefix("mqtt")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let sections = SectionId::ALL.map(SectionId::name);
    sections.into_iter().find(|ours| same_word(name, ours) || is_one_edit(name, ours))
}

/// Whether one letter inserted, removed, replaced, or swapped with the next turns one into the
/// other.
fn is_one_edit(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    match (a, b) {
        ([x, a @ ..], [y, b @ ..]) if a.len() == b.len() => {
            a == b || (a.first() == Some(y) && b.first() == Some(x) && a[1..] == b[1..])
        }
        ([_, rest @ ..], other) if rest.len() == other.len() => rest == other,
        (other, [_, rest @ ..]) if rest.len() == other.len() => rest == other,
        _ => false,
    }
}

/// The field of a profile whose name is most similar to `name`.
pub(super) fn nearest(name: &str) -> &'static str {
    FIELDS.iter().map(|f| f.key).min_by_key(|key| distance(key, name)).unwrap_or_default()
}

/// How many letters must be inserted or removed to turn one into the other, ignoring case and the
/// kind of separator. A replaced letter counts twice, so that a part of a key is nearer to it than
/// another key of similar length: `ca_cert` means `ssl_ca_cert`, not `ssl_cert`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |c: u8| if c == b'-' || c == b' ' { b'_' } else { c.to_ascii_lowercase() };
    // A name longer than any key cannot be the nearest; the bound keeps long names cheap.
    let b = &b.as_bytes()[..b.len().min(64)];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + if fold(x) == fold(*y) { 0 } else { 2 };
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_go_both_ways() {
        for id in SectionId::ALL {
            for field in Field::ALL {
                let key = Key::Profile(id, field);
                assert_eq!(Key::of_dotted(&key.to_string()), Some(key));
            }
        }
        for key in [Key::StdoutTopic, Key::StderrTopic, Key::DeviceId] {
            assert_eq!(Key::of_dotted(&key.to_string()), Some(key));
        }
        for unknown in ["", "mqtt", "mqtt.", ".server", "mqtt.server.x", "mqtt2.server", "device.mac"] {
            assert_eq!(Key::of_dotted(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_section_that_was_meant() {
        for (typed, meant) in [
            ("MQTT", Some("mqtt")),
            ("Mqtt1", Some("mqtt1")),
            ("mqt", Some("mqtt")),
            ("mqttt", Some("mqtt")),
            ("mqt1", Some("mqtt")),
            ("mqttl", Some("mqtt")),
            ("mtqt", Some("mqtt")),
            ("qmtt1", Some("mqtt1")),
            ("nqtt1", Some("mqtt1")),
            ("mqtt.server", Some("mqtt")),
            ("mqtt1.sever", Some("mqtt1")),
            ("device.id", Some("device")),
            ("device.mac", None),
            ("mqtt2", None),
            ("mqtt10", None),
            ("app.server", None),
            ("wifi", None),
            ("http", None),
            ("mq", None),
            ("", None),
        ] {
            assert_eq!(section_meant(typed), meant, "{typed}");
        }
        assert!(!is_one_edit("mqtt", "mqtt") && !is_one_edit("mttq", "mqtt") && is_one_edit("", "x"));
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (typed, meant) in [
            ("keepalive", "keep_alive"),
            ("Keep-Alive", "keep_alive"),
            ("password", "pass"),
            ("username", "user"),
            ("ca_cert", "ssl_ca_cert"),
            ("clientId", "client_id"),
            ("sever", "server"),
            ("will_msg", "will_message"),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
        assert_eq!(distance("abc", "abd"), 2);
        assert_eq!(distance("", "abc"), 3);
        nearest(&"ä".repeat(1000));
    }
}
