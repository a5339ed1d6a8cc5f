//! YAML as a tree whose nodes know their line.

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

use crate::Failure;

/// How deep sequences and mappings may nest.
const MAX_DEPTH: usize = 64;
/// How many nodes a file may have, copies by aliases included.
const MAX_NODES: usize = 200_000;

/// A value and the line where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// The line, from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// A value of YAML.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text that stood there without quotes.
    Plain(String),
    /// Text in quotes, or a block of text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar, with or without quotes.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The items of a sequence.
    pub fn list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// The pairs of a mapping.
    pub fn map(&self) -> Option<&[(Node, Node)]> {
        if let Value::Map(pairs) = &self.value { Some(pairs) } else { None }
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Plain(_) | Value::Text(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(pairs) => pairs.iter().map(|(k, v)| k.size() + v.size()).sum(),
        }
    }
}

/// A sequence or mapping that is not complete.
struct Open {
    node: Node,
    key: Option<Node>,
    anchor: usize,
}

/// Reads the first document of a file.
pub fn parse(file: &str, text: &str) -> Result<Node, Failure> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|e| Failure::new(file, e.marker().line(), format!("not YAML: {}", e.info())))?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = if style == ScalarStyle::Plain {
                    Value::Plain(text.into())
                } else {
                    Value::Text(text.into())
                };
                Some((Node { line, value }, anchor))
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open { node: Node { line, value: Value::List(Vec::new()) }, key: None, anchor });
                None
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open { node: Node { line, value: Value::Map(Vec::new()) }, key: None, anchor });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|open| (open.node, open.anchor)),
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => {
                    nodes += node.size();
                    Some((node.clone(), 0))
                }
                None => {
                    return Err(Failure::new(
                        file,
                        line,
                        "an alias that stands inside of what it names".into(),
                    ));
                }
            },
            _ => None,
        };
        nodes += 1;
        if open.len() > MAX_DEPTH || nodes > MAX_NODES {
            return Err(Failure::new(
                file,
                line,
                format!("more than {MAX_DEPTH} levels or {MAX_NODES} values"),
            ));
        }
        let Some((node, anchor)) = done else { continue };
        if anchor != 0 {
            anchors.insert(anchor, node.clone());
        }
        let Some(parent) = open.last_mut() else { return Ok(node) };
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(pairs) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => {
                    if pairs.iter().any(|(other, _)| other.text().is_some() && other.text() == key.text()) {
                        let name = key.text().unwrap_or_default();
                        return Err(Failure::new(file, key.line, format!("the key '{name}' is there twice")));
                    }
                    pairs.push((key, node));
                }
            },
            Value::Plain(_) | Value::Text(_) => unreachable!("scalars are not open"),
        }
    }
    Ok(Node { line: 1, value: Value::Map(Vec::new()) })
}
