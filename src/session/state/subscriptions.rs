//! The filters that the application wants, and what the server has been told of them.
//!
//! The set is *desired state*: it is kept while there is no connection, and reconciled with the
//! server after every CONNACK.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error::Code;
use crate::lazy_box::Empty;
use crate::session::event::{Failure, Overdue};
use crate::session::limits::ServerLimits;
use crate::session::output::encode_code;
use crate::session::state::ack_watch::Look;
use crate::session::state::ids::{PacketIds, Use};
use crate::session::state::tickets::{self, Answer, Answers, Asked, Queued, Ticket};
use crate::time::{Span, Time};
use crate::wire::{self, Properties, PropertyBlock, PropertyId, QoS, SubscribeOptions, Version};

/// Filters in one SUBSCRIBE or UNSUBSCRIBE. AWS IoT Core refuses more than eight; nobody else minds.
const FILTERS_A_PACKET: usize = 8;

/// What SUBSCRIBE has around its filters and properties, at most.
const AROUND: usize = 5 + 2 + 4;

/// SUBSCRIBE and UNSUBSCRIBE packets in flight; the next goes out when one is acknowledged. It bounds the packet ids
/// and bytes that a hundred thousand filters take after a reconnect.
const PACKETS_IN_FLIGHT: usize = 64;

/// Entries of the list that do not count any more and are left standing.
const COMPACT_FROM: usize = 64;

/// What is asked for with a filter.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The highest QoS, and what MQTT 5.0 has beside that. Before MQTT 5.0 the QoS alone counts.
    pub options: SubscribeOptions,
    /// The properties of its SUBSCRIBE in MQTT 5.0 (§3.8.2.1): a subscription identifier and user properties. Filters
    /// with the same block go into one packet.
    pub properties: Option<Arc<PropertyBlock>>,
}

impl Request {
    /// The properties.
    pub fn properties(&self) -> Properties<'_> {
        self.properties.as_deref().map_or(Properties::EMPTY, PropertyBlock::properties)
    }

    /// The subscription identifier; 0 for none.
    pub fn identifier(&self) -> u32 {
        self.properties().number(PropertyId::SubscriptionIdentifier).unwrap_or(0)
    }

    fn has_properties_of(&self, other: &Request) -> bool {
        match (&self.properties, &other.properties) {
            (Some(these), Some(those)) => Arc::ptr_eq(these, those),
            (these, those) => these.is_none() && those.is_none(),
        }
    }
}

impl From<SubscribeOptions> for Request {
    fn from(options: SubscribeOptions) -> Request {
        Request { options, properties: None }
    }
}

impl From<QoS> for Request {
    fn from(qos: QoS) -> Request {
        SubscribeOptions::from(qos).into()
    }
}

#[derive(Clone, Debug)]
struct Wanted {
    request: Request,
    /// The server granted it in the present session, and nothing was asked about it since.
    granted: bool,
    /// The packet id of the last SUBSCRIBE with it; the answer to an earlier one counts no more.
    asked: u16,
    /// It stands in the list of what is to be asked for.
    queued: bool,
    /// The server was asked for it in the present session.
    told: bool,
}

/// What one filter of a SUBACK was answered (MQTT 3.1.1 §3.9.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeResult {
    /// The filter.
    pub filter: Arc<str>,
    /// The code as the server sent it: the granted QoS, or 0x80 and above for a refusal.
    pub code: u8,
}

/// A SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
#[derive(Clone, Debug)]
struct Packet {
    filters: Vec<Arc<str>>,
    tickets: Asked,
    /// Where it ends in the output.
    end: u64,
    /// From when on the time for its answer runs.
    since: Time,
    /// It was not answered in time, and nobody waits for it any more; it still may be.
    late: bool,
}

/// The server, as it matters to a filter that is taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// The connection is up.
    pub(crate) up: bool,
    /// Its session, or without a connection the next one, may be one that it kept: with filters in it that this process
    /// did not ask for.
    pub(crate) kept: bool,
}

