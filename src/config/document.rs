//! Everything that a configuration text can say.

use super::key::{Change, Key};
use super::schema::{Section, Value};

/// The system configuration, as owned data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The server profiles, in the order of [`SectionId`](super::SectionId).
    pub sections: [Section; 2],
    /// `debug.stdout_topic`.
    pub stdout_topic: Option<String>,
    /// `debug.stderr_topic`.
    pub stderr_topic: Option<String>,
    /// `device.id`.
    pub device_id: Option<String>,
}

impl Document {
    /// Applies changes, in their order.
    pub fn apply(&mut self, changes: Vec<Change>) {
        for Change { key, value } in changes {
            let place = match key {
                Key::Profile(id, field) => {
                    // Cannot fail: a change has the type of its key.
                    let _ = self.sections[id as usize].set(field, value);
                    continue;
                }
                Key::StdoutTopic => &mut self.stdout_topic,
                Key::StderrTopic => &mut self.stderr_topic,
                Key::DeviceId => &mut self.device_id,
            };
            if let Value::Text(text) = value {
                *place = text;
            }
        }
    }
}
