//! Writes the configuration of a Mongoose OS application, from the `config_schema` of its mos.yml and those of its
//! libraries:
//!
//! ```text
//! mgos_configure --out DIR [--platform NAME] [--library mos.yml]... [--schema mos.yml]... mos.yml
//! ```
//!
//! `--library` names a library that has sources, whose `mgos_NAME_init()` is called; `--schema` one that only has settings.
//! In DIR it writes `mgos_app_config.h`, `mgos_app_config.c`, and `mgos_app_options`, the compiler's options for `cdefs`.
//!
//! | file | what it does |
//! |---|---|
//! | `emit.rs` | C from a schema |
//! | `schema.rs` | merges what the files define, and checks it |
//! | `conds.rs` | conditions |
//! | `yaml.rs` | YAML with lines |

mod conds;
mod emit;
mod schema;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use schema::Schema;
use yaml::Node;

/// What every application has.
const BASE: &str = include_str!("../base.yml");

/// An error with its place, as compilers write it.
#[derive(Debug)]
pub struct Failure {
    text: String,
}

impl Failure {
    fn new(file: &str, line: usize, text: String) -> Self {
        Self { text: format!("{file}:{line}: error: {text}") }
    }

    fn of_file(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        Self { text: format!("{}: error: cannot {doing}: {error}", path.display()) }
    }
}

/// A mos.yml that was read.
struct File {
    path: String,
    root: Node,
    name: String,
    /// Whether it has code to be started.
    starts: bool,
}

impl File {
    fn read(path: &Path, starts: bool) -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, "read it", &error))?;
        let shown = path.display().to_string();
        let root = yaml::parse(&shown, &text)?;
        if root.map().is_none() {
            return Err(Failure::new(&shown, root.line, "a mos.yml is a map: config_schema: [...]".into()));
        }
        let name = match root.get("name") {
            Some(node) => match node.text() {
                Some(name) if is_name(name) => name.to_string(),
                _ => {
                    return Err(Failure::new(
                        &shown,
                        node.line,
                        "the name may have letters, digits, '-', '_' and '.'".into(),
                    ));
                }
            },
            None => path
                .canonicalize()
                .ok()
                .and_then(|path| Some(path.parent()?.file_name()?.to_str()?.to_string()))
                .unwrap_or_default(),
        };
        Ok(Self { path: shown, root, name, starts })
    }

    /// The names of the libraries that it uses: the last part of each origin.
    fn uses(&self) -> Vec<&str> {
        let libs = self.root.get("libs").and_then(Node::list).unwrap_or_default();
        libs.iter()
            .filter_map(|node| {
                node.get("name").or_else(|| node.get("origin")).or_else(|| node.get("location"))?.text()
            })
            .filter_map(|text| text.trim_end_matches('/').rsplit('/').next())
            .collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Libraries in an order in which each comes after those that it uses.
fn in_order(libraries: Vec<File>) -> Result<Vec<File>, Failure> {
    let mut waiting = libraries;
    let mut done: Vec<File> = Vec::new();
    while !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().map(|library| library.name.clone()).collect();
        let ready = waiting.iter().position(|library| {
            !library.uses().iter().any(|used| *used != library.name && names.iter().any(|name| name == used))
        });
        match ready {
            Some(index) => done.push(waiting.remove(index)),
            None => {
                let line = waiting[0].root.get("libs").map_or(1, |node| node.line);
                return Err(Failure::new(
                    &waiting[0].path,
                    line,
                    format!("the libraries {} use each other in a circle", names.join(", ")),
                ));
            }
        }
    }
    Ok(done)
}

struct Arguments {
    out: PathBuf,
    platform: String,
    libraries: Vec<(PathBuf, bool)>,
    application: PathBuf,
}

fn arguments() -> Option<Arguments> {
    let mut args = std::env::args_os().skip(1);
    let (mut out, mut platform, mut libraries, mut application) =
        (None, "ubuntu".to_string(), Vec::new(), None);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--out") => out = Some(args.next()?.into()),
            Some("--platform") => platform = args.next()?.into_string().ok()?,
            Some("--library") => libraries.push((args.next()?.into(), true)),
            Some("--schema") => libraries.push((args.next()?.into(), false)),
            Some(option) if option.starts_with('-') => return None,
            _ if application.is_some() => return None,
            _ => application = Some(arg.into()),
        }
    }
    Some(Arguments { out: out?, platform, libraries, application: application? })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut libraries = Vec::new();
    for (path, starts) in &arguments.libraries {
        libraries.push(File::read(path, *starts)?);
    }
    let libraries = in_order(libraries)?;
    let application = File::read(&arguments.application, true)?;

    let mut schema = Schema::default();
    schema.add("base.yml", &yaml::parse("base.yml", BASE)?, &arguments.platform, true)?;
    for file in libraries.iter().chain([&application]) {
        schema.add(&file.path, &file.root, &arguments.platform, false)?;
    }
    schema.resolve()?;
    for library in &libraries {
        let name = library.name.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        schema.cdefs.push((format!("MGOS_HAVE_{name}"), "1".into()));
    }

    let version = application.root.get("version").and_then(Node::text).unwrap_or("1.0");
    let started: Vec<String> = libraries
        .iter()
        .filter(|library| library.starts)
        .map(|library| library.name.replace('.', "_"))
        .collect();
    let about = emit::Application { name: &application.name, version, libraries: &started };
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::of_file(&arguments.out, "make it", &error))?;
    for (name, text) in [
        ("mgos_app_config.h", emit::header(&schema.entries, &about)),
        ("mgos_app_config.c", emit::source(&schema.entries, &about)),
        ("mgos_app_options", emit::options(&schema.cdefs)),
    ] {
        let path = arguments.out.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::of_file(&path, "write it", &error))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: mgos_configure --out DIR [--platform NAME] [--library mos.yml]... [--schema mos.yml]... mos.yml"
        );
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text);
            ExitCode::FAILURE
        }
    }
}
