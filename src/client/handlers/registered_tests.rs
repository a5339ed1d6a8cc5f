#[cfg(feature = "capi")]
use std::sync::atomic::Ordering;

use super::*;
#[cfg(feature = "capi")]
use crate::client::handlers::callback::Builtin;
use crate::client::handlers::callback::Callback;
use crate::client::handlers::event::Event;

struct Nothing;

impl Callback<()> for Nothing {
    fn call(&self, (): &(), _: &Event<'_>) {}
}

fn entry(n: usize) -> Arc<Entry<()>> {
    Entry::new(Identity(n, 0), Kind::Message.bit(), Box::new(Nothing))
}

/// Who is called, by number.
fn told(handlers: &mut Handlers<()>, collect: impl Fn(&mut Handlers<()>, &mut Recipients<()>)) -> Vec<usize> {
    let mut recipients = handlers.recipients();
    collect(handlers, &mut recipients);
    let numbers = recipients.iter().map(|entry| entry.identity().0).collect();
    recipients.clear();
    assert!(recipients.is_empty());
    handlers.told(recipients);
    numbers
}

fn of_connection(handlers: &mut Handlers<()>) -> Vec<usize> {
    told(handlers, |handlers, recipients| handlers.connection(Kind::Message, recipients))
}

#[test]
fn handlers_are_called_newest_first_however_many_came_and_went() {
    for many in 0..9 {
        for gone in 1..=many {
            let mut handlers = Handlers::new();
            let mut expected: Vec<usize> = (1..=many).rev().collect();
            for n in 1..=many {
                handlers.reserve(1).unwrap();
                handlers.add(entry(n));
            }
            assert_eq!(of_connection(&mut handlers), expected);
            assert_eq!(handlers.remove(Identity(gone, 0)).len(), 1);
            assert!(handlers.remove(Identity(gone, 0)).is_empty());
            expected.retain(|n| *n != gone);
            assert_eq!(of_connection(&mut handlers), expected);
            handlers.reserve(1).unwrap();
            handlers.add(entry(100));
            expected.insert(0, 100);
            assert_eq!(of_connection(&mut handlers), expected);
            assert_eq!(handlers.count(), many);
            assert_eq!(handlers.clear().len(), many);
            assert_eq!(handlers.count(), 0);
        }
    }
}

#[test]
fn subscribers_of_several_filters_are_called_newest_first() {
    for many in 1..10 {
        let mut handlers = Handlers::new();
        for n in 1..=many {
            handlers.reserve(1).unwrap();
            let filter: Arc<str> = if n % 2 == 0 { "a/+".into() } else { "a/b".into() };
            let (_, same) = handlers.subscribe(&filter, QoS::AtMostOnce, entry(n));
            assert!(same.is_none());
        }
        let expected: Vec<usize> = (1..=many).rev().collect();
        let message = |handlers: &mut Handlers<()>, recipients: &mut Recipients<()>| {
            handlers.message(b"a/b", RawProperties::EMPTY, recipients)
        };
        assert_eq!(told(&mut handlers, message), expected);
        // Once more, with the room that the first dispatch gave back.
        assert_eq!(told(&mut handlers, message), expected);
    }
}

#[cfg(feature = "capi")]
#[test]
fn a_handler_of_all_connections_stays() {
    let mut handlers = Handlers::new();
    let shared = Builtin::new(Kind::Message.bit(), Box::new(Nothing)).0.unwrap();
    handlers.add(shared.clone());
    handlers.add(entry(1));
    assert_eq!(of_connection(&mut handlers), [1, 0]);
    assert!(handlers.remove(Identity(0, 0)).is_empty());
    handlers.silence();
    handlers.clear();
    assert!(shared.alive.load(Ordering::Acquire));
}
