//! From a topic to the filters that match it.
//!
//! Filters without wildcards stand in one hash table under the whole filter: the common case costs one
//! look-up, with a hash that was made while the topic was checked. Filters with wildcards stand in a trie
//! over topic levels. Either way the cost follows the topic's depth and the number of matches, not the number
//! of filters.

use std::collections::HashMap;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::wire::topic;

/// A value for each of any number of topic filters.
#[derive(Debug)]
pub(crate) struct Topics<T> {
    /// Under filters in UTF-8, as bytes: topics are looked up as they come from the wire.
    exact: HashTable<Exact<T>>,
    wild: Option<Box<Node<T>>>,
    wild_len: usize,
}

#[derive(Debug)]
struct Exact<T> {
    filter: Box<[u8]>,
    value: T,
}

impl<T> Exact<T> {
    fn hash(&self) -> u64 {
        topic::hash(&self.filter)
    }

    fn is_of(&self, filter: &[u8]) -> bool {
        *self.filter == *filter
    }
}

#[derive(Debug)]
struct Node<T> {
    children: HashMap<Box<[u8]>, Node<T>, FxBuildHasher>,
    /// The child for `+`.
    any: Option<Box<Node<T>>>,
    /// The filter that ends here.
    here: Option<T>,
    /// The filter that ends with `#` here.
    rest: Option<T>,
}

impl<T> Node<T> {
    fn new() -> Self {
        Node { children: HashMap::default(), any: None, here: None, rest: None }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_none() && self.rest.is_none()
    }
}

/// The part of a filter that topics are compared with: without `$share/group/`.
fn inner(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, inner)| inner)
}

fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

impl<T> Topics<T> {
    pub(crate) const fn new() -> Self {
        Topics { exact: HashTable::new(), wild: None, wild_len: 0 }
    }

    /// The value of the filters that match like `filter`, made if there is none. Two filters that match
    /// the same topics (`a/b` and `$share/g/a/b`) share one value.
    pub(crate) fn entry(&mut self, filter: &str, make: impl FnOnce() -> T) -> &mut T {
        let filter = inner(filter);
        if !is_wild(filter) {
            let filter = filter.as_bytes();
            let entry = self.exact.entry(topic::hash(filter), |there| there.is_of(filter), Exact::hash);
            let entry = entry.or_insert_with(|| Exact { filter: filter.into(), value: make() });
            return &mut entry.into_mut().value;
        }
        let mut node = &mut **self.wild.get_or_insert_with(|| Box::new(Node::new()));
        let mut slot = None;
        for level in topic::levels(filter) {
            match level {
                "#" => {
                    slot = Some(());
                    break;
                }
                "+" => node = node.any.get_or_insert_with(|| Box::new(Node::new())),
                name => node = node.children.entry(name.as_bytes().into()).or_insert_with(Node::new),
            }
        }
        let place = if slot.is_some() { &mut node.rest } else { &mut node.here };
        if place.is_none() {
            self.wild_len += 1;
        }
        place.get_or_insert_with(make)
    }

