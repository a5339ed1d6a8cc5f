//! The schemas of the base, the libraries and the application, merged into one tree.

use std::collections::HashMap;

use crate::Failure;
use crate::conds::{self, Names};
use crate::yaml::{Node, Value};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// `b`.
    Bool(bool),
    /// `i`.
    Int(i32),
    /// `ui`.
    Unsigned(u32),
    /// `f`.
    Float(f32),
    /// `d`.
    Double(f64),
    /// `s`; empty means not set.
    Text(String),
}

/// A key of the configuration.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its own name, without those of the sections around it.
    pub name: String,
    /// Where it was defined.
    pub place: Place,
    /// Whether it comes from the base schema, which is the library's.
    pub base: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a key is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A setting with its default, and whether an application or library changed that.
    Setting(Default, bool),
    /// A section; the path of the one whose structure it has.
    Section(Vec<Entry>, String),
}

/// A file and a line.
#[derive(Clone, Debug)]
pub struct Place {
    file: String,
    line: usize,
}

impl Place {
    fn fails<T>(&self, text: String) -> Result<T, Failure> {
        Err(Failure::new(&self.file, self.line, text))
    }
}

/// What was read so far.
#[derive(Default)]
pub struct Schema {
    /// The keys at the top.
    pub entries: Vec<Entry>,
    /// C macros for the compiler.
    pub cdefs: Vec<(String, String)>,
    references: Vec<(String, String, Place, bool)>,
    overrides: Vec<(String, Node, Place)>,
}

/// Follows a dotted path.
pub fn find<'a>(entries: &'a [Entry], path: &str) -> Option<&'a Entry> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let entry = entries.iter().find(|entry| entry.name == name)?;
    match (rest, &entry.kind) {
        (None, _) => Some(entry),
        (Some(rest), Kind::Section(entries, _)) => find(entries, rest),
        (Some(_), Kind::Setting(..)) => None,
    }
}

fn find_mut<'a>(entries: &'a mut [Entry], path: &str) -> Option<&'a mut Entry> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let entry = entries.iter_mut().find(|entry| entry.name == name)?;
    match rest {
        None => Some(entry),
        Some(rest) => match &mut entry.kind {
            Kind::Section(entries, _) => find_mut(entries, rest),
            Kind::Setting(..) => None,
        },
    }
}

/// Words that cannot name a member of a structure in C or C++.
const RESERVED: &str = " alignas alignof and asm auto bool break case catch char class const constexpr continue default delete do \
    double else enum explicit export extern false float for friend goto if inline int long namespace new not operator or private \
    protected public register restrict return short signed sizeof static struct switch template this throw true try typedef typeid \
    typename union unsigned using virtual void volatile while xor ";

fn check_path(path: &str, place: &Place) -> Result<(), Failure> {
    for name in path.split('.') {
        let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good || RESERVED.contains(&format!(" {name} ")) {
            return place
                .fails(format!("'{path}' cannot be the name of a setting: '{name}' is no name in C"));
        }
    }
    Ok(())
}

/// The value that a node gives for a setting of this type, or what was expected instead.
fn value(expected: &Default, node: &Node) -> Result<Default, String> {
    let wrong = |what: &str| {
        let found = match &node.value {
            Value::Plain(text) => format!("'{text}'"),
            Value::Text(text) => format!("the text \"{text}\""),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        };
        Err(format!("the default has to be {what}, but is {found}"))
    };
    let plain = if let Value::Plain(text) = &node.value { text.as_str() } else { "" };
    let integer = || match plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => plain.parse::<i64>().ok(),
    };
    match expected {
        Default::Bool(_) => match plain.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Default::Bool(true)),
            "false" | "no" | "off" => Ok(Default::Bool(false)),
            _ => wrong("true or false"),
        },
        Default::Int(_) => match integer().and_then(|n| i32::try_from(n).ok()) {
            Some(n) => Ok(Default::Int(n)),
            None => wrong("an integer of 32 bits"),
        },
        Default::Unsigned(_) => match integer().and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Ok(Default::Unsigned(n)),
            None => wrong("an integer from 0 to 4294967295"),
        },
        Default::Float(_) => match plain.parse::<f32>() {
            Ok(n) if n.is_finite() => Ok(Default::Float(n)),
            _ => wrong("a number that fits a float"),
        },
        Default::Double(_) => match plain.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Default::Double(n)),
            _ => wrong("a number"),
        },
        Default::Text(_) => match &node.value {
            Value::Text(text) if text.contains('\0') => wrong("a text without a NUL"),
            Value::Text(text) => Ok(Default::Text(text.clone())),
            Value::Plain(text) if matches!(text.as_str(), "" | "~" | "null") => {
                Ok(Default::Text(String::new()))
            }
            // Without quotes YAML takes these for something else than a text.
            Value::Plain(text)
                if text.parse::<f64>().is_ok()
                    || matches!(
                        text.to_ascii_lowercase().as_str(),
                        "true" | "false" | "yes" | "no" | "on" | "off"
                    ) =>
            {
                wrong("a text; put it in quotes")
            }
            Value::Plain(text) => Ok(Default::Text(text.clone())),
            _ => wrong("a text"),
        },
    }
}

