//! Reading the JSON text of a configuration.
//!
//! ```json
//! {"mqtt": {"enable": true, "server": "broker:1883"}, "mqtt1": {}, "device": {"id": "d1"}}
//! ```
//!
//! A text becomes a list of [`Change`]s, which the caller applies all at once; after an error, none
//! are applied. A field that the text does not name keeps its value.

use core::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ConfigError, Position};
use super::key::{Change, Group, Key, nearest, section_meant};
use super::schema::{Fallback, Field, SectionId, Value};

/// The longest text that is read: far more than any configuration needs, far less than memory.
pub const MAX_TEXT: usize = 1 << 20;

/// Reads a text with sections: `{"mqtt": {…}, "mqtt1": {…}, "debug": {…}, "device": {…}}`.
///
/// Other sections belong to the application and are skipped, and so are other keys of `debug` and `device`. In `mqtt`
/// and `mqtt1` an unknown key is an error, and so are a duplicate key and a section whose name differs only a little
/// from these.
pub fn parse_document(text: &[u8]) -> Result<Vec<Change>, ConfigError> {
    let mut run = Run::default();
    let found = run_on(text, Object { run: &mut run, group: None });
    run.end(found)
}

/// As [`parse_document`], but unknown keys belong to the application, wherever they are. Returned are the dotted names
/// of keys and sections that may have been meant for this library, with their values as they were written.
pub fn parse_with_unknown(text: &[u8]) -> Result<(Vec<Change>, Vec<Unknown>), ConfigError> {
    let mut run = Run { unknown: Some(Vec::new()), ..Run::default() };
    let found = run_on(text, Object { run: &mut run, group: None });
    let unknown = run.unknown.take().unwrap_or_default();
    Ok((run.end(found)?, unknown))
}

/// An unknown key of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its dotted name.
    pub name: String,
    /// Its value, as it was written.
    pub value: String,
}

/// Reads the object of one section without its name: `{"server": "broker:1883", …}`. Errors then
/// name the field alone.
pub fn parse_section(text: &[u8]) -> Result<Vec<(Field, Value)>, ConfigError> {
    let group = Group::Profile(SectionId::Mqtt);
    let mut run = Run::default();
    let found = run_on(text, Object { run: &mut run, group: Some(group) });
    let changes = run.end(found).map_err(|e| e.without_section(group.name()))?;
    let of_profile = |change: Change| match change.key {
        Key::Profile(_, field) => Some((field, change.value)),
        Key::StdoutTopic | Key::StderrTopic | Key::DeviceId => None,
    };
    Ok(changes.into_iter().filter_map(of_profile).collect())
}

/// Reads the value of one key, written without quotes: `60`, `true`, `broker:1883`.
pub fn parse_value(key: Key, text: &str) -> Result<Value, ConfigError> {
    let raw = match key.default() {
        Fallback::Text(_) => Raw::Text(text),
        _ => match text {
            "true" => Raw::Bool(true),
            "false" => Raw::Bool(false),
            _ => text.parse().map_or(Raw::Text(text), Raw::Number),
        },
    };
    convert(key, raw).map_err(|problem| ConfigError::new(key.to_string(), problem))
}

fn run_on(text: &[u8], object: Object<'_>) -> serde_json::Result<()> {
    if text.len() > MAX_TEXT {
        return Err(object.run.fail(String::new(), format!("the text is longer than {MAX_TEXT} bytes")));
    }
    // Editors of some systems begin a file with a byte order mark, which JSON does not have.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut json = serde_json::Deserializer::from_slice(text);
    object.deserialize(&mut json)?;
    json.end()
}

/// What one reading has found.
#[derive(Default)]
struct Run {
    changes: Vec<Change>,
    /// The problem behind serde's error, which can carry only a text.
    problem: Option<ConfigError>,
    /// The unknown keys; `None` if they are errors.
    unknown: Option<Vec<Unknown>>,
}

impl Run {
    /// Takes the value of an unknown name; an error if unknown names are errors.
    fn unknown<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        (key, problem): (String, String),
        map: &mut A,
    ) -> Result<(), A::Error> {
        match &mut self.unknown {
            None => Err(self.fail(key, problem)),
            Some(unknown) => {
                let value = map.next_value::<Box<RawValue>>()?.get().to_owned();
                unknown.push(Unknown { name, value });
                Ok(())
            }
        }
    }

    fn fail<E: serde_core::de::Error>(&mut self, key: String, problem: impl Into<String>) -> E {
        self.problem = Some(ConfigError::new(key, problem));
        E::custom("")
    }

    fn end(self, found: serde_json::Result<()>) -> Result<Vec<Change>, ConfigError> {
        let Err(error) = found else { return Ok(self.changes) };
        let mut problem = match self.problem {
            Some(problem) if error.is_data() => problem,
            _ => ConfigError::new("", without_position(&error)),
        };
        let (line, column) = (error.line(), error.column());
        problem.at = (line > 0).then_some(Position { line, column });
        Err(problem)
    }
}

/// serde_json's own sentence, without the position at its end, which we write in our own form.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("not valid JSON: {}", text.strip_suffix(&place).unwrap_or(&text))
}

/// An object: the whole text, or one section of it.
struct Object<'a> {
    run: &'a mut Run,
    group: Option<Group>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let name = self.group.map_or(String::new(), |g| g.name().to_owned());
        // Cleared as soon as there is an object.
        self.run.problem = Some(ConfigError::new(name, "expected an object"));
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.run.problem = None;
        match self.group {
            None => read_document(self.run, map),
            Some(group) => read_section(self.run, group, map),
        }
    }
}

