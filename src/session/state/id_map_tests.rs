//! The table by packet id against a map of the standard library.

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
