//! The process-wide system configuration: one lock, two structs that C may look at, three strings.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::ptr;

use super::c_text;
use crate::capi::config::c_struct::{self, Slot};
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::config::schema::{Field, Value};
use crate::config::text::{Unknown, parse_document, parse_value, parse_with_unknown};
use crate::config::{Change, ConfigError, Document, Key, Profile, SectionId};
use crate::error::Code;
use crate::sync::{Mutex, MutexGuard};

/// The structs. They stand beside the lock and not in it, because C is given their addresses.
struct Shared([UnsafeCell<mgos_config_mqtt>; 2]);

// SAFETY: this library touches them only with the lock; C reads them under the rules of the header.
unsafe impl Sync for Shared {}

static SECTIONS: Shared = Shared([UnsafeCell::new(c_struct::zero()), UnsafeCell::new(c_struct::zero())]);

pub(in crate::capi) static LOCK: Mutex<State> = Mutex::new(State {
    ready: false,
    stdout_topic: ptr::null(),
    stderr_topic: ptr::null(),
    device_id: ptr::null(),
});

/// What C does not see in place. The strings are C's, as those of the structs.
pub(in crate::capi) struct State {
    /// Whether the structs have their defaults: a `static` cannot hold them, because a default
    /// string is known by its address.
    ready: bool,
    stdout_topic: *const c_char,
    stderr_topic: *const c_char,
    device_id: *const c_char,
}

// SAFETY: the pointers are to memory that no thread owns.
unsafe impl Send for State {}

