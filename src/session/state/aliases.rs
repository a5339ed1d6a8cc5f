//! Topic aliases: a number that stands for a topic name, as long as the connection lasts (MQTT 5.0 §3.3.2.3.4).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::Code;

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
