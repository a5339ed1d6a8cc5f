//! Topic aliases: a number that stands for a topic name, as long as the connection lasts (MQTT 5.0 §3.3.2.3.4).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::Code;
use crate::wire::topic;

/// Bytes of the property.
const PROPERTY: usize = 3;

/// The topics behind the aliases that the server has set.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    /// That of alias 1 is the first; empty where there is none, and while it is lent.
    topics: Vec<Box<[u8]>>,
}

impl Incoming {
    pub(crate) const fn new() -> Self {
        Incoming { topics: Vec::new() }
    }

    /// From now on the alias, which is not 0, stands for this topic.
    pub(crate) fn set(&mut self, alias: u16, topic: &[u8]) -> Result<(), Code> {
        let at = usize::from(alias) - 1;
        if at >= self.topics.len() {
            self.topics.try_reserve(at + 1 - self.topics.len()).map_err(|_| Code::NoMemory)?;
            self.topics.resize_with(at + 1, Box::default);
        }
        if *self.topics[at] != *topic {
            let mut copy = Vec::new();
            copy.try_reserve_exact(topic.len()).map_err(|_| Code::NoMemory)?;
            copy.extend_from_slice(topic);
            self.topics[at] = copy.into_boxed_slice();
        }
        Ok(())
    }

    /// The topic, for somebody to have while the session is behind a lock. He [gives it back](Self::give_back).
    pub(crate) fn lend(&mut self, alias: u16) -> Option<Box<[u8]>> {
        let topic = self.topics.get_mut(usize::from(alias).checked_sub(1)?)?;
        (!topic.is_empty()).then(|| core::mem::take(topic))
    }

    /// What was lent. If the connection ended meanwhile, the alias is no more.
    pub(crate) fn give_back(&mut self, alias: u16, topic: Box<[u8]>) {
        let place = usize::from(alias).checked_sub(1).and_then(|at| self.topics.get_mut(at));
        if let Some(place) = place.filter(|place| place.is_empty()) {
            *place = topic;
        }
    }

    /// The connection is over, and all aliases with it.
    pub(crate) fn clear(&mut self) {
        self.topics = Vec::new();
    }
}

/// No entry.
const NIL: u16 = u16::MAX;

/// A topic that has an alias.
#[derive(Clone, Debug)]
struct Entry {
    /// Empty if the alias stands for nothing.
    topic: Vec<u8>,
    /// The next entry with this hash's place.
    chain: u16,
    older: u16,
    newer: u16,
}

/// The aliases that the server was told, the one that was used last first. That of the first entry is 1.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The highest alias that the server takes, and the highest that is given without being asked for.
    most: u16,
    automatic: u16,
    entries: Vec<Entry>,
    /// For each place of a hash the first entry; a power of two.
    places: Vec<u16>,
    newest: u16,
    oldest: u16,
}

