//! Everything that a configuration text can say.

use super::key::{Change, Key};
use super::schema::{Section, SectionId, Value};

/// The system configuration, as owned data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The server profiles, in the order of [`SectionId::ALL`].
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
    pub fn apply(&mut self, changes: &[Change]) {
        for (id, section) in SectionId::ALL.into_iter().zip(&mut self.sections) {
            section.apply(id, changes);
        }
        for Change { key, value } in changes {
            let Value::Text(text) = value else { continue };
            let place = match key {
                Key::StdoutTopic => &mut self.stdout_topic,
                Key::StderrTopic => &mut self.stderr_topic,
                Key::DeviceId => &mut self.device_id,
                Key::Profile(..) => continue,
            };
            place.clone_from(text);
        }
    }
}
