//! Topic names, topic filters, and which match (MQTT 3.1.1 §4.7).

use std::ffi::CString;

use mgos_mqtt::wire::topic::{
    PlainTopic, Topic, TopicError, levels, matches, share, valid_filter, valid_name,
};
use proptest::prelude::*;

/// mqtt3: MQTT-4.7.2-1 MQTT-4.7.3-4
/// mqtt5: MQTT-4.7.2-1 MQTT-4.7.3-4
#[test]
fn matcher_table() {
    // The normative and non-normative examples of §4.7.
    let specification = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player12", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("#", "sport/tennis", true),
        ("#", "/", true),
        ("sport/tennis/#", "sport/tennis", true),
        ("sport/tennis#", "sport/tennis", false),
        ("sport/tennis/#/ranking", "sport/tennis/x/ranking", false),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player2", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "finance", true),
        ("+/tennis/#", "sport/tennis/player1", true),
        ("sport+", "sport", false),
        ("sport/+/player1", "sport/tennis/player1", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/monitor", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/monitor", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("ACCOUNTS", "Accounts", false),
        ("/finance", "finance", false),
        // Not normalised, as §4.7.3 wants it: A followed by a combining ring is not U+00C5.
        ("\u{c5}", "A\u{30a}", false),
        ("Accounts payable", "Accounts payable", true),
    ];
    // The table of the original's deviations, with what the specification says.
    let original = [
        ("a/b", "a/b", true),
        ("a/b", "a/b/", false),
        ("a/b/", "a/b", false),
        ("a", "a/", false),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/", false),
        ("a/+/b", "a//b", true),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("/", "//", false),
        ("//", "/", false),
        ("#", "a", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("a/#", "a", true),
        ("a/#", "ab", false),
        ("#", "", false),
        ("+", "", false),
        ("", "a", false),
        ("a/#/b", "a/x/b", false),
        ("a#", "a#", false),
        ("a+", "a+", false),
        ("/+", "/a", true),
    ];
    let more = [
        ("", "", false),
        ("a/#", "a/", true),
        ("a/+/#", "a", false),
        ("a/+/#", "a/b", true),
        ("+/#", "a", true),
        ("/#", "a", false),
        ("/#", "/", true),
        ("/#", "/$SYS", true),
        ("a/$b", "a/$b", true),
        ("a/+", "a/$b", true),
        ("a/+", "a/#", false),
        ("#", "a/+", false),
        ("$share/g/t/#", "t/x", true),
        ("$share/g/t/#", "t", true),
        ("$share/g/t", "$share/g/t", false),
        ("$share/g/#", "$SYS/x", false),
        ("$share/g/#", "x", true),
        ("$share/g//x", "/x", true),
        ("$share/g/a#", "a", false),
        ("$share/g", "$share/g", true),
        ("$share//t", "t", false),
        ("$queue/t", "t", false),
        // Nothing is normalized.
        ("\u{e9}", "e\u{301}", false),
        ("a", "A", false),
        ("\u{feff}a", "a", false),
        ("a/+", "a//", false),
    ];
    for (filter, topic, expected) in specification.into_iter().chain(original).chain(more) {
        assert_eq!(matches(filter, topic), expected, "{filter:?} {topic:?}");
    }
}

#[test]
fn names() {
    for good in ["a", "/", "//", " ", "a b/\u{1f600}", "$SYS/x", "\u{feff}", "\u{ffff}"] {
        assert_eq!(valid_name(good), Ok(()), "{good:?}");
        assert_eq!(valid_filter(good), Ok(()), "{good:?}");
    }
    for wild in ["#", "+", "a/#", "a+b", "+/a"] {
        assert_eq!(valid_name(wild), Err(TopicError::Wildcard), "{wild:?}");
    }
    assert_eq!(valid_name(""), Err(TopicError::Empty));
    assert_eq!(valid_name("a\0b"), Err(TopicError::Nul));
    assert_eq!(valid_name("a\0#"), Err(TopicError::Nul));
    assert_eq!(valid_name(b"\xff"), Err(TopicError::NotUtf8));
    assert_eq!(valid_name(b"\xed\xa0\x80"), Err(TopicError::NotUtf8));
    assert_eq!(valid_name("x".repeat(65_535)), Ok(()));
    assert_eq!(valid_name("x".repeat(65_536)), Err(TopicError::TooLong));
    // A topic of a message is asked in two ways, which say the same.
    let long = "x".repeat(65_536);
    for text in ["", "a", "a/b", "#", "a/+", "a\0b", &long[1..], &long] {
        assert_eq!(Topic::from(text).check(), valid_name(text), "{} bytes", text.len());
        if let Ok(c) = CString::new(text) {
            let plain = PlainTopic::of(&c);
            assert_eq!(
                plain.map(|topic| Topic::from(topic).check()),
                valid_name(text).ok().map(Ok),
                "{} bytes",
                text.len()
            );
        }
    }
}

/// The search looks at eight bytes at a time: each byte at each place of each length.
#[test]
fn no_character_is_overlooked() {
    for len in 1..=40 {
        for place in 0..len {
            for byte in 0..0x80 {
                let mut name = vec![b'x'; len];
                name[place] = byte;
                let expected = match byte {
                    0 => Err(TopicError::Nul),
                    b'+' | b'#' => Err(TopicError::Wildcard),
                    _ => Ok(()),
                };
                assert_eq!(valid_name(&name), expected, "{byte:#x} at {place} of {len}");
            }
        }
    }
    // Two of them, which must not cancel each other out wherever they are.
    for (byte, distance) in [0, b'+', b'#'].into_iter().flat_map(|byte| (1..40).map(move |d| (byte, d))) {
        for place in 0..40 - distance {
            let mut name = vec![b'x'; 40];
            (name[place], name[place + distance]) = (byte, byte);
            assert!(valid_name(&name).is_err(), "{byte:#x} at {place} and {distance} behind it");
        }
    }
    // Bytes above 0x7f, next to each other so that a borrow between them would show.
    let letters: String = ('\u{80}'..='\u{7ff}').collect();
    assert_eq!(valid_name(&letters), Ok(()));
}

/// mqtt3: MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT-4.7.3-1 MQTT-4.7.3-2 MQTT-4.7.3-3
/// mqtt5: MQTT-4.7.1-1 MQTT-4.7.1-2 MQTT-4.7.3-1 MQTT-4.7.3-2 MQTT-4.7.3-3
#[test]
fn filters() {
    for good in ["#", "+", "a/#", "/#", "+/#", "+/+", "a/+/b", "+/tennis/#", "$share/g/t", "$share/g"] {
        assert_eq!(valid_filter(good), Ok(()), "{good:?}");
    }
    for bad in ["a#", "#a", "a+", "+a", "a/#/b", "#/", "##", "++", "a/b+/c", "a/+#"] {
        assert_eq!(valid_filter(bad), Err(TopicError::Wildcard), "{bad:?}");
    }
    assert_eq!(valid_filter(""), Err(TopicError::Empty));
    assert_eq!(valid_filter("a\0"), Err(TopicError::Nul));
    assert_eq!(valid_filter(b"\xc0\x80"), Err(TopicError::NotUtf8));
    assert_eq!(valid_filter("x".repeat(65_535)), Ok(()));
    assert_eq!(valid_filter("x".repeat(65_536)), Err(TopicError::TooLong));
}

/// mqtt5: MQTT-4.8.2-1 MQTT-4.8.2-2
#[test]
fn shares() {
    assert_eq!(share("$share/g/a/b"), Some(("g", "a/b")));
    assert_eq!(share("$share/g//"), Some(("g", "/")));
    for other in [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//t",
        "$share/+/t",
        "$share/g#/t",
        "a/$share/g/t",
    ] {
        assert_eq!(share(other), None, "{other:?}");
    }
}

#[test]
fn levels_may_be_empty() {
    assert!(levels("/a//").eq(["", "a", "", ""]));
    assert!(levels("a").eq(["a"]));
}

/// The rules of §4.7 written down once more, by recursion and without a thought of speed.
fn reference(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => reference(filter, topic),
        ([want, filter @ ..], [level, topic @ ..]) => want == level && reference(filter, topic),
        _ => false,
    }
}

