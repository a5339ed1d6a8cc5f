//! Arrows run downwards only: the tables of files in src/lib.rs and in each `mod.rs` stand from the top down, and a file uses
//! only what stands below it. A file that uses one above it, or is in no table, fails here.
//!
//! Read are the paths that begin with `crate::` or `super::`, in `use` lines and elsewhere, and the `use` lines of a `mod.rs`
//! about its own files. A name that a `mod.rs` only passes on counts as the file that it comes from.

mod source_text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use source_text::{files, root, sources};

/// A file of src/ without its ending, as a path from there: `["client", "turn"]`. A `mod.rs` is its directory.
type Module = Vec<String>;

/// A path in the source: `["crate", "client", "Conn"]`.
type Path = Vec<String>;

fn module_of(file: &str) -> Module {
    let inner = file.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths that the text at `rest` stands for: one, or those of a list in braces.
fn paths(rest: &str, begin: &[String], all: &mut Vec<Path>) {
    let rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '}' | ',' if depth == 0 => {
                    if !inner[from..at].trim().is_empty() {
                        paths(&inner[from..at], begin, all);
                    }
                    from = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let mut path = begin.to_vec();
    if end > 0 && &rest[..end] != "self" {
        path.push(rest[..end].to_owned());
    }
    match rest[end..].strip_prefix("::") {
        Some(more) if more.starts_with(|c: char| is_name(c) || c == '{') => paths(more, &path, all),
        _ => all.push(path),
    }
}

/// Every path of a text that begins with one of these words.
fn paths_from(text: &str, words: &[&str]) -> Vec<Path> {
    let mut all = Vec::new();
    for word in words {
        for (at, _) in text.match_indices(&format!("{word}::")) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| is_name(c) || c == ':') {
                paths(&text[at..], &[], &mut all);
            }
        }
    }
    all
}

/// The `use` statements of a text: whether they pass names on, and what they say.
fn uses(text: &str) -> Vec<(bool, String)> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let line = &text[text[..at].rfind('\n').map_or(0, |at| at + 1)..at];
        if line.is_empty() || (line.starts_with("pub") && !line.contains(';')) {
            let end = text[at..].find(';').expect("the end of a use") + at;
            all.push((!line.is_empty(), text[at + 4..end].to_owned()));
        }
    }
    all
}

/// The source, and where each name that a `mod.rs` passes on comes from.
struct House {
    texts: BTreeMap<Module, String>,
    passed_on: BTreeMap<(Module, String), Module>,
}

impl House {
    fn new() -> House {
        // base.rs and core.rs are what lib.rs is, for rooms that are compiled in another way.
        let texts: BTreeMap<Module, String> = sources("src")
            .into_iter()
            .filter(|(file, _)| !["src/base.rs", "src/core.rs"].contains(&file.as_str()))
            .map(|(file, text)| (module_of(&file), text))
            .collect();
        let mut house = House { texts, passed_on: BTreeMap::new() };
        let mut passed_on = BTreeMap::new();
        for (module, text) in &house.texts {
            // What a `mod.rs` uses its files can use through it.
            for (_, tree) in uses(text) {
                for path in house.own(module, &tree) {
                    let name = path.last().unwrap().clone();
                    if let Some((target, _)) = house.find(&path) {
                        passed_on.insert((module.clone(), name), target);
                    }
                }
            }
        }
        house.passed_on = passed_on;
        house
    }

    /// The paths of a `use` statement that begins with one of the module's own files, from the top of the library.
    fn own(&self, module: &Module, tree: &str) -> Vec<Path> {
        let first = tree.split("::").next().unwrap().trim();
        let first = if first == "self" { tree["self::".len()..].split("::").next().unwrap() } else { first };
        let child = [module.as_slice(), &[first.to_owned()]].concat();
        let mut all = Vec::new();
        if self.texts.contains_key(&child) {
            paths(tree.trim_start_matches("self::"), module, &mut all);
        }
        all
    }

    /// The file that a path from the top of the library leads to, and the name that it has there.
    fn find(&self, path: &[String]) -> Option<(Module, String)> {
        let len = (1..=path.len()).rev().find(|len| self.texts.contains_key(&path[..*len]))?;
        let module = path[..len].to_vec();
        let name = path.get(len).cloned().unwrap_or_default();
        match self.passed_on.get(&(module.clone(), name.clone())) {
            Some(origin) => Some((origin.clone(), name)),
            None => Some((module, name)),
        }
    }

    /// What a file uses, with the names.
    fn used_by(&self, module: &Module, text: &str) -> BTreeSet<(Module, String)> {
        let is_directory =
            self.texts.keys().any(|other| other.len() > module.len() && other.starts_with(module));
        let mut all = BTreeSet::new();
        for path in paths_from(text, &["crate", "super"]) {
            let up = path.iter().take_while(|word| *word == "super").count();
            let from_top = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                _ if up > module.len() => continue,
                _ => [&module[..module.len() - up], &path[up..]].concat(),
            };
            all.extend(self.find(&from_top));
        }
        if is_directory {
            for (_, tree) in uses(text).into_iter().filter(|(passes_on, _)| !passes_on) {
                all.extend(self.own(module, &tree).iter().filter_map(|path| self.find(path)));
            }
        }
        // A directory alone is where something may be seen, as in `pub(in crate::capi)`.
        all.retain(|(target, name)| target != module && !(name.is_empty() && module.starts_with(target)));
        all
    }

    /// The files of a directory that stand in its table, from the top down.
    fn table(&self, directory: &Module) -> Vec<String> {
        let file = if directory.is_empty() { "lib.rs".to_owned() } else { directory.join("/") + "/mod.rs" };
        let text = fs::read_to_string(root().join("src").join(&file)).unwrap();
        let mut names = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
            let cell = line.split('|').next().unwrap();
            let quoted = cell.split('`').skip(1).step_by(2);
            names.extend(quoted.map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_owned()));
        }
        names
    }
}

