//! From a topic to the filters that match it.
//!
//! Filters without wildcards stand in one hash table under the whole filter: the common case costs one
//! look-up, with a hash that was made while the topic was checked. Filters with wildcards stand in a trie
//! over topic levels. Either way the cost follows the topic's depth and the number of matches, not the number
//! of filters.
//!
//! The trie's nodes lie in one vector and name each other by their places in it. A filter may have 65,535 levels, and so may
//! a topic that the server sends: so nothing here goes down the trie on the call stack, dropping it included.

use std::collections::HashMap;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::wire::topic;

/// A value for each of any number of topic filters.
#[derive(Debug)]
pub(crate) struct Topics<T> {
    /// Under filters in UTF-8, as bytes: topics are looked up as they come from the wire.
    exact: HashTable<Exact<T>>,
    wild: Trie<T>,
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

/// The part of a filter that topics are compared with: without `$share/group/`.
fn inner(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, inner)| inner)
}

fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

impl<T> Topics<T> {
    pub(crate) const fn new() -> Self {
        Topics { exact: HashTable::new(), wild: Trie::new() }
    }

    /// The value of the filters that match like `filter`, made if there is none. Two filters that match
    /// the same topics (`a/b` and `$share/g/a/b`) share one value.
    pub(crate) fn entry(&mut self, filter: &str, make: impl FnOnce() -> T) -> &mut T {
        let filter = inner(filter);
        if is_wild(filter) {
            return self.wild.entry(filter, make);
        }
        let filter = filter.as_bytes();
        let entry = self.exact.entry(topic::hash(filter), |there| there.is_of(filter), Exact::hash);
        let entry = entry.or_insert_with(|| Exact { filter: filter.into(), value: make() });
        &mut entry.into_mut().value
    }

    /// The value that [`entry`](Self::entry) would give, if there is one.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut T> {
        let filter = inner(filter);
        if is_wild(filter) {
            return self.wild.get_mut(filter);
        }
        let filter = filter.as_bytes();
        let entry = self.exact.find_mut(topic::hash(filter), |there| there.is_of(filter))?;
        Some(&mut entry.value)
    }

    /// Takes the value of a filter out, with the branches that held nothing else.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<T> {
        let filter = inner(filter);
        if is_wild(filter) {
            return self.wild.remove(filter);
        }
        let filter = filter.as_bytes();
        let entry = self.exact.find_entry(topic::hash(filter), |there| there.is_of(filter)).ok()?;
        Some(entry.remove().0.value)
    }

    /// The value of the one filter that matches `topic`, if there are no wildcards that might match it as well.
    #[inline]
    pub(crate) fn only(&self, topic: &[u8], hash: u64) -> Option<&T> {
        if self.wild.len > 0 {
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
        if self.wild.len > 0 {
            self.wild.matching(topic, &mut found);
        }
    }

    /// Every value.
    pub(crate) fn for_each(&self, mut found: impl FnMut(&T)) {
        self.exact.iter().for_each(|entry| found(&entry.value));
        self.wild.values().for_each(found);
    }
}

/// Filters with wildcards, by their levels.
#[derive(Debug)]
struct Trie<T> {
    /// The first is the root; free ones are in a list.
    nodes: Vec<Node<T>>,
    /// The first free node, and how many there are.
    free: u32,
    num_free: usize,
    /// How many filters there are.
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    children: HashMap<Box<[u8]>, u32, FxBuildHasher>,
    /// The child for `+`, or [`NONE`].
    any: u32,
    /// Of a free node: the next one.
    parent: u32,
    /// The filter that ends here.
    here: Option<T>,
    /// The filter that ends with `#` here.
    rest: Option<T>,
}

const ROOT: u32 = 0;

/// No node.
const NONE: u32 = u32::MAX;

/// So many free nodes are kept, and as many as there are others.
const KEEP_FREE: usize = 64;

impl<T> Node<T> {
    fn new(parent: u32) -> Self {
        Node { children: HashMap::default(), any: NONE, parent, here: None, rest: None }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any == NONE && self.here.is_none() && self.rest.is_none()
    }

