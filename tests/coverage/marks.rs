//! Reads the marks at the tests: `proves: MG-25`, `field: F-12`, `mqtt5: MQTT-3.1.0-1` in the comment directly above what shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A row `| ID | text |` of a document.
pub(crate) type Row = (String, String);

/// One kind of mark.
pub(crate) struct Kind {
    /// What a mark begins with.
    pub(crate) word: &'static str,
    /// What the ids begin with, before their `-`.
    pub(crate) systems: &'static [&'static str],
    /// Where the ids are explained.
    pub(crate) document: &'static str,
    /// What a test can show at most: one that claims more shows none of it well.
    pub(crate) most: usize,
}

/// A mark: the ids, and the test that shows them.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) ids: Vec<String>,
    /// The file, below the root of the source.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The function; for an example its file's name, in a script the part.
    pub(crate) test: String,
    /// The line in which the function begins, counted from 0.
    begins: usize,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The rows of a document, in their order.
pub(crate) fn rows(kind: &Kind, text: &str) -> Vec<Row> {
    text.lines()
        .filter_map(|line| {
            let (id, text) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            let (system, number) = id.split_once('-')?;
            let digits = number.strip_suffix('x').unwrap_or(number);
            let is_id = kind.systems.contains(&system)
                && digits.len() == 2
                && digits.bytes().all(|b| b.is_ascii_digit());
            is_id.then(|| (id.to_string(), text.to_string()))
        })
        .collect()
}

/// The names of what shows each id.
pub(crate) fn shown_by(marks: &[Mark]) -> BTreeMap<&str, Vec<String>> {
    let mut by_id: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for mark in marks {
        let name = match mark.file.strip_prefix("c_examples/") {
            Some(file) => format!("example [{file}](../{})", mark.file),
            None => format!("[{}](../{}) `{}`", mark.file.trim_start_matches("tests/"), mark.file, mark.test),
        };
        for id in &mark.ids {
            by_id.entry(id).or_default().push(name.clone());
        }
    }
    by_id
}

/// All marks of these files, and everything that is wrong with them.
pub(crate) fn collect(kind: &Kind, files: &[String], rows: &[Row]) -> (Vec<Mark>, Vec<String>) {
    let mut wrong = Vec::new();
    let mut all: Vec<Mark> = Vec::new();
    for file in files {
        all.extend(marks(kind, file, &read(file), &mut wrong));
    }
    for mark in &all {
        let at = format!("{}:{}: {}", mark.file, mark.line, mark.test);
        if mark.ids.is_empty() {
            wrong.push(format!("{at}: the mark names nothing"));
        }
        let claimed: usize =
            all.iter().filter(|m| m.file == mark.file && m.test == mark.test).map(|m| m.ids.len()).sum();
        if claimed > kind.most {
            wrong.push(format!("{at}: claims {claimed}, at most {} are allowed", kind.most));
        }
        for id in mark.ids.iter().filter(|id| !rows.iter().any(|(known, _)| known == *id)) {
            wrong.push(format!("{at}: {id} is not in {}", kind.document));
        }
    }
    (all, wrong)
}

/// The files below a folder that end so, also in folders below it if `deep`.
pub(crate) fn files_in(folder: &str, ending: &str, deep: bool) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            // What Cargo built for a crate of its own is none of ours.
            if deep && !name.ends_with("/target") {
                files.extend(files_in(&name, ending, deep));
            }
        } else if name.ends_with(ending) && !name.starts_with("tests/coverage") {
            files.push(name);
        }
    }
    files.sort();
    files
}

/// A line without the signs of a comment, if it is one.
fn comment(line: &str, inside: bool, shell: bool) -> Option<&str> {
    let line = line.trim();
    if shell {
        return line.strip_prefix('#').map(str::trim);
    }
    let text = if let Some(rest) = line.strip_prefix("//") {
        rest.trim_start_matches(['/', '!'])
    } else if let Some(rest) = line.strip_prefix("/*") {
        rest
    } else if inside {
        line.strip_prefix('*').unwrap_or(line)
    } else {
        return None;
    };
    Some(text.split("*/").next().unwrap_or(text).trim())
}

/// Only letters, digits and `_`.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The name of the function whose definition begins in this line.
fn function(line: &str) -> Option<&str> {
    let head = line.trim_start().split_once('(')?.0;
    let (before, name) = head.rsplit_once([' ', '*'])?;
    (is_word(name) && before.split([' ', '*']).filter(|s| !s.is_empty()).all(is_word)).then_some(name)
}

/// The part of a script that begins in this line: a label of its `case`, or a function.
fn part(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some((name, _)) = line.split_once("() {") {
        return is_word(name).then_some(name);
    }
    let (labels, _) = line.split_once(')')?;
    let mut labels = labels.split('|').map(str::trim);
    let first = labels.next()?;
    (is_word(first) && labels.all(is_word)).then_some(first)
}

/// The ids of a mark, if this comment has one of this kind: it begins with the word, or an id follows the word. Another
/// mark may come after it.
fn ids(kind: &Kind, text: &str) -> Option<Vec<String>> {
    let at = text.find(kind.word)?;
    let rest = text[at + kind.word.len()..].trim_start();
    let is_id = |system: &&str| rest.strip_prefix(*system).is_some_and(|rest| rest.starts_with('-'));
    if at > 0 && !kind.systems.iter().any(is_id) {
        return None;
    }
    let words = rest.split([' ', ',']).filter(|id| !id.is_empty()).take_while(|id| !id.ends_with(':'));
    Some(words.map(|id| id.trim_end_matches('.').to_string()).collect())
}

