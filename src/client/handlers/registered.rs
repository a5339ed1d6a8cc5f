//! Who wants to be told of what.
//!
//! Entries are shared: a dispatch takes its own references while the lock is held, then calls them without
//! it. An entry that is removed meanwhile is marked and not called any more; what it owns is dropped with the last
//! reference, so the destructor of its user data runs once, after the last call, and never under a lock.

use std::sync::Arc;

use crate::client::handlers::callback::{Entry, Identity, Slot};
use crate::client::handlers::event::Kind;
use crate::client::handlers::recipients::{FEW, Recipients};
use crate::client::handlers::topics::Topics;
use crate::error::Code;
use crate::lazy_box::{Empty, LazyBox};
use crate::wire::{PropertyId, PropertyValue, QoS, RawProperties};

/// One filter and who subscribed to it.
pub(in crate::client) struct Subscription<C> {
    pub(in crate::client) filter: Arc<str>,
    /// The subscription identifier (MQTT 5.0 §3.8.2.1.2); 0 for none.
    pub(in crate::client) identifier: u32,
    pub(in crate::client) entries: Vec<(QoS, Arc<Entry<C>>)>,
}

/// Who is told of something: nearly always one, or nobody.
pub(crate) enum Audience<'a, C> {
    Nobody,
    One(&'a Arc<Entry<C>>),
    Several,
}

impl<'a, C> Audience<'a, C> {
    #[inline]
    fn admit(&mut self, entry: &'a Arc<Entry<C>>, kind: Kind) {
        if entry.kinds & kind.bit() != 0 {
            *self = match self {
                Audience::Nobody => Audience::One(entry),
                _ => Audience::Several,
            };
        }
    }
}

/// Entries that were removed. Dropping them runs destructors, so the caller does it without a lock.
pub(crate) type Removed<C> = Vec<Arc<Entry<C>>>;

/// All registrations of one connection.
pub(crate) struct Handlers<C> {
    /// How often a registration came or went. A subscription that comes has this as its number.
    pub(in crate::client) changes: u64,
    /// Those of the connection, oldest first; further ones are among the others.
    pub(in crate::client) first: [Option<Arc<Entry<C>>>; FIRST],
    /// The kinds that any of those of the connection wants.
    pub(in crate::client) kinds: u32,
    /// The kinds that any subscriber wants, or one that was there while there were others.
    pub(in crate::client) subscriber_kinds: u32,
    pub(in crate::client) others: LazyBox<Others<C>>,
}

/// So many handlers of a connection have their place without the others: one that the library adds, and one more.
pub(in crate::client) const FIRST: usize = 2;

/// Subscribers, what stands in the slots, and further handlers of the connection.
pub(in crate::client) struct Others<C> {
    pub(in crate::client) connection: Vec<Arc<Entry<C>>>,
    pub(in crate::client) slots: [Option<Arc<Entry<C>>>; Slot::COUNT],
    pub(in crate::client) subscriptions: Topics<Vec<Subscription<C>>>,
    /// Entries of all subscriptions.
    pub(in crate::client) subscribed: usize,
    /// For dispatches to more than a few.
    pub(in crate::client) room: Vec<Arc<Entry<C>>>,
}

impl<C> Others<C> {
    const fn new() -> Self {
        Others {
            connection: Vec::new(),
            slots: [const { None }; Slot::COUNT],
            subscriptions: Topics::new(),
            subscribed: 0,
            room: Vec::new(),
        }
    }
}

impl<C> Default for Others<C> {
    fn default() -> Self {
        Others::new()
    }
}

impl<C: 'static> Empty for Others<C> {
    const EMPTY: &'static Self = &Others::new();
}