    /// The child for a level of a filter.
    fn child(&self, level: &str) -> Option<u32> {
        match level {
            "+" => (self.any != NONE).then_some(self.any),
            name => self.children.get(name.as_bytes()).copied(),
        }
    }
}

impl<T> Trie<T> {
    const fn new() -> Self {
        Trie { nodes: Vec::new(), free: NONE, num_free: 0, len: 0 }
    }

    fn node(&self, at: u32) -> &Node<T> {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node<T> {
        &mut self.nodes[at as usize]
    }

    /// Adds a node below `parent`.
    fn add(&mut self, parent: u32) -> u32 {
        let at = self.free;
        if at == NONE {
            self.nodes.push(Node::new(parent));
            return self.nodes.len() as u32 - 1;
        }
        self.free = self.node(at).parent;
        self.num_free -= 1;
        self.node_mut(at).parent = parent;
        at
    }

    fn entry(&mut self, filter: &str, make: impl FnOnce() -> T) -> &mut T {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(NONE));
        }
        let mut at = ROOT;
        for level in topic::levels(filter).take_while(|level| *level != "#") {
            at = self.node(at).child(level).unwrap_or_else(|| {
                let child = self.add(at);
                match level {
                    "+" => self.node_mut(at).any = child,
                    name => drop(self.node_mut(at).children.insert(name.as_bytes().into(), child)),
                }
                child
            });
        }
        let node = &mut self.nodes[at as usize];
        let value = if ends_open(filter) { &mut node.rest } else { &mut node.here };
        self.len += usize::from(value.is_none());
        value.get_or_insert_with(make)
    }

    /// The node at which `filter` ends.
    fn find(&self, filter: &str) -> Option<u32> {
        self.nodes.first()?;
        let mut levels = topic::levels(filter).take_while(|level| *level != "#");
        levels.try_fold(ROOT, |at, level| self.node(at).child(level))
    }

    fn get_mut(&mut self, filter: &str) -> Option<&mut T> {
        let at = self.find(filter)?;
        let node = self.node_mut(at);
        if ends_open(filter) { node.rest.as_mut() } else { node.here.as_mut() }
    }

    fn remove(&mut self, filter: &str) -> Option<T> {
        let mut at = self.find(filter)?;
        let node = self.node_mut(at);
        let removed = if ends_open(filter) { node.rest.take() } else { node.here.take() }?;
        self.len -= 1;
        // The branch from its end back, as far as it holds nothing else.
        let mut levels = topic::levels(filter).rev();
        if ends_open(filter) {
            levels.next();
        }
        while at != ROOT && self.node(at).is_empty() {
            let parent = self.node(at).parent;
            match levels.next() {
                Some("+") => self.node_mut(parent).any = NONE,
                level => drop(self.node_mut(parent).children.remove(level.unwrap_or_default().as_bytes())),
            }
            // With the table that it may have had.
            *self.node_mut(at) = Node::new(self.free);
            self.free = at;
            self.num_free += 1;
            at = parent;
        }
        if self.num_free > KEEP_FREE && self.num_free * 2 > self.nodes.len() {
            self.compact();
        }
        Some(removed)
    }

    /// Gives the memory of free nodes back.
    fn compact(&mut self) {
        let mut is_free = vec![false; self.nodes.len()];
        while self.free != NONE {
            is_free[self.free as usize] = true;
            self.free = self.node(self.free).parent;
        }
        let mut places = Vec::with_capacity(is_free.len());
        let mut used = 0;
        for free in &is_free {
            places.push(if *free { NONE } else { used });
            used += u32::from(!free);
        }
        let moved = |at: u32| places.get(at as usize).copied().unwrap_or(NONE);
        let mut free = is_free.iter();
        self.nodes.retain(|_| free.next() == Some(&false));
        for node in &mut self.nodes {
            (node.parent, node.any) = (moved(node.parent), moved(node.any));
            node.children.values_mut().for_each(|child| *child = moved(*child));
        }
        self.nodes.shrink_to_fit();
        self.num_free = 0;
    }

    /// Goes through all branches that match, each down to its end and back to where another one leaves it: by name first,
    /// then by `+`. Each node knows its parent, and a level of the topic is found backwards as well as forwards, so the
    /// way back needs no memory.
    fn matching<'a>(&'a self, topic: &[u8], found: &mut impl FnMut(&'a T)) {
        // Wildcards at the first level do not match topics that begin with `$` (§4.7.2).
        let reserved = topic.first() == Some(&b'$');
        let open = |at: u32| !(reserved && at == ROOT);
        let mut at = ROOT;
        // Where the level begins that is looked for below `at`; behind the topic if that is used up.
        let mut begin = 0;
        loop {
            let node = self.node(at);
            if let Some(value) = &node.rest
                && open(at)
            {
                found(value);
            }
            let mut next = None;
            if begin > topic.len() {
                node.here.iter().for_each(&mut *found);
            } else {
                let level = topic[begin..].split(|byte| *byte == b'/').next().unwrap_or_default();
                let any = (node.any != NONE && open(at)).then_some(node.any);
                next = node.children.get(level).copied().or(any);
                if next.is_some() {
                    begin += level.len() + 1;
                }
            }
            // Back to the first node that was left by name and can be left by `+` as well.
            while next.is_none() {
                let parent = self.node(at).parent;
                if parent == NONE {
                    return;
                }
                let any = self.node(parent).any;
                next = (any != NONE && any != at && open(parent)).then_some(any);
                if next.is_none() {
                    let level = topic[..begin - 1].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                    begin -= level.len() + 1;
                }
                at = parent;
            }
            at = next.unwrap_or(ROOT);
        }
    }

    fn values(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().flat_map(|node| node.here.iter().chain(&node.rest))
    }
}

