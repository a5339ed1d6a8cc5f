//! docs/errors.md has every error, and what each is called in the systems that programs are ported from.
//!
//! `MGOS_MQTT_UPDATE_DOCS=1 cargo test --test errors_doc` writes the table anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use mgos_mqtt::error::Code;
use mgos_mqtt::vocabulary::{as_electric_imp, as_electric_imp_connect, as_nodemcu, as_zerynth};

const BEGIN: &str = "<!-- the table: tests/errors_doc.rs -->\n";
const END: &str = "<!-- the end of the table -->\n";

const HOW: &str = "to write it anew: MGOS_MQTT_UPDATE_DOCS=1 cargo test --test errors_doc";

fn table() -> String {
    let mut text = String::from(
        "| error | number | what happened | Electric Imp call | Electric Imp `onconnect` | NodeMCU | Zerynth |\n\
         | --- | ---: | --- | ---: | ---: | ---: | --- |\n",
    );
    for code in Code::ALL {
        let nodemcu = as_nodemcu(*code).map_or("-".into(), |n| n.to_string());
        let imp = match as_electric_imp(*code) {
            0x80 => "0x80".into(),
            n => n.to_string(),
        };
        let zerynth = as_zerynth(*code).c_name().to_str().unwrap();
        let zerynth = if zerynth.is_empty() { "-" } else { zerynth };
        writeln!(
            text,
            "| `{}` | {} | {} | {imp} | {} | {nodemcu} | {zerynth} |",
            code.name(),
            code.number(),
            code.text(),
            as_electric_imp_connect(*code),
        )
        .unwrap();
    }
    text
}

#[test]
fn the_table_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the place of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    let table = table();
    if std::env::var_os("MGOS_MQTT_UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        let (found, table) = (found.lines().collect::<Vec<_>>(), table.lines().collect::<Vec<_>>());
        let missing: Vec<_> = table.iter().filter(|line| !found.contains(line)).collect();
        assert!(missing.is_empty(), "missing, {HOW}:\n{missing:#?}");
        assert_eq!(found, table, "{HOW}");
    }
}

/// Every number that the four systems have is there: a port can meet all of its cases.
#[test]
fn no_number_of_theirs_is_missing() {
    let all = |f: fn(Code) -> i32| Code::ALL.iter().map(|code| f(*code)).collect::<BTreeSet<_>>();
    assert_eq!(all(as_electric_imp), (-12..=0).chain([0x80]).collect());
    assert_eq!(all(as_electric_imp_connect), (-1..=5).collect());
    assert_eq!(all(|code| as_nodemcu(code).unwrap_or(0)), (-5..=5).collect());
    assert_eq!(all(|code| as_zerynth(code) as i32), (0..=8).collect());
}

/// Only success is success.
#[test]
fn no_error_becomes_a_success() {
    for code in Code::ALL.iter().filter(|code| **code != Code::Ok) {
        assert_ne!(as_electric_imp(*code), 0, "{code}");
        assert_ne!(as_electric_imp_connect(*code), 0, "{code}");
        assert_ne!(as_nodemcu(*code), Some(0), "{code}");
        assert_ne!(as_zerynth(*code) as i32, 0, "{code}");
    }
}
