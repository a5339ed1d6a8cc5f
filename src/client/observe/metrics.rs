//! Statistics as OpenMetrics text, which Prometheus and similar systems collect.
//!
//! Text from a configuration (client ids) is escaped; all lines of one metric are together, and no two lines
//! have the same labels, as the format demands.

use std::fmt::Write;

use Kind::{Counter, Gauge};

use crate::client::state::stats::{End, Snapshot};
use crate::session::{LATENCY_BUCKETS, Latency};
use crate::time::Time;

/// A number of a connection.
#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    /// A span in microseconds, written in seconds.
    Micros(u64),
    /// There is none yet.
    Missing,
}

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Whole(n)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Value {
        Value::Whole(n as u64)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Whole(yes.into())
    }
}

/// A moment, since the origin of the loop's clock; left out if there is none, since zero would be a
/// moment.
impl From<Option<Time>> for Value {
    fn from(at: Option<Time>) -> Value {
        at.map_or(Value::Missing, |at| Value::Micros(at.0))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Only grows: its samples are `<name>_total`.
    Counter,
    Gauge,
}

/// The description of a family of metrics. Its unit is the end of its name, if it has one.
type Family = (Kind, &'static str, &'static str, &'static str, fn(&Snapshot) -> Value);

const FAMILIES: &[Family] = &[
    (Gauge, "up", "", "Whether the connection is up.", |s| s.is_up.into()),
    (
        Gauge,
        "first_connect_uptime_seconds",
        "seconds",
        "When the server accepted the client first, since boot.",
        |s| s.first_connect.into(),
    ),
    (
        Gauge,
        "last_connect_uptime_seconds",
        "seconds",
        "When the server accepted the client last, since boot.",
        |s| s.last_connect.into(),
    ),
    (
        Gauge,
        "last_disconnect_uptime_seconds",
        "seconds",
        "When the connection was lost last, since boot.",
        |s| s.last_disconnect.into(),
    ),
    (Counter, "connect_attempts", "", "Attempts to connect.", |s| s.attempts.into()),
    (Counter, "connects", "", "Attempts that the server accepted.", |s| s.connects.into()),
    (Counter, "rx_bytes", "bytes", "Bytes received.", |s| s.rx_bytes.into()),
    (Counter, "rx_messages", "", "Messages received.", |s| s.counts.rx_messages.into()),
    (Counter, "rx_duplicates", "", "Messages of QoS 2 that came again and were not told twice.", |s| {
        s.counts.rx_duplicates.into()
    }),
    (Counter, "rx_oversize", "", "Messages over the receive limit, which were skipped.", |s| {
        s.counts.rx_oversize.into()
    }),
    (Counter, "tx_bytes", "bytes", "Bytes sent.", |s| s.counts.tx_bytes.into()),
    (Counter, "tx_messages", "", "Messages sent, repetitions included.", |s| s.counts.tx_messages.into()),
    (Counter, "pings", "", "PINGREQ packets sent.", |s| s.counts.pings.into()),
    (Gauge, "queue_messages", "", "QoS 1 and 2 messages that wait to be sent.", |s| s.levels.waiting.into()),
    (Gauge, "in_flight_messages", "", "QoS 1 and 2 messages sent and not acknowledged.", |s| {
        s.levels.in_flight.into()
    }),
    (Gauge, "queue_bytes", "bytes", "Topics and payloads of both.", |s| s.levels.queued_bytes.into()),
    (Gauge, "queue_age_seconds", "seconds", "The age of the oldest of both.", |s| {
        Value::Micros(s.levels.oldest.map_or(0, |at| s.now.since(at).0))
    }),
    (Gauge, "unsent_bytes", "bytes", "Payloads not acknowledged and packets not written.", |s| {
        s.levels.unsent_bytes.into()
    }),
    (Gauge, "pending_subscriptions", "", "Filters that the server has not acknowledged.", |s| {
        s.levels.pending_subscriptions.into()
    }),
    (Counter, "publishes_accepted", "", "Publishes accepted from the application.", |s| {
        s.counts.accepted.into()
    }),
    (Counter, "publishes_refused", "", "Publishes not accepted from the application.", |s| {
        s.counts.refused.into()
    }),
];

/// How publishes ended, as a label.
type Outcome = (&'static str, fn(&Snapshot) -> u64);

const OUTCOMES: &[Outcome] = &[
    ("acked", |s| s.counts.acked),
    ("sent", |s| s.counts.sent),
    ("rejected", |s| s.counts.rejected),
    ("expired", |s| s.counts.expired),
    ("dropped", |s| s.counts.dropped),
    ("cancelled", |s| s.counts.cancelled),
    ("lost", |s| s.counts.lost),
    ("timed_out", |s| s.counts.timed_out),
];

/// The text for any number of connections.
pub fn openmetrics(connections: &[Snapshot]) -> String {
    let mut text = String::new();
    let labels = labels(connections);
    let all = || connections.iter().zip(&labels);
    head(&mut text, "info", "build", "", "The version of the library.");
    line(&mut text, "build_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), Value::Whole(1));
    for (kind, name, unit, help, value) in FAMILIES {
        head(&mut text, if *kind == Counter { "counter" } else { "gauge" }, name, unit, help);
        let suffix = if *kind == Counter { "_total" } else { "" };
        for (snapshot, labels) in all() {
            line(&mut text, &format!("{name}{suffix}"), labels, value(snapshot));
        }
    }
    ends(&mut text, "connect_failures", "Attempts to connect that failed.", all(), false);
    ends(&mut text, "disconnects", "Connections that were up and ended.", all(), true);
    head(&mut text, "counter", "publishes", "", "Accepted publishes, by how they ended.");
    for (snapshot, labels) in all() {
        for (outcome, count) in OUTCOMES {
            let labels = format!("{labels},outcome=\"{outcome}\"");
            line(&mut text, "publishes_total", &labels, count(snapshot).into());
        }
    }
    let help = "From the acceptance of a QoS 1 or 2 publish to its last acknowledgement.";
    head(&mut text, "histogram", "ack_latency_seconds", "seconds", help);
    for (snapshot, labels) in all() {
        latency(&mut text, labels, &snapshot.ack_latency);
    }
    text + "# EOF\n"
}

/// The labels that name each connection. The application chooses numbers and client ids, so two
/// connections may have the same; then an ordinal is appended to the number.
fn labels(connections: &[Snapshot]) -> Vec<String> {
    let same = |a: &Snapshot, b: &Snapshot| a.number == b.number && a.client_id == b.client_id;
    let which = |i: usize| connections[..i].iter().filter(|before| same(before, &connections[i])).count();
    let label = |(i, snapshot): (usize, &Snapshot)| {
        let number = match which(i) {
            0 => snapshot.number.to_string(),
            n => format!("{}#{}", snapshot.number, n + 1),
        };
        format!("conn=\"{number}\",client_id=\"{}\"", escaped(&snapshot.client_id))
    };
    connections.iter().enumerate().map(label).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[inline(never)]
fn head(text: &mut String, kind: &str, name: &str, unit: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# TYPE mgos_mqtt_{name} {kind}");
    if !unit.is_empty() {
        let _ = writeln!(text, "# UNIT mgos_mqtt_{name} {unit}");
    }
    let _ = writeln!(text, "# HELP mgos_mqtt_{name} {help}");
}

#[inline(never)]
fn line(text: &mut String, name: &str, labels: &str, value: Value) {
    let _ = match value {
        Value::Whole(n) => writeln!(text, "mgos_mqtt_{name}{{{labels}}} {n}"),
        Value::Micros(us) => writeln!(text, "mgos_mqtt_{name}{{{labels}}} {}", seconds(us)),
        Value::Missing => Ok(()),
    };
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// One line for each way in which an attempt or a connection ended.
fn ends<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    connections: impl Iterator<Item = (&'a Snapshot, &'a String)>,
    was_up: bool,
) {
    head(text, "counter", name, "", help);
    for (snapshot, labels) in connections {
        for End { code, phase, count, .. } in snapshot.ends.iter().filter(|end| end.was_up == was_up) {
            let labels = format!("{labels},code=\"{}\",phase=\"{}\"", code.name(), phase.name());
            line(text, &format!("{name}_total"), &labels, (*count).into());
        }
    }
}

fn latency(text: &mut String, labels: &str, latency: &Latency) {
    let mut count = 0;
    for bucket in 0..LATENCY_BUCKETS {
        count += latency.buckets[bucket];
        let limit = Latency::limit(bucket).map_or_else(|| "+Inf".into(), |limit| seconds(limit.0));
        line(text, "ack_latency_seconds_bucket", &format!("{labels},le=\"{limit}\""), count.into());
    }
    line(text, "ack_latency_seconds_count", labels, count.into());
    line(text, "ack_latency_seconds_sum", labels, Value::Micros(latency.sum));
}