/// Where a name stands in a table; `mgos_*` is every name that begins so.
fn place(table: &[String], name: &str) -> Option<usize> {
    table.iter().position(|entry| match entry.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => entry == name,
    })
}

/// Whether the rule holds in a directory: at the top, and everywhere in these.
fn is_held(directory: &[String]) -> bool {
    const HELD: [&str; 4] = ["capi", "client", "session", "store"];
    directory.first().is_none_or(|top| HELD.contains(&top.as_str()))
}

#[test]
fn arrows_run_downwards() {
    let house = House::new();
    let mut wrong = BTreeSet::new();
    let mut arrows = 0;
    for (module, text) in &house.texts {
        for (target, name) in house.used_by(module, text) {
            // In the table of the directory that has both, or what contains them.
            let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            let directory = &module[..common];
            if !is_held(directory) {
                continue;
            }
            let (Some(user), Some(used)) = (module.get(common), target.get(common)) else {
                if module.len() > target.len() && is_held(&target) {
                    let (user, used) = (module.join("/"), target.join("/"));
                    wrong.insert(format!(
                        "{user}.rs uses {name} of {used}/mod.rs: a mod.rs stands above its files"
                    ));
                }
                continue;
            };
            arrows += 1;
            let table = house.table(&directory.to_vec());
            let (above, below) = (place(&table, user), place(&table, used));
            if let (Some(above), Some(below)) = (above, below)
                && above >= below
            {
                let table =
                    if directory.is_empty() { "lib.rs".into() } else { directory.join("/") + "/mod.rs" };
                wrong.insert(format!(
                    "{}.rs uses {name} of {}.rs, which stands above it in the table of src/{table}",
                    module.join("/"),
                    target.join("/"),
                ));
            }
        }
    }
    assert!(arrows > 500, "only {arrows} arrows were recognised");
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{} arrows run upwards:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_file_is_in_the_table_of_its_directory() {
    let house = House::new();
    let mut wrong = Vec::new();
    let directories: BTreeSet<Module> =
        house.texts.keys().filter_map(|m| Some(m[..m.len().checked_sub(1)?].to_vec())).collect();
    for directory in directories.into_iter().filter(|directory| is_held(directory)) {
        let table = house.table(&directory);
        let files: BTreeSet<&String> = house
            .texts
            .keys()
            .filter(|module| module.len() > directory.len() && module.starts_with(&directory))
            .map(|module| &module[directory.len()])
            .collect();
        for file in &files {
            if place(&table, file).is_none() {
                wrong.push(format!("{}/{file}.rs is in no table", directory.join("/")));
            }
        }
        for entry in table.iter().filter(|entry| !entry.ends_with('*')) {
            if !files.contains(entry) {
                wrong.push(format!("the table of {} has {entry}, which is not there", directory.join("/")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The functions of a header stand together, and nothing hides between them.
#[test]
fn exported_files_hold_exported_functions_only() {
    let mut wrong = Vec::new();
    let mut functions = 0;
    for (file, text) in sources("src/capi").into_iter().filter(|(file, _)| file.starts_with("src/capi/mgos_"))
    {
        let mut exported = false;
        let mut in_use = false;
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with([' ', '}', ')']) {
                in_use &= !line.starts_with('}');
                continue;
            }
            if line.starts_with("#[unsafe(no_mangle)]") || line.starts_with("#[cfg(cbindgen)]") {
                exported = true;
            } else if line.starts_with("use ") {
                in_use = !line.ends_with(';');
            } else if !line.starts_with("#[") && !in_use {
                if !exported {
                    wrong.push(format!("{file}:{}: {line}", number + 1));
                }
                functions += 1;
                exported = false;
            }
        }
    }
    assert!(functions > 150, "only {functions} functions were recognised");
    assert!(wrong.is_empty(), "not exported, so it belongs into another room:\n{}", wrong.join("\n"));
}

/// The longest file of src/, and the longest function of one, tests included.
const MOST_LINES: usize = 700;
const MOST_LINES_OF_A_FUNCTION: usize = 80;

/// The functions of a text that is formatted, each with its name and its number of lines: from `fn` to the brace that
/// closes it, which is indented alike.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let begins =
            ["fn ", "pub", "const fn ", "unsafe ", "extern "].iter().any(|word| code.starts_with(word));
        let Some((_, rest)) = code.split_once("fn ").filter(|_| begins) else { continue };
        let name = rest.split(|c| !is_name(c)).next().unwrap();
        let indent = &line[..line.len() - code.len()];
        let body = lines[first..].iter().position(|line| line.ends_with(['{', '}', ';'])).map(|n| first + n);
        let Some(body) = body.filter(|n| lines[*n].ends_with('{')) else { continue };
        let closed = lines[body..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
        all.push((name, closed.expect("the end of a function") + body - first + 1));
    }
    all
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    let mut counted = 0;
    for path in files("src").iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let file = path.strip_prefix(root()).unwrap().display();
        let lines = text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{file} has {lines} lines, {MOST_LINES} are allowed"));
        }
        for (name, lines) in functions(&text) {
            counted += 1;
            if lines > MOST_LINES_OF_A_FUNCTION {
                wrong.push(format!(
                    "{name} in {file} has {lines} lines, {MOST_LINES_OF_A_FUNCTION} are allowed"
                ));
            }
        }
    }
    assert!(counted > 2_000, "only {counted} functions were recognised");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