impl<C: 'static> Handlers<C> {
    pub(crate) fn new() -> Self {
        Handlers {
            changes: 0,
            first: [const { None }; FIRST],
            kinds: 0,
            subscriber_kinds: 0,
            others: LazyBox::new(),
        }
    }

    /// How often any of it changed: as long as that is the same, everything is where it was.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    fn retire(&mut self, entry: Arc<Entry<C>>) -> Arc<Entry<C>> {
        self.changes += 1;
        entry.end();
        entry
    }

    /// As many as one event can be told to, at most.
    pub(crate) fn count(&self) -> usize {
        self.of_connection().count() + self.others.slots.iter().flatten().count() + self.others.subscribed
    }

    /// Makes room to call so many more, so that a dispatch needs no memory.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), Code> {
        let all = self.count() + more;
        if all > FEW {
            self.others.try_make()?.room.try_reserve(all).map_err(|_| Code::NoMemory)?;
        }
        Ok(())
    }

    /// The list for a dispatch.
    #[inline]
    pub(crate) fn recipients(&mut self) -> Recipients<C> {
        Recipients::new(
            self.others.get_mut().map(|others| std::mem::take(&mut others.room)).unwrap_or_default(),
        )
    }

    /// The dispatch is over, and the list empty again. If room was made for more meanwhile, that is kept.
    #[inline]
    pub(crate) fn told(&mut self, recipients: Recipients<C>) {
        if let Some(others) = self.others.get_mut() {
            let room = recipients.room();
            if others.room.capacity() < room.capacity() {
                others.room = room;
            }
        }
    }

    /// The handlers of the connection, oldest first.
    #[inline]
    fn of_connection(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry<C>>> {
        self.first.iter().flatten().chain(&self.others.connection)
    }

    /// Adds a handler of the connection itself.
    pub(crate) fn add(&mut self, entry: Arc<Entry<C>>) {
        self.changes += 1;
        self.kinds |= entry.kinds;
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(entry),
            None => self.others.make().connection.push(entry),
        }
    }

    /// Removes the newest connection handler with this identity.
    pub(crate) fn remove(&mut self, identity: Identity) -> Removed<C> {
        let mine = |e: &Arc<Entry<C>>| e.identity == identity && !e.shared;
        let further = self.others.get_mut().map(|others| &mut others.connection);
        let at = further.as_ref().and_then(|further| further.iter().rposition(mine));
        let removed = match (further, at) {
            (Some(further), Some(at)) => Some(further.remove(at)),
            (further, _) => {
                let at = self.first.iter().rposition(|entry| entry.as_ref().is_some_and(mine));
                at.and_then(|at| {
                    let next = further.filter(|further| !further.is_empty()).map(|further| further.remove(0));
                    let removed = std::mem::replace(&mut self.first[at], next);
                    // In order again.
                    self.first[at..].rotate_left(1);
                    removed
                })
            }
        };
        self.kinds = self.of_connection().fold(0, |kinds, entry| kinds | entry.kinds);
        removed.map(|entry| self.retire(entry)).into_iter().collect()
    }

    /// Replaces or clears what is in a slot.
    pub(crate) fn set_slot(&mut self, slot: Slot, entry: Option<Arc<Entry<C>>>) -> Removed<C> {
        self.changes += 1;
        let old = std::mem::replace(&mut self.others.make().slots[slot as usize], entry);
        old.map(|entry| self.retire(entry)).into_iter().collect()
    }

    /// Collects what is in a slot.
    pub(crate) fn slot(&self, slot: Slot, recipients: &mut Recipients<C>) {
        recipients.extend(self.others.slots[slot as usize].clone());
    }

    /// Whether some connection handler wants events of this kind.
    #[inline]
    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// Subscribes. Returns the QoS that the filter needs now; and the callback, disarmed, if an
    /// identical subscription exists already.
    pub(crate) fn subscribe(
        &mut self,
        filter: &Arc<str>,
        qos: QoS,
        mut entry: Arc<Entry<C>>,
    ) -> (QoS, Option<Arc<Entry<C>>>) {
        let (identity, kinds) = (entry.identity, entry.kinds);
        let others = self.others.make();
        let same = others
            .subscriptions
            .get_mut(filter)
            .and_then(|all| all.iter_mut().find(|s| s.filter == *filter))
            .and_then(|s| s.entries.iter_mut().find(|(_, e)| e.identity == identity && e.kinds == kinds));
        let refused = if let Some(same) = same {
            same.0 = qos;
            entry.disarm();
            Some(entry)
        } else {
            self.changes += 1;
            if let Some(entry) = Arc::get_mut(&mut entry) {
                entry.seq = self.changes;
            }
            others.subscribed += 1;
            self.subscriber_kinds |= kinds;
            let all = others.subscriptions.entry(filter, Vec::new);
            match all.iter_mut().find(|s| s.filter == *filter) {
                Some(subscription) => subscription.entries.push((qos, entry)),
                None => {
                    let entries = vec![(qos, entry)];
                    all.push(Subscription { filter: filter.clone(), identifier: 0, entries });
                }
            }
            None
        };
        (self.qos_of(filter).unwrap_or(qos), refused)
    }

    /// The highest QoS that the subscribers of a filter asked for.
    pub(crate) fn qos_of(&mut self, filter: &str) -> Option<QoS> {
        let all = self.others.get_mut()?.subscriptions.get_mut(filter)?;
        all.iter().find(|s| *s.filter == *filter)?.entries.iter().map(|(qos, _)| *qos).max()
    }

    /// Whether there is a subscription to `filter` with this identity.
    pub(crate) fn has(&mut self, filter: &str, identity: Identity) -> bool {
        let all = self.others.get_mut().and_then(|others| others.subscriptions.get_mut(filter));
        let found = all.and_then(|all| all.iter().find(|s| *s.filter == *filter));
        found.is_some_and(|s| s.entries.iter().any(|(_, entry)| entry.identity == identity))
    }

    /// Removes the newest subscription to `filter`, or the newest with this identity. `None` if there is
    /// none; otherwise the entry, and whether it was the filter's last.
    pub(crate) fn unsubscribe(
        &mut self,
        filter: &str,
        identity: Option<Identity>,
    ) -> Option<(Removed<C>, bool)> {
        let others = self.others.get_mut()?;
        let all = others.subscriptions.get_mut(filter)?;
        let at = all.iter().position(|s| *s.filter == *filter)?;
        let entries = &mut all[at].entries;
        let newest = entries.iter().rposition(|(_, e)| identity.is_none_or(|i| e.identity == i))?;
        let (_, entry) = entries.remove(newest);
        others.subscribed -= 1;
        if others.subscribed == 0 {
            self.subscriber_kinds = 0;
        }
        let last = entries.is_empty();
        if last {
            all.swap_remove(at);
            if all.is_empty() {
                others.subscriptions.remove(filter);
            }
        }
        Some((vec![self.retire(entry)], last))
    }

    /// Collects who gets an event of the connection.
    pub(crate) fn connection(&self, kind: Kind, recipients: &mut Recipients<C>) {
        if self.wants(kind) {
            recipients.extend(self.of_connection().rev().filter(|e| e.kinds & kind.bit() != 0).cloned());
        }
    }

    /// Messages for this filter come with a subscription identifier from now on, or without.
    pub(crate) fn identify(&mut self, filter: &str, identifier: u32) {
        let all = self.others.get_mut().and_then(|others| others.subscriptions.get_mut(filter));
        if let Some(found) = all.and_then(|all| all.iter_mut().find(|s| *s.filter == *filter)) {
            found.identifier = identifier;
        }
    }

    /// Collects who gets a message: the subscribers; without one, the handlers of the connection; and the slot.
    ///
    /// A server may send a message once for each filter that matches its topic. If it says for which one, the others
    /// that have an identifier get theirs with another copy. One without may be in the same copy, so it gets each.
    pub(crate) fn message(
        &self,
        topic: &[u8],
        properties: RawProperties<'_>,
        recipients: &mut Recipients<C>,
    ) {
        let meant = |subscription: &Subscription<C>| {
            let wanted = PropertyValue::VarInt(subscription.identifier);
            let identified = (PropertyId::SubscriptionIdentifier, wanted);
            subscription.identifier != 0 && properties.properties().iter().any(|p| p == identified)
        };
        let mut known = false;
        if !properties.is_empty() {
            self.others.subscriptions.matching(topic, |all| known |= all.iter().any(meant));
        }
        if known {
            let wants = |s: &&Subscription<C>| s.identifier == 0 || meant(s);
            let kind = Kind::Message;
            let found = |all: &Vec<_>| collect(all.iter().filter(wants), kind, recipients);
            self.others.subscriptions.matching(topic, found);
            recipients.newest_first();
        } else {
            self.matching(topic, Kind::Message, recipients);
        }
        if recipients.is_empty() {
            self.connection(Kind::Message, recipients);
        }
        self.slot(Slot::Message, recipients);
    }

    /// The only one who gets a message; `None` if there is nobody, or if that takes a closer look.
    #[inline]
    pub(crate) fn only(&self, topic: &[u8], hash: u64) -> Option<&Arc<Entry<C>>> {
        let others = &*self.others;
        if others.slots[Slot::Message as usize].is_some() {
            return None;
        }
        let [Subscription { entries, .. }] = others.subscriptions.only(topic, hash)?.as_slice() else {
            return None;
        };
        match entries.as_slice() {
            [(_, entry)] if entry.kinds & Kind::Message.bit() != 0 => Some(entry),
            _ => None,
        }
    }

    /// Whether handlers of the connection or subscribers may want events of this kind.
    #[inline]
    pub(crate) fn anybody_wants(&self, kind: Kind) -> bool {
        (self.kinds | self.subscriber_kinds) & kind.bit() != 0
    }

    /// The handler of the connection that is alone in wanting events of this kind, if no subscriber does either.
    #[inline]
    pub(crate) fn only_of_connection(&self, kind: Kind) -> Option<&Arc<Entry<C>>> {
        let mut all = self.of_connection().filter(|entry| entry.kinds & kind.bit() != 0);
        match (all.next(), all.next()) {
            (Some(entry), None) if self.subscriber_kinds & kind.bit() == 0 => Some(entry),
            _ => None,
        }
    }

    /// Who is told of the acknowledgement of a message on `topic`: the subscribers whose filter matches it, and the
    /// handlers of the connection.
    #[inline]
    pub(crate) fn acknowledged(&self, topic: &[u8], kind: Kind) -> Audience<'_, C> {
        let mut audience = Audience::Nobody;
        if self.subscriber_kinds & kind.bit() != 0 {
            self.others.subscriptions.matching(topic, |all| {
                let entries = all.iter().flat_map(|subscription| &subscription.entries);
                entries.for_each(|(_, entry)| audience.admit(entry, kind));
            });
        }
        if self.wants(kind) {
            self.of_connection().for_each(|entry| audience.admit(entry, kind));
        }
        audience
    }

    /// Collects the subscribers whose filter matches `topic` and who want events of this kind.
    pub(crate) fn matching(&self, topic: &[u8], kind: Kind, recipients: &mut Recipients<C>) {
        self.others.subscriptions.matching(topic, |all| collect(all, kind, recipients));
        recipients.newest_first();
    }

    /// Collects the subscribers of exactly this filter.
    pub(crate) fn subscribers(&mut self, filter: &str, kind: Kind, recipients: &mut Recipients<C>) {
        let all = self.others.get_mut().and_then(|others| others.subscriptions.get_mut(filter));
        if let Some(all) = all {
            collect(all.iter().filter(|s| *s.filter == *filter), kind, recipients);
        }
        recipients.newest_first();
    }

    /// Collects all subscribers.
    pub(crate) fn all_subscribers(&self, kind: Kind, recipients: &mut Recipients<C>) {
        self.others.subscriptions.for_each(|all| collect(all, kind, recipients));
        recipients.newest_first();
    }

    /// Nobody is called any more, not even by a dispatch that has begun.
    pub(crate) fn silence(&self) {
        let Others { slots, subscriptions, .. } = &*self.others;
        self.of_connection().chain(slots.iter().flatten()).for_each(|entry| entry.end());
        subscriptions.for_each(|all| all.iter().flat_map(|s| &s.entries).for_each(|(_, e)| e.end()));
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) -> Removed<C> {
        self.silence();
        self.changes += 1;
        let mut removed: Removed<C> = std::mem::take(&mut self.first).into_iter().flatten().collect();
        self.kinds = 0;
        self.subscriber_kinds = 0;
        let Others { connection, slots, subscriptions, .. } = self.others.take().unwrap_or_default();
        removed.extend(connection);
        removed.extend(slots.into_iter().flatten());
        subscriptions.for_each(|all| {
            removed.extend(all.iter().flat_map(|s| s.entries.iter().map(|(_, e)| e.clone())));
        });
        removed
    }
}

pub(in crate::client) fn collect<'a, C: 'static>(
    all: impl IntoIterator<Item = &'a Subscription<C>>,
    kind: Kind,
    recipients: &mut Recipients<C>,
) {
    for subscription in all {
        for (_, entry) in &subscription.entries {
            if entry.kinds & kind.bit() != 0 {
                recipients.push(entry.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "registered_tests.rs"]
mod tests;