/// A set of filters that keeps the order in which they came.
#[derive(Clone, Debug, Default)]
struct InOrder {
    last: u64,
    places: BTreeMap<Arc<str>, u64>,
    filters: BTreeMap<u64, Arc<str>>,
}

impl InOrder {
    const fn new() -> Self {
        InOrder { last: 0, places: BTreeMap::new(), filters: BTreeMap::new() }
    }

    fn insert(&mut self, filter: Arc<str>) {
        if !self.places.contains_key(&filter) {
            self.last += 1;
            self.filters.insert(self.last, filter.clone());
            self.places.insert(filter, self.last);
        }
    }

    fn remove(&mut self, filter: &str) -> bool {
        let place = self.places.remove(filter);
        place.is_some_and(|place| self.filters.remove(&place).is_some())
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.filters.values()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions {
    wanted: BTreeMap<Arc<str>, Wanted>,
    /// To be subscribed, in order. An entry counts only while its filter is marked as queued, so
    /// that taking a filter back costs no search.
    ask: VecDeque<Arc<str>>,
    /// How many of them count.
    queued: usize,
    /// So many at the end were not held against what the server allows.
    unchecked: usize,
    /// To be unsubscribed.
    drop: InOrder,
    /// Unacknowledged packets, by packet id.
    asked: BTreeMap<u16, Packet>,
    dropping: BTreeMap<u16, Packet>,
    /// The ids of both in the order in which they were sent, from the first that is answered neither yet nor too late.
    in_order: VecDeque<u16>,
    /// How many of them are late.
    late: usize,
    /// Who waits for filters that are to be subscribed, and to be unsubscribed.
    ask_tickets: Queued,
    drop_tickets: Queued,
    answers: Answers,
    /// The results of the last SUBACK, its packet id, and how many of them were taken.
    results: Vec<SubscribeResult>,
    results_of: u16,
    results_taken: usize,
    /// Filters that were not asked for, as the server does not allow them.
    refused: VecDeque<SubscribeResult>,
}

impl Empty for Subscriptions {
    const EMPTY: &'static Self = &Subscriptions::new();
}

impl Subscriptions {
    const fn new() -> Self {
        Subscriptions {
            wanted: BTreeMap::new(),
            ask: VecDeque::new(),
            queued: 0,
            unchecked: 0,
            drop: InOrder::new(),
            asked: BTreeMap::new(),
            dropping: BTreeMap::new(),
            in_order: VecDeque::new(),
            late: 0,
            ask_tickets: Queued::new(),
            drop_tickets: Queued::new(),
            answers: Answers::new(),
            results: Vec::new(),
            results_of: 0,
            results_taken: 0,
            refused: VecDeque::new(),
        }
    }

    /// Wants `filter` with `qos` from now on; a filter already wanted is asked for again, so that the
    /// server answers and sends its retained messages. `ticket` waits for that answer.
    pub(crate) fn desire(&mut self, filter: Arc<str>, request: Request, ticket: Option<Ticket>) {
        if self.drop.remove(&filter) {
            tickets::end(&mut self.drop_tickets, &filter, Answer::Superseded, &mut self.answers);
        }
        if let Some(ticket) = ticket {
            self.ask_tickets.entry(filter.clone()).or_default().push(ticket);
        }
        let before = self.wanted.get(&filter);
        let (queued, told) = before.map_or((false, false), |before| (before.queued, before.told));
        if queued {
            // What is asked for is another thing now, and it stands anywhere.
            self.unchecked = self.ask.len();
        } else {
            self.ask.push_back(filter.clone());
            self.queued += 1;
            self.unchecked += 1;
        }
        self.wanted.insert(filter, Wanted { request, granted: false, asked: 0, queued: true, told });
    }

    /// Does not want `filter` any more; `ticket` waits until the server knows. Nothing is left of a filter that no
    /// server has. False if it was not wanted, and the server cannot have it from an earlier process either.
    pub(crate) fn withdraw(&mut self, filter: &str, ticket: Option<Ticket>, server: Server) -> bool {
        let (filter, told) = match self.wanted.remove_entry(filter) {
            Some((filter, wanted)) => {
                self.forget_queued(&wanted);
                (filter, wanted.told)
            }
            None if server.kept => (Arc::from(filter), true),
            None => return false,
        };
        tickets::end(&mut self.ask_tickets, &filter, Answer::Superseded, &mut self.answers);
        // Without a link it hangs on the next session alone.
        if !(server.kept || told && server.up) {
            self.answers.extend(ticket.map(|ticket| (ticket, Answer::Code(0))));
            return true;
        }
        if let Some(ticket) = ticket {
            self.drop_tickets.entry(filter.clone()).or_default().push(ticket);
        }
        self.drop.insert(filter);
        true
    }

    /// A filter is not wanted any more that may stand in the list.
    fn forget_queued(&mut self, wanted: &Wanted) {
        self.queued -= usize::from(wanted.queued);
        if self.queued == 0 {
            self.ask.clear();
        } else if self.ask.len() > 2 * self.queued + COMPACT_FROM {
            // Filters that come and go while there is no connection leave nothing behind.
            let wanted = &self.wanted;
            self.ask.retain(|f| wanted.get(f).is_some_and(|w| w.queued));
        }
        self.unchecked = self.unchecked.min(self.ask.len());
    }

    /// How many filters are kept, in whatever list.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.wanted.len()
            + self.ask.len()
            + self.drop.filters.len()
            + self.ask_tickets.len()
            + self.drop_tickets.len()
    }

    /// How the wait of the next ticket ended.
    pub(crate) fn take_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }

    /// A call does not wait any more. What it asked for stays, and so do the tickets of packets that are on their way:
    /// those are few.
    pub(crate) fn forget(&mut self, call: u64) {
        tickets::forget(&mut self.ask_tickets, call);
        tickets::forget(&mut self.drop_tickets, call);
    }

    /// Nothing will be asked any more: every ticket has its answer.
    pub(crate) fn abandon(&mut self) {
        self.disconnected();
        tickets::end_all(&mut self.ask_tickets, Answer::Abandoned, &mut self.answers);
        tickets::end_all(&mut self.drop_tickets, Answer::Abandoned, &mut self.answers);
    }

    /// Filters not acknowledged yet.
    pub(crate) fn pending(&self) -> usize {
        self.queued + self.asked.values().map(|packet| packet.filters.len()).sum::<usize>()
    }

    /// How many packets wait for an answer that is not late.
    fn in_flight(&self) -> usize {
        self.asked.len() + self.dropping.len() - self.late
    }

    fn packet(&mut self, id: u16) -> Option<&mut Packet> {
        self.asked.get_mut(&id).or_else(|| self.dropping.get_mut(&id))
    }

    /// A packet was sent.
    fn sent(&mut self, id: u16) {
        self.skip_answered();
        self.in_order.push_back(id);
    }

    fn skip_answered(&mut self) {
        while let Some(id) = self.in_order.front().copied()
            && self.packet(id).is_none_or(|packet| packet.late)
        {
            self.in_order.pop_front();
        }
    }

    /// Since when the oldest packet waits that is not late.
    pub(crate) fn waits_since(&self) -> Option<Time> {
        let id = self.in_order.front()?;
        self.asked.get(id).or_else(|| self.dropping.get(id)).map(|packet| packet.since)
    }