fn reference_matches(filter: &str, topic: &str) -> bool {
    let filter = share(filter).map_or(filter, |(_, inner)| inner);
    if valid_name(topic).is_err() || valid_filter(filter).is_err() {
        return false;
    }
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    reference(&filter, &topic)
}

fn path(level: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(level), 1..6).prop_map(|levels| levels.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_the_reference(
        filter in path(&["a", "b", "", "+", "#", "$x", "a+", "$share"]),
        topic in path(&["a", "b", "", "$x", "a", "a", "+"]),
    ) {
        prop_assert_eq!(matches(&filter, &topic), reference_matches(&filter, &topic));
    }

    #[test]
    fn a_name_matches_itself_and_the_multi_level_wildcards_of_its_parents(topic in path(&["a", "b", "", "cc"])) {
        prop_assume!(!topic.is_empty());
        let multi_level = |parent: &str| matches(&(parent.to_owned() + "/#"), &topic);
        let shared = matches(&("$share/g/".to_owned() + &topic), &topic);
        prop_assert!(matches(&topic, &topic) && matches("#", &topic) && multi_level(&topic) && shared);
        for (slash, _) in topic.match_indices('/') {
            prop_assert!(multi_level(&topic[..slash]));
        }
    }

    #[test]
    fn anything_goes_in(filter: String, topic: String) {
        if matches(&filter, &topic) {
            prop_assert!(!topic.is_empty() && !topic.contains(['+', '#']));
        }
        let _ = (valid_name(&topic), valid_filter(&filter), share(&filter), levels(&filter).count());
    }
}