fn zero(kind: &str) -> Option<Default> {
    Some(match kind {
        "b" => Default::Bool(false),
        "i" => Default::Int(0),
        "ui" => Default::Unsigned(0),
        "f" => Default::Float(0.0),
        "d" => Default::Double(0.0),
        "s" => Default::Text(String::new()),
        _ => return None,
    })
}

impl Schema {
    /// Adds what a mos.yml says.
    pub fn add(&mut self, file: &str, root: &Node, platform: &str, base: bool) -> Result<(), Failure> {
        let mut build_vars = HashMap::new();
        self.section(file, root, platform, base, &mut build_vars, 0)
    }

    fn section(
        &mut self,
        file: &str,
        node: &Node,
        platform: &str,
        base: bool,
        build_vars: &mut HashMap<String, String>,
        depth: usize,
    ) -> Result<(), Failure> {
        let place = |line| Place { file: file.into(), line };
        for (key, defines) in [("build_vars", false), ("cdefs", true)] {
            for (name, value) in node.get(key).and_then(Node::map).unwrap_or_default() {
                let (Some(name), Some(text)) = (name.text(), value.text()) else {
                    return place(value.line).fails(format!("a name and a value were expected in {key}"));
                };
                if defines {
                    check_path(name, &place(value.line))?;
                    self.cdefs.retain(|(other, _)| other != name);
                    self.cdefs.push((name.into(), text.into()));
                } else {
                    build_vars.insert(name.into(), text.into());
                }
            }
        }
        if let Some(entries) = node.get("config_schema") {
            let Some(items) = entries.list() else {
                return place(entries.line).fails("config_schema has to be a list".into());
            };
            for item in items {
                self.entry(item, place(item.line), base)?;
            }
        }
        for cond in node.get("conds").and_then(Node::list).unwrap_or_default() {
            let Some(when) = cond.get("when").and_then(|when| Some((when.line, when.text()?))) else {
                return place(cond.line).fails("a condition without 'when'".into());
            };
            let names = Names { platform, build_vars };
            let holds = conds::holds(when.1, &names)
                .or_else(|why| place(when.0).fails(format!("condition '{}': {why}", when.1)))?;
            if !holds {
                continue;
            }
            if let Some(error) = cond.get("error").and_then(Node::text) {
                return place(cond.line).fails(format!("the file itself says: {error}"));
            }
            if let (Some(apply), true) = (cond.get("apply"), depth < 8) {
                self.section(file, apply, platform, base, build_vars, depth + 1)?;
            }
        }
        Ok(())
    }

    /// One entry: `[path, type, default, {...}]`, `[path, "o", {...}]`, `[path, section, {...}]` or `[path, default]`.
    fn entry(&mut self, item: &Node, place: Place, base: bool) -> Result<(), Failure> {
        let items = item.list().unwrap_or_default();
        let Some(path) = items.first().and_then(Node::text) else {
            return place.fails("an entry has to be a list that begins with a name: [\"section.key\", \"s\", \"default\", {}]".into());
        };
        check_path(path, &place)?;
        if path == "conf_acl" {
            return place.fails("conf_acl is not supported: on Linux the rights of the files conf0.json to conf9.json say who may \
                change what; remove the entry".into());
        }
        let rest: Vec<&Node> = items[1..].iter().filter(|node| node.map().is_none()).collect();
        match rest.as_slice() {
            [] => place.fails(format!("'{path}' has neither a type nor a default")),
            [only] if items.len() == 2 => {
                self.overrides.push((path.into(), (*only).clone(), place));
                Ok(())
            }
            [kind, default @ ..] if default.len() < 2 => {
                let Some(kind) = kind.text() else {
                    return place.fails(format!("the type of '{path}' is not a text"));
                };
                if let Some(zero) = zero(kind) {
                    let default = match default.first() {
                        Some(node) => value(&zero, node)
                            .or_else(|why| place.fails(format!("'{path}', type {kind}: {why}")))?,
                        None => zero,
                    };
                    self.define(path, place, base, Kind::Setting(default, false))
                } else if let Some(node) = default.first() {
                    place.fails(format!(
                        "'{path}' is a section and cannot have a default ({})",
                        node.text().unwrap_or("a list")
                    ))
                } else if kind == "o" {
                    self.define(path, place, base, Kind::Section(Vec::new(), path.into()))
                } else {
                    self.define(path, place.clone(), base, Kind::Section(Vec::new(), kind.into()))?;
                    self.references.push((path.into(), kind.into(), place, base));
                    Ok(())
                }
            }
            _ => place
                .fails(format!("'{path}' has too many parts: name, type, default and {{...}} were expected")),
        }
    }