    /// Who waits longer than `within` for an answer waits no more. What was asked for stays: if the answer comes, it
    /// counts.
    pub(crate) fn time_out(&mut self, look: &Look, within: Span, overdue: &mut Overdue) {
        let mut in_order = core::mem::take(&mut self.in_order);
        in_order.retain(|id| {
            let packet = self.asked.get_mut(id).or_else(|| self.dropping.get_mut(id));
            let Some(packet) = packet.filter(|packet| !packet.late) else { return false };
            look.correct(packet.end, &mut packet.since);
            if packet.since + within > look.now() {
                return true;
            }
            packet.late = true;
            self.late += 1;
            overdue.filters += packet.filters.len();
            overdue.filter = overdue.filter.take().or_else(|| packet.filters.first().cloned());
            let tickets = core::mem::take(&mut packet.tickets);
            self.answers.extend(tickets.into_iter().map(|(_, ticket)| (ticket, Answer::TimedOut)));
            false
        });
        self.in_order = in_order;
    }

    /// CONNACK came: what has to be asked for again. With `all`, every filter; otherwise those that
    /// this session does not have yet.
    pub(crate) fn connected(&mut self, session_present: bool, all: bool) {
        if !session_present {
            self.drop = InOrder::new();
            tickets::end_all(&mut self.drop_tickets, Answer::Code(0), &mut self.answers);
        }
        self.ask.clear();
        for (filter, wanted) in &mut self.wanted {
            wanted.told &= session_present;
            wanted.granted &= session_present;
            wanted.asked = 0;
            wanted.queued = all || !wanted.granted;
            if wanted.queued {
                // What was granted before counts no more: the link may be lost before the answer.
                wanted.granted = false;
                self.ask.push_back(filter.clone());
            }
        }
        (self.queued, self.unchecked) = (self.ask.len(), self.ask.len());
    }

    /// The connection is lost: nothing is pending any more, and what the server may not have heard is
    /// to be said again.
    pub(crate) fn disconnected(&mut self) {
        self.in_order.clear();
        self.late = 0;
        for packet in core::mem::take(&mut self.asked).into_values() {
            for (filter, ticket) in packet.waiting() {
                if self.wanted.contains_key(&filter) {
                    self.ask_tickets.entry(filter).or_default().push(ticket);
                } else {
                    self.answers.push_back((ticket, Answer::Superseded));
                }
            }
        }
        for packet in core::mem::take(&mut self.dropping).into_values() {
            for (filter, ticket) in packet.waiting() {
                if self.wanted.contains_key(&filter) {
                    self.answers.push_back((ticket, Answer::Superseded));
                } else {
                    self.drop_tickets.entry(filter).or_default().push(ticket);
                }
            }
            for filter in packet.filters {
                if !self.wanted.contains_key(&filter) {
                    self.drop.insert(filter);
                }
            }
        }
    }

    /// Whether there is something to ask the server for.
    #[inline]
    pub(crate) fn are_due(&self) -> bool {
        !self.drop.is_empty() || !self.ask.is_empty()
    }

