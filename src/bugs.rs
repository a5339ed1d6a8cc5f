//! Deliberate bugs, so that the simulation can show that it finds each of them (docs/reliability.md).
//!
//! A line `if bug(Bug::X)` marks where a bug would be made. In normal builds the answer is the constant
//! `false`, and the compiler removes it all. In a build with `--cfg mgos_mqtt_bug` the bug is chosen at run
//! time.

macro_rules! bugs {
    ($($(#[$what:meta])* $name:ident,)*) => {
        /// The bugs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(dead_code, unreachable_pub, reason = "the list is for the build that has them")]
        #[repr(u8)]
        pub enum Bug { $($(#[$what])* $name,)* }

        /// All of them.
        #[cfg(mgos_mqtt_bug)]
        pub const ALL: &[Bug] = &[$(Bug::$name,)*];
    };
}

bugs! {
    /// A message is acknowledged before its handlers ran.
    AckBeforeHandler,
    /// Acknowledgements that the last connection owed are sent on the next one.
    AckOnNewSocket,
    /// Packet ids are assigned again while they are in use.
    IdReuse,
    /// A message that was never sent is marked as a repetition.
    DupTooEarly,
    /// A repetition is not marked.
    DupForgotten,
    /// PUBREL is not repeated after a reconnect.
    PubrelLost,
    /// After PUBREC the PUBLISH is repeated.
    PublishAfterPubrec,
    /// After a reconnect, waiting messages are sent before those that were in flight.
    OrderSwapped,
    /// A new session does not clear the QoS 2 ids of the old one.
    InboundNotCleared,
    /// The QoS 2 ids are cleared although the session was kept.
    InboundClearedEarly,
    /// After a lost CONNACK the session is taken for kept, although that CONNACK may have said that
    /// it was lost.
    LostConnackIgnored,
    /// MQTT 3.1, or another server: its session is taken for the one that the client remembers.
    KeptBelieved,
    /// The session was lost, and the subscriptions with it.
    SubscriptionsForgotten,
    /// The window is ignored when waiting messages are sent.
    WindowIgnored,
    /// An outcome is told twice.
    OutcomeTwice,
    /// A message that is on its way can still be cancelled.
    CancelTooLate,
    /// No PINGREQ is ever sent.
    KeepAliveNever,
    /// An unanswered PINGREQ has no consequence.
    SilenceIgnored,
    /// The CONNACK time-out never comes.
    ConnackAwaitedForever,
    /// The wait before a reconnect is reset as soon as TCP is connected.
    BackoffResetEarly,
    /// What an application publishes between two turns is written in the next turn, but none is
    /// asked for.
    LostWakeup,
    /// The loop spins while a connection closes.
    Spins,
    /// A handler is called after its connection was freed.
    HandlerAfterFree,
    /// A deferred message is acknowledged when its handlers have returned.
    HoldIgnored,
    /// An acknowledgement overtakes that of an earlier, deferred message.
    AckOutOfLine,
    /// A deferred QoS 2 message is acknowledged when the server repeats it.
    RepeatedNotHeld,
    /// Closing does not wait for what is still on its way to the server.
    DrainCut,
    /// Another configuration of the server drops the options of the connection.
    OptionDropped,
    /// Closing a link that does not exist cancels the requested attempt.
    StuckAfterDisconnect,
    /// A turn runs all pending callbacks, however slow they are.
    Starvation,
    /// The answer of a hook is taken for the attempt under way, whichever it is for.
    LateAnswerTaken,
}

#[cfg(mgos_mqtt_bug)]
static CHOSEN: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(u8::MAX);

/// Chooses the bug that the library has from now on; `None` for none.
#[cfg(mgos_mqtt_bug)]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.store(bug.map_or(u8::MAX, |bug| bug as u8), core::sync::atomic::Ordering::SeqCst);
}

/// Whether the library has this bug.
#[cfg(mgos_mqtt_bug)]
pub fn bug(bug: Bug) -> bool {
    CHOSEN.load(core::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether the library has this bug: no.
#[cfg(not(mgos_mqtt_bug))]
#[inline(always)]
pub const fn bug(_: Bug) -> bool {
    false
}