/// How the topic of a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) number: u16,
    /// The server knows what it stands for: the topic need not be sent.
    pub(crate) known: bool,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Outgoing { most: 0, automatic: 0, entries: Vec::new(), places: Vec::new(), newest: NIL, oldest: NIL }
    }

    /// A new connection: the server takes aliases up to `most`, and so many are given without being asked for.
    pub(crate) fn begin(&mut self, most: u16, automatic: u16) {
        // The last number would be that of no entry.
        let most = most.min(NIL - 1);
        *self = Outgoing { most, automatic: automatic.min(most), ..Outgoing::new() };
    }

    /// Whether there may be any.
    #[inline]
    pub(crate) fn are_possible(&self) -> bool {
        self.most > 0
    }

    /// The alias that the server knows for a topic, which is used now; 0 if the topic goes without one. `None` if one has
    /// to be [chosen](Self::choose) for it.
    #[inline(always)]
    pub(crate) fn in_use(&mut self, topic: &[u8]) -> Option<u16> {
        match self.entries.get(usize::from(self.newest)) {
            Some(newest) if same(&newest.topic, topic) => Some(self.newest + 1),
            None if self.automatic == 0 => Some(0),
            _ => self.look_up(topic),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, topic: &[u8]) -> Option<u16> {
        match self.find(topic) {
            Some(at) => {
                self.touch(at);
                Some(at + 1)
            }
            None => (self.automatic == 0 || topic.len() <= PROPERTY).then_some(0),
        }
    }

    /// The alias for a topic: the one that the application wants, if the server takes it, or one of ours.
    /// `None` if it goes without, also for want of memory, and where it would have to be set and may not be.
    pub(crate) fn choose(&mut self, topic: &[u8], wanted: u16, may_set: bool) -> Option<Alias> {
        if wanted > self.most {
            return None;
        }
        let found = self.find(topic);
        if let Some(at) = found.filter(|at| wanted == 0 || wanted == at + 1) {
            self.touch(at);
            return Some(Alias { number: at + 1, known: true });
        }
        // What it saves is the topic, and what it costs is the property.
        if !may_set || wanted == 0 && (self.automatic == 0 || topic.len() <= PROPERTY) {
            return None;
        }
        let at = match wanted {
            0 if self.entries.len() < usize::from(self.automatic) => self.entries.len() as u16,
            0 => self.oldest,
            wanted => wanted - 1,
        };
        self.grow(at).ok()?;
        self.forget(at + 1);
        if let Some(at) = found {
            // It has another one now.
            self.forget(at + 1);
        }
        let entry = &mut self.entries[usize::from(at)];
        entry.topic.try_reserve(topic.len()).ok()?;
        entry.topic.extend_from_slice(topic);
        let place = self.place(topic);
        self.entries[usize::from(at)].chain = core::mem::replace(&mut self.places[place], at);
        self.touch(at);
        Some(Alias { number: at + 1, known: false })
    }

    /// The alias stands for nothing: the packet that was to set it was not sent.
    pub(crate) fn forget(&mut self, alias: u16) {
        let at = alias - 1;
        let topic = core::mem::take(&mut self.entries[usize::from(at)].topic);
        if !topic.is_empty() {
            let place = self.place(&topic);
            let next = self.entries[usize::from(at)].chain;
            if self.places[place] == at {
                self.places[place] = next;
            } else {
                let mut before = self.places[place];
                while self.entries[usize::from(before)].chain != at {
                    before = self.entries[usize::from(before)].chain;
                }
                self.entries[usize::from(before)].chain = next;
            }
        }
        // For its memory.
        let mut topic = topic;
        topic.clear();
        self.entries[usize::from(at)].topic = topic;
    }

    fn find(&self, topic: &[u8]) -> Option<u16> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.places[self.place(topic)];
        while at != NIL && self.entries[usize::from(at)].topic != topic {
            at = self.entries[usize::from(at)].chain;
        }
        (at != NIL).then_some(at)
    }

    fn place(&self, topic: &[u8]) -> usize {
        topic::hash(topic) as usize & (self.places.len() - 1)
    }

    /// Makes sure that there is this entry; new ones stand for nothing and are the oldest.
    fn grow(&mut self, at: u16) -> Result<(), Code> {
        let len = usize::from(at) + 1;
        if len <= self.entries.len() {
            return Ok(());
        }
        self.entries.try_reserve(len - self.entries.len()).map_err(|_| Code::NoMemory)?;
        let places = len.next_power_of_two() * 2;
        if places > self.places.len() {
            let mut empty = Vec::new();
            empty.try_reserve_exact(places).map_err(|_| Code::NoMemory)?;
            empty.resize(places, NIL);
            self.places = empty;
            for at in 0..self.entries.len() {
                let place = self.place(&self.entries[at].topic);
                if !self.entries[at].topic.is_empty() {
                    self.entries[at].chain = core::mem::replace(&mut self.places[place], at as u16);
                }
            }
        }
        while self.entries.len() < len {
            let at = self.entries.len() as u16;
            let newer = core::mem::replace(&mut self.oldest, at);
            self.entries.push(Entry { topic: Vec::new(), chain: NIL, older: NIL, newer });
            match self.entries.get_mut(usize::from(newer)) {
                Some(entry) => entry.older = at,
                None => self.newest = at,
            }
        }
        Ok(())
    }

    /// It is the newest now.
    fn touch(&mut self, at: u16) {
        if self.newest == at {
            return;
        }
        let Entry { older, newer, .. } = self.entries[usize::from(at)];
        // It has a newer one, as it is not the newest.
        self.entries[usize::from(newer)].older = older;
        match self.entries.get_mut(usize::from(older)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        let before = core::mem::replace(&mut self.newest, at);
        self.entries[usize::from(before)].newer = at;
        let entry = &mut self.entries[usize::from(at)];
        (entry.older, entry.newer) = (before, NIL);
    }
}

