//! Log lines, published: an application's own, and those of the library.
//!
//! A log must not make things worse. Lines are QoS 0 and are left out while much is unsent; leaving a line out
//! is never logged itself; and what happens inside a log function is not logged (`log.rs`), so that no line
//! causes another.

use std::io::Write;
use std::sync::{Arc, Weak};

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::state::log::{Level, Sink};
use crate::client::state::log_topics::{LogLine, LogState, LogTopics};
use crate::client::state::over_limit::over_limit;
use crate::error::Code;
use crate::session::Publication;
use crate::sync::MutexGuard;
use crate::wire::{QoS, topic};

/// Everything before the data except the device's name: two numbers, a time, and the separators.
pub(in crate::client) const HEADER_MAX: usize = 96;

impl Conn {
    /// Sets or clears the topics of log lines.
    pub fn set_log_topics(&self, topics: Option<LogTopics>) -> Result<(), Code> {
        let names = topics.iter().flat_map(|topics| [&topics.stdout, &topics.stderr]).flatten();
        for name in names {
            topic::valid_name(name).map_err(|_| Code::BadTopic)?;
        }
        for name in topics.iter().flat_map(|topics| [&topics.stdout, &topics.stderr]).flatten() {
            self.context.log.add_quiet(name);
        }
        let mut st = self.usable()?;
        let lines = st.extras.log_topics.as_ref().map_or(0, |log| log.lines);
        st.extras.try_make()?.log_topics = topics.map(|topics| Box::new(LogState { topics, lines }));
        Ok(())
    }

    /// Whether there are topics for log lines.
    pub fn has_log_topics(&self) -> bool {
        self.lock().extras.log_topics.is_some()
    }

    /// Publishes a line, if it may: [`Code::NotFound`] without a topic for it, [`Code::NotConnected`],
    /// [`Code::QueueFull`] while too much is unsent.
    pub fn log_line(&self, line: &LogLine<'_>) -> Result<(), Code> {
        // The function that returns the device's name takes a lock of its own.
        let device = (self.context.default_client_id)();
        let st = self.usable()?;
        self.publish_line(st, line, device.as_deref().unwrap_or("-"))
    }

    fn publish_line(
        &self,
        mut st: MutexGuard<'_, State>,
        line: &LogLine<'_>,
        device: &str,
    ) -> Result<(), Code> {
        let by_level = st.profile.debug_use_log_level;
        let now = (self.context.wall_clock)();
        let state = &mut *st;
        let log =
            state.extras.get_mut().and_then(|extras| extras.log_topics.as_mut()).ok_or(Code::NotFound)?;
        let topic = match line.fd {
            1 => log.topics.stdout.as_deref(),
            2 => log.topics.stderr.as_deref(),
            _ => return Err(Code::BadArgument),
        };
        let topic = topic.ok_or(Code::NotFound)?;
        let number = log.lines;
        log.lines += 1;
        if !state.session.is_up() {
            return Err(Code::NotConnected);
        }
        if state.session.unsent_bytes() >= log.topics.threshold {
            return Err(Code::QueueFull);
        }
        let mut payload = Vec::new();
        payload.try_reserve(device.len() + HEADER_MAX + line.data.len()).map_err(|_| Code::NoMemory)?;
        let kind = if by_level { line.level.max(0) } else { line.fd };
        // The memory is already reserved.
        let _ = write!(payload, "{device} {number} {now:.3} {kind}|");
        payload.extend_from_slice(line.data);
        let message = Publication::new(topic, &payload, QoS::AtMostOnce);
        // Not Conn::publish(), which logs a refusal.
        state.session.publish(&message).inspect_err(|code| {
            if *code == Code::TooLarge {
                over_limit(&state.session, &message);
            }
        })?;
        self.settle(&mut st);
        self.output_grew(&mut st);
        Ok(())
    }

    /// Also publishes the log of the library: everything that is at least as important as `level`, of all
    /// connections of this one's loop. `None` ends it. Only one connection of a loop does so: the last for
    /// which this was called.
    pub fn log_library(self: &Arc<Self>, level: Option<Level>) -> Result<(), Code> {
        drop(self.usable()?);
        let sink = LibraryLog(Arc::downgrade(self));
        let new = level.map(|level| (level, Arc::new(sink) as Arc<dyn Sink>));
        drop(self.context.log.set_second(new));
        Ok(())
    }
}

/// Takes the library's log to a topic. It does not keep the connection.
pub(in crate::client) struct LibraryLog(Weak<Conn>);

impl Sink for LibraryLog {
    fn log(&self, level: Level, _: i32, text: &str) {
        if let Some(conn) = self.0.upgrade() {
            // A line that cannot be published is left out.
            let _ = conn.log_line(&LogLine { fd: 2, level: level as i32, data: text.as_bytes() });
        }
    }
}
