//! Writing a configuration as JSON text.

use std::io;

use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::document::Document;
use super::error::ConfigError;
use super::schema::{Field, Section, SectionId, Value};
use super::shown::Shown;

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// One field in each line, indented by two blanks.
    pub pretty: bool,
    /// Passwords and keys in plain text. Without this they are written as `***`, also in an address, and the text is
    /// for people: read back, it would set the password to three asterisks.
    pub secrets: bool,
}

impl Section {
    /// The object of this section; all 26 fields, an unset string as `""`.
    ///
    /// Fails for a number that JSON cannot write: infinity or NaN.
    pub fn to_json(&self, style: Style) -> Result<String, ConfigError> {
        self.check_writable()?;
        write(&Fields { section: self, style }, style)
    }

    fn check_writable(&self) -> Result<(), ConfigError> {
        for field in Field::ALL {
            if let Value::Double(number) = self.get(field)
                && !number.is_finite()
            {
                let problem = format!("JSON cannot write the number {number}");
                return Err(ConfigError::new(field.key(), problem));
            }
        }
        Ok(())
    }
}

impl Document {
    /// The text with sections, as [`parse_document`](super::text::parse_document) reads it.
    pub fn to_json(&self, style: Style) -> Result<String, ConfigError> {
        for (id, section) in SectionId::ALL.into_iter().zip(&self.sections) {
            section.check_writable().map_err(|e| e.in_section(id.name()))?;
        }
        write(&Sections { document: self, style }, style)
    }
}

fn write(what: &impl Serialize, style: Style) -> Result<String, ConfigError> {
    let mut text = Vec::new();
    let mut to = serde_json::Serializer::with_formatter(&mut text, Layout::of(style));
    // Neither writing to memory nor our serializers can fail.
    what.serialize(&mut to).map_err(|e| ConfigError::new("", e.to_string()))?;
    String::from_utf8(text).map_err(|e| ConfigError::new("", e.to_string()))
}

/// Both layouts of serde_json in one type, since all code that writes is compiled once for each type of layout. A
/// configuration has no lists.
enum Layout {
    Compact(CompactFormatter),
    Pretty(PrettyFormatter<'static>),
}

impl Layout {
    fn of(style: Style) -> Layout {
        if style.pretty { Layout::Pretty(PrettyFormatter::new()) } else { Layout::Compact(CompactFormatter) }
    }
}

impl Formatter for Layout {
    fn begin_object<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        match self {
            Layout::Compact(layout) => layout.begin_object(to),
            Layout::Pretty(layout) => layout.begin_object(to),
        }
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        match self {
            Layout::Compact(layout) => layout.end_object(to),
            Layout::Pretty(layout) => layout.end_object(to),
        }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        match self {
            Layout::Compact(layout) => layout.begin_object_key(to, first),
            Layout::Pretty(layout) => layout.begin_object_key(to, first),
        }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        match self {
            Layout::Compact(layout) => layout.begin_object_value(to),
            Layout::Pretty(layout) => layout.begin_object_value(to),
        }
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        match self {
            Layout::Compact(layout) => layout.end_object_value(to),
            Layout::Pretty(layout) => layout.end_object_value(to),
        }
    }
}

struct Sections<'a> {
    document: &'a Document,
    style: Style,
}

impl Serialize for Sections<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Sections { document, style } = *self;
        let mut out = to.serialize_map(Some(4))?;
        for (id, section) in SectionId::ALL.into_iter().zip(&document.sections) {
            out.serialize_entry(id.name(), &Fields { section, style })?;
        }
        let topics = [("stdout_topic", &document.stdout_topic), ("stderr_topic", &document.stderr_topic)];
        out.serialize_entry("debug", &Texts(&topics))?;
        out.serialize_entry("device", &Texts(&[("id", &document.device_id)]))?;
        out.end()
    }
}

struct Texts<'a>(&'a [(&'static str, &'a Option<String>)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_map(Some(self.0.len()))?;
        for (key, text) in self.0 {
            out.serialize_entry(key, text.as_deref().unwrap_or_default())?;
        }
        out.end()
    }
}

struct Fields<'a> {
    section: &'a Section,
    style: Style,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_map(Some(Field::ALL.len()))?;
        for field in Field::ALL {
            let key = field.key();
            match self.section.get(field) {
                Value::Bool(b) => out.serialize_entry(key, &b)?,
                Value::Int(i) => out.serialize_entry(key, &i)?,
                Value::Double(d) => out.serialize_entry(key, &d)?,
                Value::Text(None) => out.serialize_entry(key, "")?,
                Value::Text(Some(_)) if field.info().secret && !self.style.secrets => {
                    out.serialize_entry(key, "***")?;
                }
                Value::Text(Some(text)) if field == Field::Server && !self.style.secrets => {
                    out.serialize_entry(key, &Shown(&text).to_string())?;
                }
                Value::Text(Some(text)) => out.serialize_entry(key, &text)?,
            }
        }
        out.end()
    }
}