/// The system configuration, locked. Nothing that is called with it can panic half-way through a
/// change, so a poisoned lock is as good as another.
pub(in crate::capi) struct System(MutexGuard<'static, State>);

impl System {
    #[inline(never)]
    pub(in crate::capi) fn lock() -> System {
        let mut state = LOCK.lock();
        if !state.ready {
            for section in &SECTIONS.0 {
                // SAFETY: the lock is held, and no address was given out before this.
                unsafe { *section.get() = c_struct::defaults() };
            }
            state.ready = true;
        }
        System(state)
    }

    /// The address of a struct, the same for the life of the process.
    pub(in crate::capi) fn address(&self, id: SectionId) -> *const mgos_config_mqtt {
        SECTIONS.0[id as usize].get()
    }

    /// A copy of a struct whose strings are valid for as long as the lock is held.
    fn section(&self, id: SectionId) -> mgos_config_mqtt {
        // SAFETY: the lock is held.
        unsafe { *SECTIONS.0[id as usize].get() }
    }

    fn section_mut(&mut self, id: SectionId) -> &mut mgos_config_mqtt {
        // SAFETY: the lock is held, and `self` is borrowed for as long as the reference lives.
        unsafe { &mut *SECTIONS.0[id as usize].get() }
    }

    fn slot(&mut self, key: Key) -> Slot<'_> {
        match key {
            Key::Profile(id, field) => c_struct::slot(self.section_mut(id), field),
            Key::StdoutTopic => Slot::Text(&mut self.0.stdout_topic),
            Key::StderrTopic => Slot::Text(&mut self.0.stderr_topic),
            Key::DeviceId => Slot::Text(&mut self.0.device_id),
        }
    }

    /// A string; an error for a number.
    pub(in crate::capi) fn string(&mut self, key: Key) -> Result<*const c_char, Code> {
        match self.slot(key) {
            Slot::Text(text) => Ok(*text),
            Slot::Int(_) | Slot::Double(_) => Err(Code::BadArgument),
        }
    }

    /// A whole number or a flag.
    pub(in crate::capi) fn int(&mut self, key: Key) -> Result<c_int, Code> {
        match self.slot(key) {
            Slot::Int(number) => Ok(*number),
            Slot::Text(_) | Slot::Double(_) => Err(Code::BadArgument),
        }
    }

    /// A number.
    pub(in crate::capi) fn double(&mut self, key: Key) -> Result<f64, Code> {
        match self.slot(key) {
            Slot::Double(number) => Ok(*number),
            Slot::Text(_) | Slot::Int(_) => Err(Code::BadArgument),
        }
    }

    /// Sets a string to a copy of `text`; the pointer that is already there changes nothing. Without
    /// memory the old value stays.
    ///
    /// # Safety
    /// `text` is NULL or a C string, and `release_old` is false if the old one is not malloc's.
    pub(in crate::capi) unsafe fn set_string(
        &mut self,
        key: Key,
        text: *const c_char,
        release_old: bool,
    ) -> Result<(), Code> {
        let Slot::Text(place) = self.slot(key) else { return Err(Code::BadArgument) };
        if ptr::eq(*place, text) {
            return Ok(());
        }
        // Copied before the old one goes: `text` may point into it.
        // SAFETY: promised by the caller.
        let copy = unsafe { c_text::copy(text) }?;
        if release_old {
            // SAFETY: what this module stores is malloc's or a default.
            unsafe { c_text::free(place) };
        }
        *place = copy;
        Ok(())
    }

    /// Sets a whole number or a flag. Its range is checked when a connection uses it.
    pub(in crate::capi) fn set_int(&mut self, key: Key, number: c_int) -> Result<(), Code> {
        let Slot::Int(place) = self.slot(key) else { return Err(Code::BadArgument) };
        *place = number;
        Ok(())
    }

    /// Sets a number. Its range is checked when a connection uses it.
    pub(in crate::capi) fn set_double(&mut self, key: Key, number: f64) -> Result<(), Code> {
        let Slot::Double(place) = self.slot(key) else { return Err(Code::BadArgument) };
        *place = number;
        Ok(())
    }

    /// Applies all changes, or none if there is no memory.
    pub(in crate::capi) fn apply(&mut self, changes: &[Change], release_old: bool) -> Result<(), Code> {
        // First all that can fail.
        let mut strings = Strings(Vec::with_capacity(changes.len()));
        for change in changes {
            let text = match &change.value {
                Value::Text(Some(text)) => c_text::allocate(text.as_bytes())?,
                _ => ptr::null_mut(),
            };
            strings.0.push(text);
        }
        for (change, text) in changes.iter().zip(core::mem::take(&mut strings.0)) {
            match (self.slot(change.key), &change.value) {
                (Slot::Int(place), Value::Bool(flag)) => *place = (*flag).into(),
                (Slot::Int(place), Value::Int(number)) => *place = *number,
                (Slot::Double(place), Value::Double(number)) => *place = *number,
                (Slot::Text(place), Value::Text(_)) => {
                    if release_old {
                        // SAFETY: what this module stores is malloc's or a default.
                        unsafe { c_text::free(place) };
                    }
                    *place = text;
                }
                // A change has the type of its key; a text that was allocated was for a text.
                _ => {}
            }
        }
        Ok(())
    }

    /// Everything, as safe data.
    pub(in crate::capi) fn document(&mut self) -> Result<Document, ConfigError> {
        let mut sections = SectionId::ALL.map(|_| Default::default());
        for (id, section) in SectionId::ALL.into_iter().zip(&mut sections) {
            // SAFETY: the strings of the section are C strings, and the lock is held.
            *section =
                unsafe { c_struct::to_section(&self.section(id)) }.map_err(|e| e.in_section(id.name()))?;
        }
        Ok(Document {
            sections,
            stdout_topic: self.text(Key::StdoutTopic)?,
            stderr_topic: self.text(Key::StderrTopic)?,
            device_id: self.text(Key::DeviceId)?,
        })
    }

    /// A string as safe data.
    fn text(&mut self, key: Key) -> Result<Option<String>, ConfigError> {
        let text = self.string(key)?;
        // SAFETY: stored strings are C strings, and the lock is held.
        unsafe { c_text::utf8(&key.to_string(), text) }
    }
}

/// Strings that are released unless they found their place.
struct Strings(Vec<*mut c_char>);

impl Drop for Strings {
    fn drop(&mut self) {
        for text in &self.0 {
            // SAFETY: NULL, or allocated by malloc and stored nowhere.
            unsafe { libc::free(text.cast()) };
        }
    }
}