    /// Appends the packets that are due. On an error nothing of the failed packet was appended, and it
    /// stays due. `from` is the position of the end of the output, to which they go.
    pub(crate) fn pump(
        &mut self,
        version: Version,
        ids: &mut PacketIds,
        server: &ServerLimits,
        (from, since): (u64, Time),
        out: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.refuse(server);
        let start = out.len();
        let end = |out: &Vec<u8>| from + (out.len() - start) as u64;
        while !self.drop.is_empty() && self.in_flight() < PACKETS_IN_FLIGHT {
            let mut room = (server.packet_size as usize).saturating_sub(AROUND);
            let mut fits = |filter: &&Arc<str>| {
                let size = 2 + filter.len();
                let fits = size <= room;
                room = room.saturating_sub(size);
                fits
            };
            let filters: Vec<Arc<str>> =
                self.drop.iter().take(FILTERS_A_PACKET).take_while(|f| fits(f)).cloned().collect();
            if filters.is_empty() {
                // One that does not fit into a packet cannot be taken back; this server cannot have it.
                self.give_up_first();
                continue;
            }
            let id = ids.take(Use::Unsubscribe)?;
            let names = filters.iter().map(|f| &**f);
            if let Err(error) =
                wire::Unsubscribe::encode(out, version, id, wire::Properties::default(), names)
            {
                ids.release(id);
                return Err(encode_code(error));
            }
            for filter in &filters {
                self.drop.remove(filter);
            }
            let tickets = tickets::take(&mut self.drop_tickets, &filters);
            self.dropping.insert(id, Packet { filters, tickets, end: end(out), since, late: false });
            self.sent(id);
        }
        while !self.ask.is_empty() && self.in_flight() < PACKETS_IN_FLIGHT {
            let (filters, scanned) = self.next_batch((server.packet_size as usize).saturating_sub(AROUND));
            if filters.is_empty() {
                self.ask.clear();
                break;
            }
            let id = ids.take(Use::Subscribe)?;
            let wanted = &self.wanted;
            let five = version == Version::V5;
            let requests = filters.iter().map(|f| {
                let options = wanted.get(f).map(|w| w.request.options).unwrap_or_default();
                (&**f, if five { options } else { SubscribeOptions::from(options.qos) })
            });
            // They have them in common.
            let first = filters.first().and_then(|f| wanted.get(f)).filter(|_| five);
            let properties = first.map_or(Properties::EMPTY, |w| w.request.properties());
            if let Err(error) = wire::Subscribe::encode(out, version, id, properties, requests) {
                ids.release(id);
                return Err(encode_code(error));
            }
            self.ask.drain(..scanned);
            for filter in &filters {
                if let Some(wanted) = self.wanted.get_mut(filter) {
                    wanted.queued = false;
                    wanted.told = true;
                    wanted.asked = id;
                }
            }
            self.queued -= filters.len();
            let tickets = tickets::take(&mut self.ask_tickets, &filters);
            self.asked.insert(id, Packet { filters, tickets, end: end(out), since, late: false });
            self.sent(id);
        }
        Ok(())
    }

    /// Filters that this server does not allow are not asked for: they have their answers here.
    fn refuse(&mut self, server: &ServerLimits) {
        let checked = self.ask.len() - core::mem::take(&mut self.unchecked);
        if *server == ServerLimits::NONE {
            return;
        }
        for filter in self.ask.range(checked..) {
            let Some(wanted) = self.wanted.get_mut(filter).filter(|wanted| wanted.queued) else { continue };
            let Some(code) = server.refuse_filter(filter, wanted.request.properties()) else { continue };
            wanted.queued = false;
            self.queued -= 1;
            for ticket in self.ask_tickets.remove(filter).unwrap_or_default() {
                self.answers.push_back((ticket, Answer::Code(code)));
            }
            self.refused.push_back(SubscribeResult { filter: filter.clone(), code });
        }
    }

    /// The first filter that is to be unsubscribed is not.
    fn give_up_first(&mut self) {
        let Some(filter) = self.drop.iter().next().cloned() else { return };
        self.drop.remove(&filter);
        let answer = Answer::Code(wire::reason::PACKET_TOO_LARGE);
        tickets::end(&mut self.drop_tickets, &filter, answer, &mut self.answers);
    }

    /// The filters of the next SUBSCRIBE, which have at most so many bytes, and how many entries of the list they were found in.
    fn next_batch(&self, most: usize) -> (Vec<Arc<str>>, usize) {
        let mut filters: Vec<Arc<str>> = Vec::with_capacity(FILTERS_A_PACKET);
        let mut scanned = 0;
        let mut first: Option<&Request> = None;
        let mut room = most;
        for filter in &self.ask {
            if filters.len() == FILTERS_A_PACKET {
                break;
            }
            if let Some(wanted) = self.wanted.get(filter).filter(|w| w.queued)
                && !filters.contains(filter)
            {
                let size = 2 + filter.len() + 1;
                let another = first.is_some_and(|first| !first.has_properties_of(&wanted.request));
                // One alone is not refused by the server, or it would not be there.
                if another || first.is_some() && size > room {
                    break;
                }
                room = room.saturating_sub(size);
                first = Some(&wanted.request);
                filters.push(filter.clone());
            }
            scanned += 1;
        }
        (filters, scanned)
    }