/// All marks of a file. What is wrong with one is added to `wrong`.
pub(crate) fn marks(kind: &Kind, file: &str, text: &str, wrong: &mut Vec<String>) -> Vec<Mark> {
    let (example, shell) = (file.starts_with("c_examples/"), file.ends_with(".sh"));
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut inside = false;
    for (i, line) in lines.iter().enumerate() {
        let text = comment(line, inside, shell);
        inside = match (line.rfind("/*"), line.rfind("*/")) {
            _ if shell => false,
            (Some(open), Some(close)) => open > close,
            (Some(_), None) => text.is_some(),
            (None, Some(_)) => false,
            (None, None) => inside,
        };
        let Some(ids) = text.and_then(|text| ids(kind, text)) else { continue };
        let test = if example {
            Some((i, stem(file)))
        } else if shell {
            part_of(&lines, i)
        } else {
            function_below(&lines, i, inside)
        };
        let Some((begins, test)) = test else {
            wrong.push(format!("{file}:{}: no test function follows", i + 1));
            continue;
        };
        found.push(Mark { ids, file: file.to_string(), line: i + 1, test: test.to_string(), begins });
    }
    for mark in &found {
        if let Err(why) = runs(mark, &lines) {
            wrong.push(format!("{file}:{}: {}: {why}", mark.line, mark.test));
        }
    }
    found
}

fn stem(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file).split('.').next().unwrap_or(file)
}

/// After the rest of the comment, and attributes: the function.
fn function_below<'a>(lines: &[&'a str], mark: usize, mut inside: bool) -> Option<(usize, &'a str)> {
    let mut below = lines.iter().enumerate().skip(mark + 1);
    let (at, line) = below.find(|(_, line)| {
        let skip = comment(line, inside, false).is_some() || line.trim_start().starts_with("#[");
        if line.contains("*/") {
            inside = false;
        }
        !skip
    })?;
    Some((at, function(line)?))
}

/// The part of a script that a comment stands above, or in.
fn part_of<'a>(lines: &[&'a str], mark: usize) -> Option<(usize, &'a str)> {
    let code = |line: &str| comment(line, false, true).is_none();
    let below = lines.iter().enumerate().skip(mark + 1).find(|(_, line)| code(line))?;
    let above = lines[..mark].iter().enumerate().rev().filter(|(_, line)| code(line));
    [below].into_iter().chain(above).find_map(|(at, line)| Some((at, part(line)?)))
}

/// Whether the test is one that is run: a function that nobody calls shows nothing.
fn runs(mark: &Mark, lines: &[&str]) -> Result<(), &'static str> {
    let stem = stem(&mark.file);
    if mark.file.ends_with(".rs") {
        let above = || lines[..mark.begins].iter().rev().take_while(|line| !line.trim().is_empty());
        let has = |attribute: &str| above().any(|line| line.trim_start().starts_with(attribute));
        return match (has("#[test]"), has("#[ignore")) {
            (true, false) => Ok(()),
            (true, true) => Err("is ignored"),
            (false, _) => Err("is not a #[test]"),
        };
    }
    let registered = |list: &str, call: String| {
        let list = read(list);
        list.lines()
            .any(|line| line.trim().strip_prefix(&call).is_some_and(|rest| rest.starts_with([' ', ')'])))
    };
    if mark.file.starts_with("c_examples/") {
        return registered("c_examples/CMakeLists.txt", format!("mgos_example({stem}"))
            .then_some(())
            .ok_or("is not in CMakeLists.txt");
    }
    if mark.file.starts_with("tests/") && mark.file.ends_with(".sh") {
        return is_part(&mark.file, &mark.test).then_some(()).ok_or("is not a part in tests/CMakeLists.txt");
    }
    if mark.file.starts_with("tests/c/") {
        let name = stem.strip_prefix("test_").ok_or("is not in a file test_*.c")?;
        if !registered("tests/c/CMakeLists.txt", format!("mgos_c_test({name}")) {
            return Err("its file is not in CMakeLists.txt");
        }
    }
    // Main programs are the test themselves; stages of scripts/test.sh are called by their name in its lists.
    let stage = mark.test.strip_prefix("stage_");
    let listed = stage.is_some_and(|stage| {
        let names = |l: &str| l.starts_with("all=(") || l.starts_with("all+=(");
        lines.iter().filter(|l| names(l)).any(|l| words(l).any(|word| word == stage))
    });
    let uses = lines.iter().flat_map(|line| words(line)).filter(|word| *word == mark.test).count();
    (mark.test == "main" || listed || uses >= 2).then_some(()).ok_or("is not called")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Whether ctest runs this part of a script in tests/.
fn is_part(script: &str, part: &str) -> bool {
    let list = read("tests/CMakeLists.txt");
    let script = script.trim_start_matches("tests");
    list.split("foreach(part IN ITEMS").skip(1).any(|block| {
        let block = block.split("endforeach").next().unwrap_or("");
        let parts = block.split(')').next().unwrap_or("");
        block.contains(&format!("{script}\"")) && words(parts).any(|word| word == part)
    })
}
