//! mgos_mqtt_store: looks into the folder of a store, repairs it, and moves messages. See `HELP`.

mod json;
mod overlay;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use mgos_mqtt_base::store::{CLASSES, Files, Folder, MakeSafe, Message, Options, Store, Stored};
use overlay::Overlay;

const HELP: &str = "\
mgos_mqtt_store: looks into the folder of a message store, repairs it, and moves messages.

  mgos_mqtt_store list FOLDER      what it has, by class
  mgos_mqtt_store dump FOLDER      each message that waits, on a line
  mgos_mqtt_store verify FOLDER    reads all of it, and says what cannot be read
  mgos_mqtt_store repair FOLDER    keeps what can be read; damaged files stay beside it as lost-*
  mgos_mqtt_store export FOLDER    the messages that wait as lines of JSON
  mgos_mqtt_store import FOLDER    adds such lines of standard input, as new messages

The first three and export change nothing in the folder. No command works while a program has the store open.
A store that is encrypted cannot be opened here.

Exit code: 0 done; 1 something is damaged (list, dump, verify, export), or it could not be done; 2 wrong usage.
";

/// So many messages are read at once, and so many bytes.
const COUNT: usize = 256;
const BYTES: usize = 1 << 20;

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, path) = match &arguments[..] {
        [help] if help == "--help" || help == "help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [command, path] => (command.as_str(), path.as_str()),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let done = match command {
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

/// The store in a folder that is there. With `changes` what is done is done to it, otherwise to a copy in memory.
fn open(path: &str, changes: bool) -> Result<Store, Failed> {
    if !std::path::Path::new(path).is_dir() {
        return Err(format!("there is no folder {path}").into());
    }
    let folder = Folder::new(path)?;
    let files: Box<dyn Files> = if changes { Box::new(folder) } else { Box::new(Overlay::new(folder)) };
    Ok(Store::open(files, Options::default())?)
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

/// Says what could not be read. True: nothing.
fn report(store: &mut Store) -> bool {
    let losses = store.take_losses();
    for loss in &losses {
        eprintln!("{loss}");
    }
    losses.is_empty()
}

fn list(path: &str, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    for class in 0..CLASSES as u8 {
        let (files, bytes, waiting) = (store.segments(class), store.bytes(class), store.waiting(class));
        if files > 0 {
            writeln!(out, "class {class}: {waiting} messages wait, in {files} files with {bytes} bytes")?;
        }
    }
    writeln!(out, "packet ids of messages that were sent: {}", store.packet_ids().count())?;
    writeln!(out, "messages for which PUBREC came: {}", store.released().count())?;
    writeln!(out, "QoS 2 messages of the server that are not released: {}", store.received().count())?;
    writeln!(out, "tokens below {} may have been given", store.next_token())?;
    Ok(report(&mut store))
}

fn each_message<W: Write>(
    path: &str,
    out: &mut W,
    mut each: impl FnMut(&mut W, u8, &Stored, &Message<'_>) -> std::io::Result<()>,
) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    let mut is_whole = true;
    read_all(&mut store, |class, stored| match Message::decode(&stored.body) {
        Some(message) => each(out, class, stored, &message),
        None => {
            eprintln!("record {} of class {class} is no message of this version", stored.id);
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

fn verify(path: &str, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, false)?;
    let mut count = 0_u64;
    read_all(&mut store, |_, _| {
        count += 1;
        Ok(())
    })?;
    let is_whole = report(&mut store);
    let verdict = if is_whole { "nothing is damaged" } else { "the rest is damaged, see above" };
    writeln!(out, "{count} messages can be read; {verdict}")?;
    Ok(is_whole)
}

fn repair(path: &str, out: &mut impl Write) -> Result<bool, Failed> {
    let mut store = open(path, true)?;
    // What is damaged is known when it was read.
    read_all(&mut store, |_, _| Ok(()))?;
    report(&mut store);
    let repaired = store.repair()?;
    while store.maintain()? {}
    let waiting: u64 = (0..CLASSES as u8).map(|class| store.waiting(class)).sum();
    store.close()?;
    writeln!(out, "{repaired} files are repaired; {waiting} messages wait")?;
    Ok(true)
}

fn import(path: &str, out: &mut impl Write) -> Result<bool, Failed> {
    // A folder that is not there becomes a store.
    let mut store = Store::open(Box::new(Folder::new(path)?), Options::default())?;
    let mut tokens = store.reserve_tokens();
    let commit = |store: &mut Store| match store.commit(MakeSafe::ALL).first() {
        Some(error) => Err(error.clone()),
        None => Ok(()),
    };
    let mut count = 0_u64;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let parsed = json::parse(&line)
            .map_err(|error| format!("line {}: {error}; {count} messages before it are added", number + 1));
        let (class, body) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                commit(&mut store)?;
                store.close()?;
                return Err(error.into());
            }
        };
        let token = match tokens.next() {
            Some(token) => token,
            None => {
                tokens = store.reserve_tokens();
                tokens.next().unwrap_or_default()
            }
        };
        store.append(class, token, &body)?;
        count += 1;
        if count.is_multiple_of(COUNT as u64) {
            commit(&mut store)?;
        }
    }
    commit(&mut store)?;
    store.close()?;
    writeln!(out, "{count} messages are added")?;
    Ok(true)
}
