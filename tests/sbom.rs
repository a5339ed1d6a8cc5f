//! The bill of materials: every crate that a build of the libraries with the default features compiles or runs, for this
//! machine, as CycloneDX 1.5. It is made from what Cargo resolves, so it cannot differ from what is built.
//!
//! `make sbom` writes it to the file named by `MGOS_MQTT_SBOM`. What only tests use is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Map, Value};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}

fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn host() -> String {
    let about = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let about = String::from_utf8(about).unwrap();
    about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// The SHA-256 of each package, by name and version, as Cargo.lock has it.
fn checksums() -> BTreeMap<(String, String), String> {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|p| Some(((field(p, "name")?, field(p, "version")?), field(p, "checksum")?)))
        .collect()
}

/// What the build resolves to.
struct Graph {
    packages: BTreeMap<String, Value>,
    /// By package: what it needs, and whether only to be built (a build script, or a procedural macro's).
    needs: BTreeMap<String, Vec<(String, bool)>>,
    root: String,
    /// The library's own packages: one to whoever uses it. The root stands for them, and needs what they need.
    own: Vec<String>,
}

fn resolve() -> Graph {
    let host = host();
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", &host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let packages = packages.iter().map(|p| (text(p, "id").to_owned(), p.clone())).collect();
    let root = text(&metadata["resolve"], "root").to_owned();
    let mut needs = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let mut found = Vec::new();
        for dep in node["deps"].as_array().unwrap() {
            let kinds = dep["dep_kinds"].as_array().unwrap();
            let has = |wanted: Option<&str>| kinds.iter().any(|kind| kind["kind"].as_str() == wanted);
            if has(None) || has(Some("build")) {
                found.push((text(dep, "pkg").to_owned(), !has(None)));
            }
        }
        needs.insert(text(node, "id").to_owned(), found);
    }
    let own: Vec<String> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    let of_parts =
        own.iter().filter_map(|id| needs.remove(id)).flatten().filter(|(id, _)| !own.contains(id)).collect();
    needs.insert(root.clone(), of_parts);
    Graph { packages, needs, root, own }
}

impl Graph {
    /// All that is reached from the root: into the library, or at all.
    fn reach(&self, with_build: bool) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![self.root.as_str()];
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                let needs = self.needs[id].iter().filter(|(_, build)| with_build || !build);
                open.extend(needs.map(|(id, _)| id.as_str()));
            }
        }
        reached
    }
}

fn component(package: &Value, shipped: bool, checksum: Option<&String>) -> Value {
    let mut component = object([
        ("type", "library".into()),
        ("bom-ref", purl(package).into()),
        ("name", text(package, "name").into()),
        ("version", text(package, "version").into()),
        ("scope", if shipped { "required" } else { "excluded" }.into()),
        ("purl", purl(package).into()),
        // A slash is the older way to write OR.
        (
            "licenses",
            Value::Array(vec![object([(
                "expression",
                text(package, "license").replace('/', " OR ").into(),
            )])]),
        ),
    ]);
    if let Some(checksum) = checksum {
        let hash = object([("alg", "SHA-256".into()), ("content", checksum.as_str().into())]);
        component["hashes"] = Value::Array(vec![hash]);
    }
    component
}

fn bill(graph: &Graph) -> Value {
    let checksums = checksums();
    let shipped = graph.reach(false);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let all = graph.reach(true);
    for id in &all {
        let package = &graph.packages[*id];
        if *id != graph.root {
            let key = (text(package, "name").to_owned(), text(package, "version").to_owned());
            components.push(component(package, shipped.contains(id), checksums.get(&key)));
        }
        let needs: BTreeSet<String> =
            graph.needs[*id].iter().map(|(need, _)| purl(&graph.packages[need])).collect();
        let needs = needs.into_iter().map(Value::from).collect();
        dependencies.push(object([("ref", purl(package).into()), ("dependsOn", Value::Array(needs))]));
    }
    let tool = object([("type", "application".into()), ("name", "make sbom".into())]);
    let tools = object([("components", Value::Array(vec![tool]))]);
    object([
        ("bomFormat", "CycloneDX".into()),
        ("specVersion", "1.5".into()),
        ("version", 1.into()),
        (
            "metadata",
            object([("tools", tools), ("component", component(&graph.packages[&graph.root], true, None))]),
        ),
        ("components", Value::Array(components)),
        ("dependencies", Value::Array(dependencies)),
    ])
}

#[test]
fn bill_of_materials() {
    let graph = resolve();
    let bill = bill(&graph);
    let components = bill["components"].as_array().unwrap();
    for component in components {
        let name = text(component, "name");
        assert!(!text(&component["licenses"][0], "expression").is_empty(), "{name} has no licence");
        assert_eq!(text(&component["hashes"][0], "content").len(), 64, "{name} has no checksum");
    }
    let scope = |name: &str| components.iter().find(|c| text(c, "name") == name).map(|c| text(c, "scope"));
    let defaults = graph.packages[&graph.root]["features"]["default"].as_array().unwrap();
    let defaults: Vec<&str> = defaults.iter().map(|feature| feature.as_str().unwrap()).collect();
    // What Cargo.toml asks for, each in its place.
    let manifests = graph.own.iter().map(|id| &graph.packages[id]);
    let asked_for = manifests.flat_map(|manifest| {
        manifest["dependencies"].as_array().unwrap().iter().map(move |dependency| (manifest, dependency))
    });
    for (manifest, dependency) in asked_for.filter(|(_, dependency)| dependency["path"].is_null()) {
        let name = text(dependency, "name");
        let switch = format!("dep:{}", dependency["rename"].as_str().unwrap_or(name));
        let has = |feature: &str, one: &str| {
            manifest["features"][feature]
                .as_array()
                .is_some_and(|parts| parts.iter().any(|part| *part == *one))
        };
        let by_default = defaults.iter().any(|feature| has(feature, &switch));
        let wanted = match dependency["kind"].as_str() {
            None if dependency["optional"] == true && !by_default => None,
            None => Some("required"),
            Some("build") => Some("excluded"),
            _ => continue,
        };
        assert_eq!(scope(name), wanted, "{name}");
    }
    assert_eq!(scope("proptest"), None, "what tests use is not in it");

    if let Ok(file) = std::env::var("MGOS_MQTT_SBOM") {
        std::fs::write(&file, format!("{bill:#}\n")).unwrap();
        let shipped = components.iter().filter(|c| text(c, "scope") == "required").count();
        println!("{file}: {shipped} crates in the library, {} only to build it", components.len() - shipped);
    }
}
