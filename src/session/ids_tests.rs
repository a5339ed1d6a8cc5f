//! The table of packet ids against a map of the standard library.

use super::*;
use std::collections::BTreeMap;

proptest::proptest! {
    /// Any insertions and removals, in sequence and not, as a map of the standard library does them.
    #[test]
    fn behaves_as_a_map(steps in proptest::collection::vec((0u8..4, 1u16..200, 0u16..40), 0..400)) {
        let mut map = IdMap::<u32>::new();
        let mut model = BTreeMap::new();
        for (i, (what, id, stride)) in steps.into_iter().enumerate() {
            // Ids that collide: the same low bits under different high ones.
            let id = id.wrapping_add(stride.wrapping_mul(1024)).max(1);
            match what {
                0 | 1 => {
                    map.insert(id, i as u32).unwrap();
                    model.insert(id, i as u32);
                }
                2 => assert_eq!(map.remove(id), model.remove(&id)),
                _ => assert_eq!(map.get(id), model.get(&id).copied()),
            }
            assert_eq!(map.len(), model.len());
        }
        let mut left: Vec<_> = map.cells.iter().copied().filter(|(id, _)| *id != 0).collect();
        left.sort_unstable();
        assert_eq!(left, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn removing_the_oldest_of_a_run_moves_nothing() {
    let mut map = IdMap::<u32>::new();
    for id in 1..=1000 {
        map.insert(id, u32::from(id)).unwrap();
    }
    let before = map.cells.clone();
    map.remove(1);
    let changed = before.iter().zip(&map.cells).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 1);
}

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
