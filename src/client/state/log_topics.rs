//! Topics for log lines.

/// From this many unsent bytes on, lines are left out; as in Mongoose OS.
pub const DEFAULT_THRESHOLD: usize = 2048;

/// Where the lines of a connection go.
#[derive(Clone, Debug)]
pub struct LogTopics {
    /// Lines with file descriptor 1.
    pub stdout: Option<String>,
    /// Lines with file descriptor 2, and the library's own.
    pub stderr: Option<String>,
    /// With so many unsent bytes a line is left out.
    pub threshold: usize,
}

/// Kept by a connection that has topics.
pub(in crate::client) struct LogState {
    pub(in crate::client) topics: LogTopics,
    /// Counts every line, also one that is left out: a reader sees the gap.
    pub(in crate::client) lines: u64,
}

/// A line that is to be published.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// 1 or 2: standard output or standard error.
    pub fd: i32,
    /// How important it is; stands in the line instead of `fd` if the configuration says so.
    pub level: i32,
    /// The line.
    pub data: &'a [u8],
}

#[cfg(feature = "capi")]
impl LogState {
    pub(in crate::client) fn topics(&self) -> &LogTopics {
        &self.topics
    }
}