/// Whether these topics are the same. Most are short, and comparing two words is less work than a function call.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || !(8..=16).contains(&one.len()) {
        return one == other;
    }
    one.first_chunk::<8>() == other.first_chunk() && one.last_chunk::<8>() == other.last_chunk()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn known(aliases: &mut Outgoing, topic: &str, wanted: u16) -> Option<(u16, bool)> {
        aliases.choose(topic.as_bytes(), wanted, true).map(|alias| (alias.number, alias.known))
    }

    #[test]
    fn the_topic_that_was_used_least_recently_makes_room() {
        let mut aliases = Outgoing::new();
        assert_eq!(known(&mut aliases, "topic/1", 0), None);
        aliases.begin(10, 3);
        for n in 1..=3 {
            assert_eq!(known(&mut aliases, &format!("topic/{n}"), 0), Some((n, false)));
        }
        assert_eq!(known(&mut aliases, "topic/1", 0), Some((1, true)));
        assert_eq!(known(&mut aliases, "topic/4", 0), Some((2, false)));
        assert_eq!(known(&mut aliases, "topic/2", 0), Some((3, false)));
        assert_eq!(known(&mut aliases, "topic/1", 0), Some((1, true)));
        // It saves nothing.
        assert_eq!(known(&mut aliases, "abc", 0), None);
    }

    #[test]
    fn the_application_may_choose() {
        let mut aliases = Outgoing::new();
        aliases.begin(5, 0);
        assert_eq!(known(&mut aliases, "a", 0), None);
        assert_eq!(known(&mut aliases, "a", 6), None);
        assert_eq!(known(&mut aliases, "a", 5), Some((5, false)));
        assert_eq!(known(&mut aliases, "a", 5), Some((5, true)));
        // Known by any number, once it has one.
        assert_eq!(known(&mut aliases, "a", 0), Some((5, true)));
        assert_eq!(known(&mut aliases, "a", 2), Some((2, false)));
        assert_eq!(known(&mut aliases, "b", 2), Some((2, false)));
        assert_eq!(known(&mut aliases, "a", 0), None);
        aliases.forget(2);
        assert_eq!(known(&mut aliases, "b", 2), Some((2, false)));
    }

    #[test]
    fn it_agrees_with_a_list() {
        let mut aliases = Outgoing::new();
        aliases.begin(8, 8);
        let mut list: Vec<(String, u16)> = Vec::new();
        let mut random = 1u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let topic = format!("topic/{}", (random >> 20) % 13);
            let expected = match list.iter().position(|(there, _)| *there == topic) {
                Some(at) => {
                    let entry = list.remove(at);
                    list.push(entry.clone());
                    (entry.1, true)
                }
                None => {
                    let number = if list.len() < 8 { list.len() as u16 + 1 } else { list.remove(0).1 };
                    list.push((topic.clone(), number));
                    (number, false)
                }
            };
            assert_eq!(known(&mut aliases, &topic, 0), Some(expected));
        }
    }
}
