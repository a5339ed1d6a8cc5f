//! Which faults there are, in which phases of a connection they can strike, and which of them a run is to try.

use crate::rng::Rng;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident: $($(#[$about:meta])* $variant:ident $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $variant,)* }
        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant,)*];
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// What goes wrong.
    Fault:
    /// The broker closes its side in order; what the client still sends is lost.
    Fin "FIN",
    /// The connection is reset, what was under way in both directions is lost.
    Rst "RST",
    /// Nothing passes any more, and nobody says so.
    HalfOpen "half-open",
    /// Nothing passes for a while, then everything.
    Stall "stall",
    /// One direction becomes slow.
    Delay "delay",
    /// Both directions pass a few bytes at a time.
    Split "split",
    /// The client's end is reset, but what it sent goes on arriving, perhaps beside the next connection.
    Late "late bytes",
    /// The broker goes and comes back with its sessions.
    RestartKept "restart, kept",
    /// The broker goes and comes back without any session.
    RestartLost "restart, lost",
    /// The link is cut and the next attempts fail: by name, TCP, silence, or a refusing CONNACK.
    Refused "cut, refused",
    /// The client's clock leaps forward, by seconds or up to 50 days.
    ClockStep "clock step",
    /// The thread that drives the client is away for a while (in a handler: the handler is slow).
    Busy "busy host",
    /// The application replaces the profile.
    Reconfigure "reconfigure",
    /// The application disconnects and connects.
    Reconnect "reconnect",
    /// The application frees the connection and makes another.
    Free "free",
    /// It makes three calls that open, close or change the connection, in any order, and connects some time later if
    /// that was not among them.
    Calls "calls",
}

named! {
    /// What the client is doing when it goes wrong.
    Phase:
    Waiting "waiting",
    Resolving "resolving",
    Connecting "connecting",
    Greeting "CONNECT..CONNACK",
    Subscribing "SUBSCRIBE..SUBACK",
    Idle "up, idle",
    MidOut "in a PUBLISH out",
    MidIn "in a PUBLISH in",
    OutSent "out PUBLISH..PUBACK/REC",
    OutRec "out PUBREC..PUBREL",
    OutRel "out PUBREL..PUBCOMP",
    InSent "in PUBLISH..PUBACK/REC",
    InRec "in PUBREC..PUBREL",
    InRel "in PUBREL..PUBCOMP",
    Handler "in a handler",
    Resumed "resumed, repeating",
    Closing "closing",
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub fault: Fault,
    pub phase: Phase,
    pub qos: u8,
}

/// Whether the phase exists for messages of this QoS. In phases without a message it is that of most of the
/// run's messages.
pub fn exists(phase: Phase, qos: u8) -> bool {
    match phase {
        Phase::OutRec | Phase::OutRel | Phase::InRec | Phase::InRel => qos == 2,
        Phase::Resumed => qos > 0,
        _ => true,
    }
}

/// Whether the fault can strike in the phase.
pub fn possible(fault: Fault, phase: Phase) -> bool {
    use Fault::*;
    match phase {
        // There is no link.
        Phase::Waiting => matches!(
            fault,
            RestartKept | RestartLost | Refused | ClockStep | Busy | Reconfigure | Reconnect | Free | Calls
        ),
        Phase::Resolving => !matches!(fault, Fin | Rst | HalfOpen | Split | Late),
        // No byte passes yet.
        Phase::Connecting => !matches!(fault, Fin | Split | Late),
        _ => true,
    }
}

/// The cells of one QoS.
pub fn cells(qos: u8) -> Vec<Target> {
    let mut cells = Vec::new();
    for &phase in Phase::ALL {
        for &fault in Fault::ALL {
            if exists(phase, qos) && possible(fault, phase) {
                cells.push(Target { fault, phase, qos });
            }
        }
    }
    cells
}

/// How many faults a run tries.
pub const TARGETS: usize = 12;

/// The cells a seed is for: QoS, whether the session is kept, and the faults to be tried in this order.
///
/// Seeds in sequence go through all cells again and again, each time in another order, so that each cell gets its
/// share, and meets others in the same run.
pub fn targets(seed: u64) -> (u8, bool, Vec<Target>) {
    let (kept, turn) = (seed & 1 == 1, seed / 2);
    // A QoS with more cells gets more runs.
    let (qos, first, share) = match turn % 39 {
        0..11 => (0, 0, 11),
        11..23 => (1, 11, 12),
        _ => (2, 23, 16),
    };
    let run = turn / 39 * share + turn % 39 - first;
    let (cells, targets) = (cells(qos), TARGETS as u64);
    let n = cells.len() as u64;
    // Strides that have no divisor in common with the number of cells, so that each cell comes once.
    let strides = [7, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61];
    let all = (run * targets..(run + 1) * targets).map(|place| {
        let stride = Rng::new(place / n).pick(&strides);
        cells[(place % n * stride % n) as usize]
    });
    let mut all: Vec<Target> = all.collect();
    let mut rng = Rng::new(seed ^ 0x7461_7267);
    (1..all.len()).rev().for_each(|i| all.swap(i, rng.below(i as u64 + 1) as usize));
    (qos, kept, all)
}

/// Counts of faults by fault, phase, QoS and session.
#[derive(Clone)]
pub struct Table(Vec<u64>);

impl Table {
    pub fn new() -> Table {
        Table(vec![0; Fault::ALL.len() * Phase::ALL.len() * 6])
    }

    fn at(target: Target, kept: bool) -> usize {
        ((target.fault as usize * Phase::ALL.len() + target.phase as usize) * 3 + usize::from(target.qos)) * 2
            + usize::from(kept)
    }

    pub fn count(&mut self, target: Target, kept: bool) {
        self.0[Table::at(target, kept)] += 1;
    }

    pub fn add(&mut self, other: &Table) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The least count of a cell that is possible, and that cell.
    pub fn least(&self) -> (u64, Target, bool) {
        let all = (0..3).flat_map(cells).flat_map(|cell| [(cell, false), (cell, true)]);
        all.map(|(cell, kept)| (self.0[Table::at(cell, kept)], cell, kept)).min_by_key(|(n, ..)| *n).unwrap()
    }

    /// One row for each fault, one column for each phase; in a cell one line for QoS 0, 1, 2, each with the
    /// clean session and the kept one.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| phase | QoS | session |");
        let rule = Fault::ALL.iter().map(|_| " ---: |").collect::<String>();
        Fault::ALL.iter().for_each(|f| text += &format!(" {} |", f.text()));
        text += &format!("\n| --- | --- | --- |{rule}\n");
        for &phase in Phase::ALL {
            for qos in (0..3).filter(|qos| exists(phase, *qos)) {
                for kept in [false, true] {
                    text +=
                        &format!("| {} | {qos} | {} |", phase.text(), if kept { "kept" } else { "clean" });
                    for &fault in Fault::ALL {
                        text += &match possible(fault, phase) {
                            true => format!(" {} |", self.0[Table::at(Target { fault, phase, qos }, kept)]),
                            false => " |".into(),
                        };
                    }
                    text.push('\n');
                }
            }
        }
        text
    }
}