    fn define(&mut self, path: &str, place: Place, base: bool, kind: Kind) -> Result<(), Failure> {
        if let Some((target, at)) = self
            .references
            .iter()
            .find(|(target, ..)| path.starts_with(&format!("{target}.")))
            .map(|(target, of, ..)| (target, of))
        {
            return place.fails(format!("'{path}': '{target}' has the keys of '{at}'; add this one there"));
        }
        let mut entries = &mut self.entries;
        let mut walked = String::new();
        let names: Vec<&str> = path.split('.').collect();
        for name in &names[..names.len() - 1] {
            walked.push_str(name);
            let index = match entries.iter().position(|entry| entry.name == *name) {
                Some(index) => index,
                None => {
                    let kind = Kind::Section(Vec::new(), walked.clone());
                    entries.push(Entry { name: (*name).into(), place: place.clone(), base, kind });
                    entries.len() - 1
                }
            };
            match &mut entries[index].kind {
                Kind::Section(inner, _) => entries = inner,
                Kind::Setting(..) => {
                    return place.fails(format!("'{path}': '{walked}' is a setting, not a section"));
                }
            }
            walked.push('.');
        }
        let name = names[names.len() - 1];
        if let Some(old) = entries.iter().find(|entry| entry.name == name) {
            let both = matches!((&old.kind, &kind), (Kind::Section(_, a), Kind::Section(_, b)) if a == b);
            if both {
                return Ok(()); // several libraries may name a section that they share
            }
            return place.fails(format!(
                "'{path}' is already defined at {}:{}; to change its default, write [\"{path}\", value]",
                old.place.file, old.place.line
            ));
        }
        entries.push(Entry { name: name.into(), place, base, kind });
        Ok(())
    }

    /// Fills in references and changed defaults, when everything was read.
    pub fn resolve(&mut self) -> Result<(), Failure> {
        let mut waiting = std::mem::take(&mut self.references);
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            let pending: Vec<String> = waiting.iter().map(|(path, ..)| path.clone()).collect();
            for (path, target, place, base) in waiting {
                // The target, or something in it, may be a reference that is not filled in yet.
                let inside = |other: &String| *other == target || other.starts_with(&format!("{target}."));
                if pending.iter().any(inside) {
                    later.push((path, target, place, base));
                    continue;
                }
                let Some(Entry { kind: Kind::Section(entries, kind), .. }) = find(&self.entries, &target)
                else {
                    return place.fails(format!(
                        "'{target}', the type of '{path}', is neither a type (b, i, ui, f, d, s, o) nor a section"
                    ));
                };
                let copy = Kind::Section(entries.clone(), kind.clone());
                if let Some(entry) = find_mut(&mut self.entries, &path) {
                    entry.kind = copy;
                }
            }
            if later.len() == before {
                let (path, target, place, _) = &later[0];
                return place.fails(format!("'{path}' has the type '{target}', which leads back to itself"));
            }
            waiting = later;
        }
        for (path, node, place) in std::mem::take(&mut self.overrides) {
            match find_mut(&mut self.entries, &path) {
                Some(Entry { kind: Kind::Setting(default, changed), .. }) => {
                    *default =
                        value(default, &node).or_else(|why| place.fails(format!("'{path}': {why}")))?;
                    *changed = true;
                }
                Some(_) => return place.fails(format!("'{path}' is a section and cannot have a default")),
                None => {
                    return place.fails(format!(
                        "'{path}' is not defined anywhere, so its default cannot be changed"
                    ));
                }
            }
        }
        prune(&mut self.entries);
        Ok(())
    }
}

/// Takes sections without a setting away: a structure without members is no C.
fn prune(entries: &mut Vec<Entry>) {
    for entry in entries.iter_mut() {
        if let Kind::Section(inner, _) = &mut entry.kind {
            prune(inner);
        }
    }
    entries.retain(|entry| !matches!(&entry.kind, Kind::Section(inner, _) if inner.is_empty()));
}
