//! mgos_mqtt_store: looks into the folder of a store, repairs it, and moves messages. See `HELP`.

mod json;
mod overlay;

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use mgos_mqtt_base::store::{CLASSES, Cause, Files, Folder, MakeSafe, Message, Options, Store, Stored};
use overlay::Overlay;

const HELP: &str = "\
mgos_mqtt_store: looks into the folder of a message store, repairs it, and moves messages.

  mgos_mqtt_store list FOLDER      what it has, by class
  mgos_mqtt_store dump FOLDER      each message that waits, on a line
  mgos_mqtt_store verify FOLDER    reads all of it, and says what cannot be read
  mgos_mqtt_store repair FOLDER    keeps what can be read; damaged files stay beside it as lost-*
  mgos_mqtt_store export FOLDER    the messages that wait as lines of JSON
  mgos_mqtt_store import FOLDER    adds such lines of standard input, as new messages

The first three and export change nothing in the folder, which may be read-only. No command works while a program has the store
open. A store that is encrypted cannot be opened here.

Exit code: 0 done; 1 something is damaged (list, dump, verify, export), or it could not be done; 2 wrong usage. What was not
completely written when the power went is no damage: nothing that was promised is in it.
";

/// So many messages are read at once, and so many bytes.
const COUNT: usize = 256;
const BYTES: usize = 1 << 20;

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (command, path) = match &arguments[..] {
        [help] if help == "--help" || help == "help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [command, path] => (command.to_string_lossy(), Path::new(path)),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let done = match &*command {
        "list" => list(path, &mut out),
        "dump" => each_message(path, &mut out, dump),
        "verify" => verify(path, &mut out),
        "repair" => repair(path, &mut out),
        "export" => each_message(path, &mut out, |out, class, stored, message| {
            writeln!(out, "{}", json::line(class, stored.id, message))
        }),
        "import" => import(path, &mut out),
        _ => {
            eprint!("mgos_mqtt_store: there is no command {command}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done.and_then(|is_whole| out.flush().map(|()| is_whole).map_err(Failed::from)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mgos_mqtt_store: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The store in a folder that has one. With `changes` what is done is done to it, otherwise to a copy in memory.
fn open(path: &Path, changes: bool) -> Result<Store, Failed> {
    let shown = path.display();
    if !path.is_dir() {
        return Err(format!("there is no folder {shown}").into());
    }
    let mut folder = Folder::read_only(path);
    if !Store::is_in(&mut folder)? {
        return Err(format!("there is no store in {shown}").into());
    }
    let files: Box<dyn Files> =
        if changes { Box::new(Folder::new(path)?) } else { Box::new(Overlay::new(folder)) };
    Ok(Store::open(files, Options::default())?)
}

/// A number of things: "1 file", "2 files".
fn counted(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Reads the messages of all classes.
fn read_all(
    store: &mut Store,
    mut each: impl FnMut(u8, &Stored) -> std::io::Result<()>,
) -> Result<(), Failed> {
    let mut messages = Vec::new();
    for class in 0..CLASSES as u8 {
        let mut after = 0;
        loop {
            messages.clear();
            let more = store.read(class, after, COUNT, BYTES, &mut messages)?;
            for stored in &messages {
                after = stored.id;
                each(class, stored)?;
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}

/// Says what could not be read. True: nothing is damaged.
fn report(store: &mut Store) -> bool {
    let losses = store.take_losses();
    for loss in &losses {
        eprintln!("{loss}");
    }
    losses.iter().all(|loss| loss.cause == Cause::Torn)
}

/// The message that a record is; if it is none, that is said.
fn decode(class: u8, stored: &Stored) -> Option<Message<'_>> {
    let message = Message::decode(&stored.body);
    if message.is_none() {
        eprintln!("record {} of class {class} is not a message of this version", stored.id);
    }
    message
}

fn list(path: &Path, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    for class in 0..CLASSES as u8 {
        let (files, bytes, waiting) =
            (store.segments(class) as u64, store.bytes(class), store.waiting(class));
        if files > 0 {
            let (files, waiting) = (counted(files, "file"), counted(waiting, "waiting message"));
            writeln!(out, "class {class}: {waiting} in {files} of {}", counted(bytes, "byte"))?;
        }
    }
    writeln!(out, "packet ids of messages that were sent: {}", store.packet_ids().count())?;
    writeln!(out, "messages for which PUBREC came: {}", store.released().count())?;
    writeln!(out, "QoS 2 messages of the server that are not released: {}", store.received().count())?;
    writeln!(out, "tokens below {} may have been given", store.next_token())?;
    Ok(report(&mut store))
}

fn each_message<W: Write>(
    path: &Path,
    out: &mut W,
    mut each: impl FnMut(&mut W, u8, &Stored, &Message<'_>) -> std::io::Result<()>,
) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    let mut is_whole = true;
    read_all(&mut store, |class, stored| match decode(class, stored) {
        Some(message) => each(out, class, stored, &message),
        None => {
            is_whole = false;
            Ok(())
        }
    })?;
    Ok(report(&mut store) && is_whole)
}

fn dump<W: Write>(out: &mut W, class: u8, stored: &Stored, message: &Message<'_>) -> std::io::Result<()> {
    let topic = String::from_utf8_lossy(message.topic);
    let Message { qos, retain, payload, .. } = *message;
    let retain = if retain { ", retain" } else { "" };
    let shown: String = String::from_utf8_lossy(&payload[..payload.len().min(60)]).escape_debug().collect();
    writeln!(out, "{class} {} {topic} QoS {qos}{retain}, {} bytes: {shown}", stored.id, payload.len())
}

fn verify(path: &Path, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    let (mut count, mut is_whole) = (0, true);
    read_all(&mut store, |class, stored| {
        match decode(class, stored) {
            Some(_) => count += 1,
            None => is_whole = false,
        }
        Ok(())
    })?;
    is_whole &= report(&mut store);
    let verdict = if is_whole { "nothing is damaged" } else { "the rest is damaged, see above" };
    writeln!(out, "{} can be read; {verdict}", counted(count, "message"))?;
    Ok(is_whole)
}

fn repair(path: &Path, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, true)?;
    // What is damaged is known when it was read.
    read_all(&mut store, |_, _| Ok(()))?;
    report(&mut store);
    let repaired = store.repair()? as u64;
    while store.maintain()? {}
    let waiting: u64 = (0..CLASSES as u8).map(|class| store.waiting(class)).sum();
    store.close()?;
    let (repaired, waiting) = (counted(repaired, "file"), counted(waiting, "message"));
    writeln!(out, "repaired: {repaired}; waiting: {waiting}")?;
    Ok(true)
}

/// What is added to a store.
struct Import {
    store: Store,
    tokens: std::ops::Range<u64>,
    /// Messages that are safe.
    safe: u64,
    /// Those that are not yet, and their bytes.
    open: (u64, usize),
}

impl Import {
    fn add(&mut self, line: &str) -> Result<(), Failed> {
        let (class, body) = json::parse(line)?;
        let token = match self.tokens.next() {
            Some(token) => token,
            None => {
                self.tokens = self.store.reserve_tokens();
                self.tokens.next().ok_or("there are no tokens left")?
            }
        };
        self.store.append(class, token, &body)?;
        self.open = (self.open.0 + 1, self.open.1 + body.len());
        if self.open.0 >= COUNT as u64 || self.open.1 >= BYTES {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failed> {
        // What could not be written is not tried again: it is not among those that were added.
        let (count, _) = std::mem::take(&mut self.open);
        if let Some(error) = self.store.commit(MakeSafe::ALL).first() {
            return Err(error.clone().into());
        }
        self.safe += count;
        Ok(())
    }
}

fn import(path: &Path, out: &mut impl Write) -> Result<bool, Failed> {
    // A folder that is not there becomes a store.
    let mut store = Store::open(Box::new(Folder::new(path)?), Options::default())?;
    let tokens = store.reserve_tokens();
    let mut import = Import { store, tokens, safe: 0, open: (0, 0) };
    let mut wrong = None;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let added = match line {
            Ok(line) if line.trim().is_empty() => Ok(()),
            Ok(line) => import.add(&line),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = added {
            wrong = Some(format!("line {}: {error}", number + 1));
            break;
        }
    }
    // However it went, what was added is kept.
    let committed = import.commit();
    let Import { mut store, safe, .. } = import;
    report(&mut store);
    let closed = store.close().map_err(Failed::from);
    let count = counted(safe, "message");
    if let Some(wrong) = wrong {
        let were = if safe == 1 { "was" } else { "were" };
        return Err(format!("{wrong}; {count} before it {were} added").into());
    }
    committed.and(closed).map_err(|error| format!("{error}; {count} added"))?;
    writeln!(out, "{count} added")?;
    // Damage that was there before was reported: who tries again would have the messages twice.
    Ok(true)
}