/// The value of a dotted key as text, as `mgos_sys_config_get` gives it: `mqtt` and `mqtt1` as JSON,
/// strings as their bytes.
pub(in crate::capi) fn value_of(name: &str) -> Result<Vec<u8>, ConfigError> {
    let mut system = System::lock();
    if let Some(id) = SectionId::ALL.into_iter().find(|id| id.name() == name) {
        let style = crate::config::Style { pretty: false, secrets: true };
        // SAFETY: the strings of the section are C strings, and the lock is held.
        let section = unsafe { c_struct::to_section(&system.section(id)) };
        let text = section.and_then(|section| section.to_json(style));
        return text.map(String::into_bytes).map_err(|e| e.in_section(name));
    }
    let key = Key::of_dotted(name).ok_or_else(|| unknown(name))?;
    let is_flag = matches!(key, Key::Profile(_, field) if field.info().is_flag());
    Ok(match system.slot(key) {
        Slot::Int(flag) if is_flag => if *flag != 0 { "true" } else { "false" }.into(),
        Slot::Int(number) => number.to_string().into_bytes(),
        // Mongoose OS prints `%lf`.
        Slot::Double(number) => format!("{number:.6}").into_bytes(),
        // SAFETY: stored strings are C strings, and the lock is held.
        Slot::Text(text) => unsafe { c_text::raw(*text) }.unwrap_or_default().to_vec(),
    })
}

/// Sets a dotted key from text, `mqtt` and `mqtt1` from JSON.
pub(in crate::capi) fn set_value(name: &str, value: &str, release_old: bool) -> Result<(), ConfigError> {
    let changes = match SectionId::ALL.into_iter().find(|id| id.name() == name) {
        Some(id) => {
            let fields = crate::config::text::parse_section(value.as_bytes());
            let change = |(field, value)| Change { key: Key::Profile(id, field), value };
            fields.map_err(|e| e.in_section(name))?.into_iter().map(change).collect()
        }
        None => {
            let key = Key::of_dotted(name).ok_or_else(|| unknown(name))?;
            vec![Change { key, value: parse_value(key, value)? }]
        }
    };
    Ok(System::lock().apply(&changes, release_old)?)
}

fn unknown(name: &str) -> ConfigError {
    ConfigError::new(name, "there is no such field").with_code(Code::NotFound)
}

/// Applies a text with sections; all of it, or nothing.
pub(in crate::capi) fn load(json: &[u8]) -> Result<(), ConfigError> {
    // Parsed before locking: it takes the longest.
    let changes = parse_document(json)?;
    Ok(System::lock().apply(&changes, true)?)
}

/// As [`load`]; what is not known is given back.
pub(in crate::capi) fn load_with_unknown(json: &[u8]) -> Result<Vec<Unknown>, ConfigError> {
    let (changes, unknown) = parse_with_unknown(json)?;
    if let Some(Unknown { name, .. }) = unknown.iter().find(|unknown| unknown.name.contains('\0')) {
        let problem = "unknown key whose name has U+0000, with which no name of C can be handed over";
        return Err(ConfigError::new(name.replace('\0', "\\u0000"), problem));
    }
    System::lock().apply(&changes, true)?;
    Ok(unknown)
}

/// The profile of a section as it is now: what a connection with a live reference takes at each
/// connect. Errors name the section.
pub(crate) fn snapshot(id: SectionId) -> Result<Profile, ConfigError> {
    let system = System::lock();
    let section = system.section(id);
    // SAFETY: the strings of the section are C strings, and the lock is held.
    unsafe { c_struct::profile_from_c(&raw const section) }.map_err(|e| e.in_section(id.name()))
}

/// The section that this pointer is a live reference to: what `mgos_sys_config_get_mqtt()` and
/// `mgos_sys_config_get_mqtt1()` returned.
pub(crate) fn is_sys_pointer(cfg: *const mgos_config_mqtt) -> Option<SectionId> {
    SectionId::ALL.into_iter().find(|id| ptr::eq(SECTIONS.0[*id as usize].get(), cfg))
}

/// The device id, the client id of profiles that have none.
pub(crate) fn device_id() -> Result<Option<String>, ConfigError> {
    System::lock().text(Key::DeviceId)
}

/// The topics of log lines: of standard output, and of standard error.
pub(in crate::capi) fn log_topics() -> Result<(Option<String>, Option<String>), ConfigError> {
    let mut system = System::lock();
    Ok((system.text(Key::StdoutTopic)?, system.text(Key::StderrTopic)?))
}

/// The key that C names by two numbers.
pub(in crate::capi) fn key(section: c_int, field: c_int) -> Result<Key, Code> {
    let id = SectionId::ALL.into_iter().find(|id| *id as c_int == section);
    match (id, Field::of_number(field)) {
        (Some(id), Some(field)) => Ok(Key::Profile(id, field)),
        _ => Err(Code::BadArgument),
    }
}
