//! Dotted names: everything a configuration text can set.

use core::fmt;

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
    /// To which value, of the key's type and in its range.
    pub value: Value,
}

/// The objects at the top of a text that are looked into; an application keeps its own beside them.
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
    /// The thing of this dotted name.
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

/// The field of a profile whose name is most like `name`.
pub(super) fn nearest(name: &str) -> &'static str {
    FIELDS.iter().map(|f| f.key).min_by_key(|key| distance(key, name)).unwrap_or_default()
}

/// How many letters must be inserted or removed to make one of the other, where case and the kind
/// of separator do not count. A replaced letter counts as both, so that a part of a key is nearer
/// to it than another key of similar length: `ca_cert` means `ssl_ca_cert`, not `ssl_cert`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |c: u8| if c == b'-' || c == b' ' { b'_' } else { c.to_ascii_lowercase() };
    // A name longer than any key cannot win; the bound keeps a long one cheap.
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