fn read_document<'de, A: MapAccess<'de>>(run: &mut Run, mut map: A) -> Result<(), A::Error> {
    let mut seen: Vec<Group> = Vec::new();
    while let Some(name) = map.next_key::<String>()? {
        let Some(group) = Group::of_name(&name) else {
            match section_meant(&name) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(meant) => {
                    let problem = match name.contains('.') {
                        true => format!(
                            "a key stands in its section, as in {{\"{meant}\": {{\"key\": \"value\"}}}}"
                        ),
                        false => "unknown section; this is the nearest".to_owned(),
                    };
                    run.unknown(name, (meant.to_owned(), problem), &mut map)?;
                }
            }
            continue;
        };
        if seen.contains(&group) {
            return Err(run.fail(name, "this section comes twice"));
        }
        seen.push(group);
        map.next_value_seed(Object { run, group: Some(group) })?;
    }
    Ok(())
}

fn read_section<'de, A: MapAccess<'de>>(run: &mut Run, group: Group, mut map: A) -> Result<(), A::Error> {
    while let Some(name) = map.next_key::<String>()? {
        let Some(key) = group.key(&name) else {
            if group.is_ours_alone() {
                let problem = format!("unknown key; the nearest is {}", nearest(&name));
                // The key is not quoted: in a damaged text the value of `pass` can be where a key
                // belongs.
                let error = (group.name().to_owned(), problem);
                run.unknown(format!("{}.{name}", group.name()), error, &mut map)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            continue;
        };
        if run.changes.iter().any(|change| change.key == key) {
            return Err(run.fail(key.to_string(), "this key comes twice"));
        }
        let value = map.next_value_seed(Scalar { run, key })?;
        run.changes.push(Change { key, value });
    }
    Ok(())
}

/// The value of a key.
struct Scalar<'a> {
    run: &'a mut Run,
    key: Key,
}

impl Scalar<'_> {
    fn take<E: serde_core::de::Error>(self, raw: Raw<'_>) -> Result<Value, E> {
        convert(self.key, raw).map_err(|problem| self.run.fail(self.key.to_string(), problem))
    }
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde_core::de::Error>(self, v: bool) -> Result<Value, E> {
        self.take(Raw::Bool(v))
    }

    // Beyond 2^53 the conversions round, but no field is that large.
    fn visit_i64<E: serde_core::de::Error>(self, v: i64) -> Result<Value, E> {
        self.take(Raw::Number(v as f64))
    }

    fn visit_u64<E: serde_core::de::Error>(self, v: u64) -> Result<Value, E> {
        self.take(Raw::Number(v as f64))
    }

    fn visit_f64<E: serde_core::de::Error>(self, v: f64) -> Result<Value, E> {
        self.take(Raw::Number(v))
    }

    fn visit_str<E: serde_core::de::Error>(self, v: &str) -> Result<Value, E> {
        self.take(Raw::Text(v))
    }

    fn visit_unit<E: serde_core::de::Error>(self) -> Result<Value, E> {
        self.take(Raw::Null)
    }

    fn visit_seq<A: serde_core::de::SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        self.take(Raw::List).and(Err(A::Error::custom("")))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        self.take(Raw::Object).and(Err(A::Error::custom("")))
    }
}

/// A value in a text.
enum Raw<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List,
    Object,
}

impl Raw<'_> {
    fn name(&self) -> &'static str {
        match self {
            Raw::Null => "null",
            Raw::Bool(_) => "true or false",
            Raw::Number(_) => "a number",
            Raw::Text(_) => "a string",
            Raw::List => "a list",
            Raw::Object => "an object",
        }
    }
}

/// Makes the value of a key. The error sentence does not quote strings, because the value of `pass`
/// may have been written at the wrong key.
fn convert(key: Key, raw: Raw<'_>) -> Result<Value, String> {
    let expected = match (key.default(), raw) {
        (Fallback::Bool(_), Raw::Bool(b)) => return Ok(Value::Bool(b)),
        // As Mongoose OS reads them.
        (Fallback::Bool(_), Raw::Number(n)) if n == 0.0 || n == 1.0 => return Ok(Value::Bool(n == 1.0)),
        (Fallback::Bool(_), raw) => ("true or false", raw),
        (Fallback::Int(_), Raw::Number(n)) => {
            key.check_number(n)?;
            if n.fract() != 0.0 {
                return Err(format!("expected a whole number, found {n}"));
            }
            return Ok(Value::Int(n as i32));
        }
        (Fallback::Double(_), Raw::Number(n)) => {
            return key.check_number(n).map(|()| Value::Double(n));
        }
        (Fallback::Int(_) | Fallback::Double(_), raw) => ("a number", raw),
        (Fallback::Text(_), Raw::Null) => return Ok(Value::Text(None)),
        (Fallback::Text(_), Raw::Text(t)) if t.contains('\0') => {
            return Err("a string cannot contain U+0000".to_owned());
        }
        (Fallback::Text(_), Raw::Text(t)) => return Ok(Value::text(t)),
        (Fallback::Text(_), raw) => ("a string", raw),
    };
    Err(format!("expected {}, found {}", expected.0, expected.1.name()))
}