    /// SUBACK for one of our packets. On an error nothing has changed: it does not have one code for each filter, or
    /// there is no memory for them.
    pub(crate) fn acknowledged(&mut self, id: u16, codes: &[u8]) -> Result<&[SubscribeResult], Failure> {
        self.results.clear();
        (self.results_of, self.results_taken) = (id, 0);
        // A packet that the server answered wrongly stays, as one that it did not answer: the link ends now,
        // and who waits for it goes on waiting.
        let Some(packet) = self.asked.get(&id).filter(|packet| packet.filters.len() == codes.len()) else {
            return Err(Failure::protocol("SUBACK has not one code for each filter"));
        };
        (self.results.try_reserve(codes.len()))
            .and_then(|()| self.answers.try_reserve(packet.tickets.len()))
            .map_err(|_| Failure::out_of_memory())?;
        self.answers.extend(packet.tickets.iter().filter_map(|(place, ticket)| {
            codes.get(usize::from(*place)).map(|code| (*ticket, Answer::Code(*code)))
        }));
        let packet = self.asked.remove(&id);
        self.late -= usize::from(packet.as_ref().is_some_and(|packet| packet.late));
        let filters = packet.map(|packet| packet.filters).unwrap_or_default();
        self.skip_answered();
        for (filter, &code) in filters.into_iter().zip(codes) {
            if let Some(wanted) = self.wanted.get_mut(&filter)
                && wanted.asked == id
                && !wanted.queued
            {
                wanted.granted = code < 0x80;
            }
            self.results.push(SubscribeResult { filter, code });
        }
        Ok(&self.results)
    }

    /// UNSUBACK for one of our packets; before MQTT 5.0 it has no codes. On an error nothing has changed.
    pub(crate) fn removed(&mut self, id: u16, codes: &[u8]) -> Result<(), Failure> {
        let asked = self.dropping.get(&id).map_or(0, |packet| packet.filters.len());
        if !codes.is_empty() && codes.len() != asked {
            return Err(Failure::protocol("UNSUBACK has not one code for each filter"));
        }
        let packet = self.dropping.remove(&id);
        self.late -= usize::from(packet.as_ref().is_some_and(|packet| packet.late));
        let tickets = packet.map(|packet| packet.tickets).unwrap_or_default();
        self.skip_answered();
        self.answers.extend(tickets.into_iter().map(|(place, ticket)| {
            let code = codes.get(usize::from(place)).copied().unwrap_or(0);
            (ticket, Answer::Code(code))
        }));
        Ok(())
    }

    /// The results of the SUBACK handled last.
    pub(crate) fn results(&self) -> &[SubscribeResult] {
        &self.results
    }

    /// The next of them that was not taken, with the packet id of the SUBACK.
    pub(crate) fn take_result(&mut self) -> Option<(u16, SubscribeResult)> {
        if let Some(refused) = self.refused.pop_front() {
            return Some((0, refused));
        }
        let result = self.results.get(self.results_taken)?.clone();
        self.results_taken += 1;
        Some((self.results_of, result))
    }

    /// Whether there is one.
    pub(crate) fn has_result(&self) -> bool {
        self.results_taken < self.results.len() || !self.refused.is_empty()
    }
}

impl Packet {
    /// Who waits for its answer, each with the filter.
    fn waiting(&self) -> impl Iterator<Item = (Arc<str>, Ticket)> {
        self.tickets.iter().map(|(place, ticket)| (self.filters[usize::from(*place)].clone(), *ticket))
    }
}
