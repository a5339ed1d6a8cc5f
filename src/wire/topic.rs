//! Topic names and topic filters (MQTT 3.1.1 §4.7) and shared subscriptions (MQTT 5.0 §4.8.2).

use core::ffi::CStr;
use core::fmt;
use core::str::Split;

use super::{EncodeError, Malformed};

/// Why a topic name or filter is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicError {
    /// It is empty \[MQTT-4.7.3-1\].
    Empty,
    /// It is longer than 65535 bytes \[MQTT-4.7.3-3\].
    TooLong,
    /// It is not valid UTF-8 \[MQTT-1.5.3-1\].
    NotUtf8,
    /// It contains U+0000 \[MQTT-4.7.3-2\].
    Nul,
    /// A name contains a wildcard \[MQTT-4.7.1-1\], or a wildcard of a filter is not a whole level,
    /// or `#` is not the last level \[MQTT-4.7.1-2\] \[MQTT-4.7.1-3\].
    Wildcard,
}

impl TopicError {
    /// A sentence about it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            TopicError::Empty => "a topic name or filter needs at least one character",
            TopicError::TooLong => "a topic name or filter is longer than 65535 bytes",
            TopicError::NotUtf8 => "a topic name or filter is not valid UTF-8",
            TopicError::Nul => "a topic name or filter contains U+0000",
            TopicError::Wildcard => "a wildcard is not allowed at this place of a topic name or filter",
        }
    }

    /// The same about the topic name of a received packet.
    pub(super) const fn in_name(self) -> Malformed {
        match self {
            TopicError::Wildcard => Malformed::WildcardInTopic,
            other => other.in_filter(),
        }
    }

    /// The same about the topic filter of a received packet.
    pub(super) const fn in_filter(self) -> Malformed {
        match self {
            TopicError::Empty => Malformed::EmptyTopic,
            // A received string has a two byte length, so this is about a caller's.
            TopicError::TooLong => Malformed::Truncated,
            TopicError::NotUtf8 => Malformed::BadUtf8,
            TopicError::Nul => Malformed::NulInString,
            TopicError::Wildcard => Malformed::BadFilter,
        }
    }

    /// The same about a packet to be sent.
    pub(super) const fn in_packet(self) -> EncodeError {
        match self {
            TopicError::TooLong => EncodeError::StringTooLong,
            TopicError::Nul | TopicError::NotUtf8 => EncodeError::BadString,
            TopicError::Empty | TopicError::Wildcard => EncodeError::BadTopic,
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for TopicError {}

/// Is this a topic name, to which a message can be published (MQTT 3.1.1 §4.7.3)?
pub fn valid_name(topic: impl AsRef<[u8]>) -> Result<(), TopicError> {
    let topic = topic.as_ref();
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    name(topic).map(|_| ())
}

/// The topic of a message to be published: text that should be a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// In UTF-8.
    bytes: &'a [u8],
    /// It is known to be one.
    valid: bool,
}

/// A plain topic name, as nearly all are: ASCII without wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainTopic<'a>(&'a [u8]);

impl<'a> PlainTopic<'a> {
    /// One pass, eight bytes at a time, finds that it is plain and valid; `None` does not mean that it is invalid.
    #[inline(always)]
    #[must_use]
    pub fn of(text: &'a CStr) -> Option<PlainTopic<'a>> {
        let bytes = text.to_bytes();
        let fits = !bytes.is_empty() && bytes.len() <= usize::from(u16::MAX);
        // A byte that is 0 borrows into its top bit, which no ASCII has.
        let add = |odd: u64, word: u64| odd | word | wildcards_in(word).wrapping_sub(ONES);
        let odd = match (bytes.len(), bytes.first_chunk(), bytes.last_chunk()) {
            // Many topics take two words: the same without a loop.
            (9..=16, Some(first), Some(last)) => {
                add(add(0, u64::from_le_bytes(*first)), u64::from_le_bytes(*last))
            }
            _ => fold(bytes, add, 0),
        };
        (fits && odd & (ONES << 7) == 0).then_some(PlainTopic(bytes))
    }

    /// As bytes, in ASCII.
    #[inline(always)]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> From<PlainTopic<'a>> for Topic<'a> {
    fn from(topic: PlainTopic<'a>) -> Topic<'a> {
        Topic { bytes: topic.0, valid: true }
    }
}

impl<'a> Topic<'a> {
    /// Whether it is a topic name.
    pub fn check(self) -> Result<(), TopicError> {
        if self.valid { Ok(()) } else { valid_name(self.bytes) }
    }

    /// As bytes, in UTF-8.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// As text; that checks the UTF-8 again.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        core::str::from_utf8(self.bytes).unwrap_or_default()
    }
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for Topic<'a> {
    fn from(text: &'a T) -> Topic<'a> {
        Topic { bytes: text.as_ref().as_bytes(), valid: false }
    }
}

/// Is this a topic filter, to which one can subscribe (MQTT 3.1.1 §4.7.1, §4.7.3)?
pub fn valid_filter(filter: impl AsRef<[u8]>) -> Result<(), TopicError> {
    let filter = filter.as_ref();
    if filter.is_empty() {
        return Err(TopicError::Empty);
    }
    if filter.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    let text = core::str::from_utf8(filter).map_err(|_| TopicError::NotUtf8)?;
    if filter.contains(&0) {
        return Err(TopicError::Nul);
    }
    let mut levels = levels(text).peekable();
    while let Some(level) = levels.next() {
        let good = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !has_special(level.as_bytes()),
        };
        if !good {
            return Err(TopicError::Wildcard);
        }
    }
    Ok(())
}

/// Does a message of `topic` belong to a subscription of `filter` (MQTT 3.1.1 §4.7)?
///
/// A shared subscription is matched by the filter inside it. An invalid topic name matches no
/// filter, and a filter with a misplaced wildcard matches no topic.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    let filter = share(filter).map_or(filter, |(_, inner)| inner);
    if topic.is_empty() || has_special(topic.as_bytes()) {
        return false;
    }
    // A wildcard at the start never reaches into the server's own topics [MQTT-4.7.2-1].
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = levels(filter);
    let mut given = levels(topic);
    loop {
        match (wanted.next(), given.next()) {
            // Also reached when `given` has just ended: `sport/#` includes `sport`.
            (Some("#"), _) => return wanted.next().is_none(),
            (Some("+"), Some(_)) => {}
            (Some(want), Some(level)) if want == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The levels of a topic name or filter (MQTT 3.1.1 §4.7.1.1). A level may be empty.
pub fn levels(topic: &str) -> Split<'_, char> {
    topic.split('/')
}

/// The share name and the filter of a shared subscription `$share/name/filter`
/// (MQTT 5.0 §4.8.2); `None` for every other filter.
#[must_use]
pub fn share(filter: &str) -> Option<(&str, &str)> {
    let (name, inner) = filter.strip_prefix("$share/")?.split_once('/')?;
    let good = !name.is_empty() && !has_special(name.as_bytes()) && !inner.is_empty();
    good.then_some((name, inner))
}

/// Does the filter claim to be a shared subscription without being one?
pub(super) fn is_bad_share(filter: &str) -> bool {
    filter.starts_with("$share/") && share(filter).is_none()
}

/// The text of a topic name that is neither empty nor too long.
#[inline]
pub(super) fn name(topic: &[u8]) -> Result<&str, TopicError> {
    let text = core::str::from_utf8(topic).map_err(|_| TopicError::NotUtf8)?;
    if has_special(topic) { Err(bad_name(topic)) } else { Ok(text) }
}

/// [`name`], as bytes.
#[inline]
pub(super) fn name_bytes(topic: &[u8]) -> Result<&[u8], TopicError> {
    if plain_hash(topic).is_some() { Ok(topic) } else { name(topic).map(str::as_bytes) }
}

#[cold]
fn bad_name(topic: &[u8]) -> TopicError {
    if topic.contains(&0) { TopicError::Nul } else { TopicError::Wildcard }
}

/// Is there a U+0000, `+` or `#`, none of which a topic name can have?
#[inline]
fn has_special(bytes: &[u8]) -> bool {
    any_in(bytes, special_in)
}

/// A hash for tables of topics. It does not resist names that were chosen to collide.
#[inline]
#[must_use]
pub fn hash(name: &[u8]) -> u64 {
    look(name).0
}

/// The [`hash`] of a name that is ASCII without U+0000, `+` and `#`. Most topics are, and then need no further
/// check.
#[inline(always)]
pub(super) fn plain_hash(name: &[u8]) -> Option<u64> {
    let (hash, plain) = look(name);
    plain.then_some(hash)
}

/// Both in one go, eight bytes at a time: every message passes through here.
#[inline(always)]
fn look(name: &[u8]) -> (u64, bool) {
    /// 2^64 divided by the golden ratio: odd, with half of its bits set and no pattern.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    // Not the length itself: the bytes that the last word repeats could cancel it out.
    let hash = (name.len() as u64).wrapping_mul(MIX);
    let add = |(hash, odd): (u64, u64), word: u64| {
        // A byte that is 0 borrows into its top bit, which no ASCII has.
        let odd = odd | word | word.wrapping_sub(ONES) | wildcards_in(word).wrapping_sub(ONES);
        // Folded, so that each bit of the name reaches all of the number.
        let product = u128::from(hash ^ word) * u128::from(MIX);
        (product as u64 ^ (product >> 64) as u64, odd)
    };
    let (hash, odd) = fold(name, add, (hash, 0));
    (hash, odd & (ONES << 7) == 0)
}

/// Iterates over a name in words of eight bytes.
#[inline(always)]
fn fold<T>(name: &[u8], mut add: impl FnMut(T, u64) -> T, start: T) -> T {
    let mut sum = start;
    let mut rest = name;
    while let Some((word, more)) = rest.split_first_chunk() {
        sum = add(sum, u64::from_le_bytes(*word));
        rest = more;
    }
    if !rest.is_empty() {
        // The last eight bytes; it does no harm if some of them were seen before.
        sum = add(sum, name.last_chunk().map_or_else(|| short_word(name), |word| u64::from_le_bytes(*word)));
    }
    sum
}

/// One to seven bytes as a word; some of them stand there twice.
#[inline(always)]
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let both = u64::from(u16::from_le_bytes(*first)) << 16 | u64::from(u16::from_le_bytes(*last));
        return both << 32 | both;
    }
    bytes.first().map_or(0, |byte| ONES * u64::from(*byte))
}

/// Is `found` not 0 anywhere?
///
/// Every message passes through here, and topics are short: too short for the loops that a compiler makes of
/// a byte-wise search, so eight bytes are looked at as one number.
#[inline]
fn any_in(bytes: &[u8], found: impl Fn([u8; 8]) -> u64) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words.iter().fold(0, |sum, word| sum | found(*word));
    let tail = match bytes.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        // The last eight bytes; it does no harm if some of them were seen before.
        Some(word) => found(*word),
        None => {
            let mut word = [b'/'; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            found(word)
        }
    };
    whole | tail != 0
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// 0 in each byte that is `+` or `#`.
#[inline]
fn wildcards_in(word: u64) -> u64 {
    /// `+` is 0x2b and `#` is 0x23: without this bit they are the same.
    const DIFFERENCE: u64 = ONES * 0x08;
    (word & !DIFFERENCE) ^ (ONES * b'#' as u64)
}

/// Not 0 if one of the bytes is U+0000, `+` or `#`.
#[inline]
fn special_in(word: [u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(word);
    // Subtracting 1 from each byte borrows into the top bit of the lowest byte that is 0; the mask
    // drops bytes whose top bit was set before.
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    zero_in(word) | zero_in(wildcards_in(word))
}