    /// The value that [`entry`](Self::entry) would give, if there is one.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut T> {
        let filter = inner(filter);
        if !is_wild(filter) {
            let filter = filter.as_bytes();
            let entry = self.exact.find_mut(topic::hash(filter), |there| there.is_of(filter))?;
            return Some(&mut entry.value);
        }
        let mut node = self.wild.as_deref_mut()?;
        for level in topic::levels(filter) {
            match level {
                "#" => return node.rest.as_mut(),
                "+" => node = node.any.as_deref_mut()?,
                name => node = node.children.get_mut(name.as_bytes())?,
            }
        }
        node.here.as_mut()
    }

    /// Takes the value of a filter out, with the branches that held nothing else.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<T> {
        let filter = inner(filter);
        if !is_wild(filter) {
            let filter = filter.as_bytes();
            let entry = self.exact.find_entry(topic::hash(filter), |there| there.is_of(filter)).ok()?;
            return Some(entry.remove().0.value);
        }
        let removed = Self::remove_below(self.wild.as_deref_mut()?, &mut topic::levels(filter));
        self.wild_len -= usize::from(removed.is_some());
        removed
    }

    fn remove_below<'a>(node: &mut Node<T>, levels: &mut impl Iterator<Item = &'a str>) -> Option<T> {
        match levels.next() {
            None => node.here.take(),
            Some("#") => node.rest.take(),
            Some("+") => {
                let child = node.any.as_deref_mut()?;
                let removed = Self::remove_below(child, levels);
                if child.is_empty() {
                    node.any = None;
                }
                removed
            }
            Some(name) => {
                let child = node.children.get_mut(name.as_bytes())?;
                let removed = Self::remove_below(child, levels);
                if child.is_empty() {
                    node.children.remove(name.as_bytes());
                }
                removed
            }
        }
    }

    /// The value of the one filter that matches `topic`, if there are no wildcards that might match it as well.
    #[inline]
    pub(crate) fn only(&self, topic: &[u8], hash: u64) -> Option<&T> {
        if self.wild_len > 0 {
            return None;
        }
        self.exact.find(hash, |there| there.is_of(topic)).map(|entry| &entry.value)
    }

    /// Calls `found` for each value whose filter matches `topic` (MQTT 3.1.1 §4.7).
    pub(crate) fn matching<'a>(&'a self, topic: &[u8], mut found: impl FnMut(&'a T)) {
        if !self.exact.is_empty()
            && let Some(entry) = self.exact.find(topic::hash(topic), |there| there.is_of(topic))
        {
            found(&entry.value);
        }
        if let Some(wild) = self.wild.as_deref().filter(|_| self.wild_len > 0) {
            // Wildcards at the first level do not match topics that begin with `$` (§4.7.2).
            Self::walk(wild, Some(topic), topic.first() == Some(&b'$'), &mut found);
        }
    }

    /// `rest` is what is left of the topic, `None` when it is used up.
    fn walk<'a>(node: &'a Node<T>, rest: Option<&[u8]>, reserved: bool, found: &mut impl FnMut(&'a T)) {
        if !reserved && let Some(value) = &node.rest {
            found(value);
        }
        let Some(rest) = rest else {
            if let Some(value) = &node.here {
                found(value);
            }
            return;
        };
        let (level, below) = match rest.iter().position(|&byte| byte == b'/') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        if let Some(child) = node.children.get(level) {
            Self::walk(child, below, false, found);
        }
        if !reserved && let Some(child) = &node.any {
            Self::walk(child, below, false, found);
        }
    }

    /// Every value.
    pub(crate) fn for_each(&self, mut found: impl FnMut(&T)) {
        fn below<T>(node: &Node<T>, found: &mut impl FnMut(&T)) {
            node.here.iter().chain(&node.rest).for_each(&mut *found);
            for child in node.children.values().chain(node.any.as_deref()) {
                below(child, found);
            }
        }
        self.exact.iter().for_each(|entry| found(&entry.value));
        if let Some(wild) = &self.wild {
            below(wild, &mut found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filters: &[&str], topic: &str) -> Vec<String> {
        let mut topics = Topics::new();
        for filter in filters {
            topics.entry(filter, || filter.to_string());
        }
        let mut seen = Vec::new();
        topics.matching(topic.as_bytes(), |f| seen.push(f.clone()));
        seen.sort();
        seen
    }

    const FILTERS: &[&str] =
        &["a", "a/b", "a/+", "a/#", "+", "#", "+/b", "+/+", "$SYS/#", "$SYS/+", "/", "a//b", "a/+/b", "/+"];

    #[test]
    fn agrees_with_the_plain_matcher() {
        for topic in ["a", "a/b", "a/b/c", "b", "/", "//", "$SYS/x", "$SYS", "a//b", "a/", "/a", "x/y/z"] {
            let mut expected: Vec<String> =
                FILTERS.iter().filter(|f| topic::matches(f, topic)).map(|f| f.to_string()).collect();
            expected.sort();
            assert_eq!(matches(FILTERS, topic), expected, "topic {topic:?}");
        }
    }

    #[test]
    fn a_shared_subscription_matches_on_its_inner_filter() {
        assert_eq!(matches(&["$share/g/a/+"], "a/b"), ["$share/g/a/+"]);
        assert_eq!(matches(&["$share/g/a/b"], "a/b"), ["$share/g/a/b"]);
    }

    #[test]
    fn what_is_removed_is_gone_and_leaves_nothing_behind() {
        let mut topics = Topics::new();
        for filter in FILTERS {
            topics.entry(filter, || filter.to_string());
        }
        for filter in FILTERS {
            assert_eq!(topics.get_mut(filter).cloned(), Some(filter.to_string()));
            assert_eq!(topics.remove(filter), Some(filter.to_string()));
            assert_eq!(topics.remove(filter), None);
        }
        assert!(
            topics.exact.is_empty() && topics.wild.is_none_or(|wild| wild.is_empty()) && topics.wild_len == 0
        );
    }
}
