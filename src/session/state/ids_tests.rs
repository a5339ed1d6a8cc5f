//! Packet ids that are all in use, and those of messages that are not written.

use super::*;

#[test]
fn all_ids_in_use_is_an_error_and_one_released_is_the_next() {
    let mut ids = PacketIds::new();
    for expected in 1..=u16::MAX {
        assert_eq!(ids.take(Use::Unsent), Ok(expected));
    }
    assert_eq!(ids.take(Use::Unsent), Err(Code::NoMoreMsgids));
    ids.release(777);
    assert_eq!(ids.take(Use::Unsent), Ok(777));
}

#[test]
fn ids_of_scattered_messages_are_not_searched_for() {
    let mut ids = PacketIds::new();
    for n in 0..1_000_u64 {
        ids.reserve_unsent().unwrap();
        let id = ids.lend().unwrap();
        // Every other message is of another kind, so that none follows the one before.
        ids.unsent.push(2 * n + 1, id, 0, 100 * n, 100 * n + 50);
        assert!(ids.unsent.not_held().count() <= 65);
    }
    assert_eq!(ids.unsent.len(), 1_000);
    for id in 1..=1_000 {
        assert_eq!(ids.get(id), Some(Use::Unsent));
        assert_eq!(ids.unsent.find(id), Some(2 * u64::from(id) - 1));
    }
    assert_eq!(ids.get(1_001), None);
}