/// Whether the last level of a filter is `#`.
fn ends_open(filter: &str) -> bool {
    topic::levels(filter).next_back() == Some("#")
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
        assert!(topics.exact.is_empty() && topics.wild.len == 0 && topics.wild.nodes[0].is_empty());
        assert_eq!(topics.wild.num_free, topics.wild.nodes.len() - 1);
    }

    #[test]
    fn what_many_filters_needed_is_given_back_and_the_rest_keeps_its_place() {
        let mut topics = Topics::new();
        let filter = |n: usize| format!("{n}/+/b{}/#", n % 7);
        for n in 0..1_000 {
            topics.entry(&filter(n), || n);
        }
        let most = topics.wild.nodes.len();
        for n in (0..1_000).filter(|n| n % 100 != 7) {
            assert_eq!(topics.remove(&filter(n)), Some(n));
        }
        assert!(topics.wild.nodes.len() < most / 10, "{} of {most}", topics.wild.nodes.len());
        for n in 0..1_000 {
            let mut seen = Vec::new();
            topics.matching(format!("{n}/x/b{}/c", n % 7).as_bytes(), |value| seen.push(*value));
            assert_eq!(seen, if n % 100 == 7 { vec![n] } else { vec![] });
            assert_eq!(topics.get_mut(&filter(n)).is_some(), n % 100 == 7);
        }
    }

    /// A mixture of filters, as a plain list and as the trie have it.
    #[test]
    fn agrees_with_the_plain_matcher_on_all_short_filters_and_topics() {
        let levels = |names: &[&str], depth: usize| {
            let mut all: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
            let mut last = all.clone();
            for _ in 1..depth {
                last = last.iter().flat_map(|a| names.iter().map(move |b| format!("{a}/{b}"))).collect();
                all.extend(last.iter().cloned());
            }
            all
        };
        let filters = levels(&["a", "$b", "+", "", "#"], 3);
        let filters: Vec<&str> =
            filters.iter().map(String::as_str).filter(|f| topic::valid_filter(f).is_ok()).collect();
        for topic in levels(&["a", "$b", "c", ""], 4).iter().filter(|topic| !topic.is_empty()) {
            let mut expected: Vec<&str> =
                filters.iter().copied().filter(|f| topic::matches(f, topic)).collect();
            expected.sort_unstable();
            assert_eq!(matches(&filters, topic), expected, "topic {topic:?}");
        }
    }
}
