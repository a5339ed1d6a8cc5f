//! docs/which-call.md names every exported function, by itself or as part of a family, and none that does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_function_has_its_task() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let symbols = fs::read_to_string(root.join("abi/symbols.txt")).unwrap();
    let symbols: BTreeSet<&str> = symbols.lines().collect();
    let page = fs::read_to_string(root.join("docs/which-call.md")).unwrap();
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let functions: BTreeSet<&str> = named.iter().filter_map(|name| name.strip_suffix("()")).collect();
    let families: BTreeSet<&str> = named.iter().filter_map(|name| name.strip_suffix('*')).collect();
    let unknown: Vec<_> =
        functions.iter().filter(|name| name.starts_with("mgos_") && !symbols.contains(*name)).collect();
    assert!(unknown.is_empty(), "not exported: {unknown:?}");
    let is_named =
        |name: &str| functions.contains(name) || families.iter().any(|family| name.starts_with(family));
    let missing: Vec<_> = symbols.iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "without a task: {missing:?}");
}
