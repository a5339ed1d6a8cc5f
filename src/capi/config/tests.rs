//! The C interface of the configuration, called as C calls it. These tests run under Miri.

use core::ffi::{CStr, c_char, c_int};
use core::mem::{MaybeUninit, offset_of};
use core::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::system;
use crate::capi::base::boundary::call_error;
use crate::capi::config::c_struct::{self, Slot, profile_from_c, slots};
use crate::capi::mgos_config::*;
use crate::capi::mgos_sys_config::*;
use crate::capi::types::mgos_config::*;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_sys_config::*;
use crate::config::schema::{FIELDS, Fallback, Field};
use crate::config::{ConfigError, Profile, Section, SectionId};
use crate::error::Code;

/// The system configuration is one for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let empty = c_struct::defaults();
    for id in SectionId::ALL {
        for (field, slot) in Field::ALL.into_iter().zip(slots(&mut empty.clone())) {
            let (section, field) = (id as c_int, field as c_int);
            match slot {
                Slot::Int(v) => mgos_sys_config_write_int(section, field, *v),
                Slot::Double(v) => mgos_sys_config_write_double(section, field, *v),
                // SAFETY: a default.
                Slot::Text(v) => unsafe { mgos_sys_config_write_string(section, field, *v) },
            }
        }
    }
    for unset in [
        mgos_sys_config_set_device_id,
        mgos_sys_config_set_debug_stdout_topic,
        mgos_sys_config_set_debug_stderr_topic,
    ] {
        // SAFETY: NULL is allowed.
        unsafe { unset(ptr::null()) };
    }
    guard
}

fn mg(text: &str) -> mg_str {
    mg_str { p: text.as_ptr().cast(), len: text.len() }
}

/// A C string as Rust sees it.
fn text(s: *const c_char) -> Option<&'static str> {
    // SAFETY: the tests pass NULL or C strings that live long enough for the comparison.
    (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_str().unwrap())
}

/// A string that the caller owns, taken and released.
fn take(s: *mut c_char) -> Option<String> {
    let copy = text(s).map(str::to_owned);
    // SAFETY: malloc's, and used nowhere else.
    unsafe { libc::free(s.cast()) };
    copy
}

fn parsed(json: &str) -> Result<mgos_config_mqtt, String> {
    let mut cfg = MaybeUninit::uninit();
    let mut err = [1 as c_char; 200];
    // SAFETY: all pointers are to local memory of the given size.
    let done = unsafe {
        mgos_config_mqtt_parse_ex(
            json.as_ptr().cast(),
            json.len(),
            cfg.as_mut_ptr(),
            err.as_mut_ptr(),
            err.len(),
        )
    };
    let err = text(err.as_ptr()).unwrap().to_owned();
    assert_eq!(done, err.is_empty());
    assert_eq!(done, call_error() == 0);
    // SAFETY: filled in any case.
    let mut cfg = unsafe { cfg.assume_init() };
    if done {
        return Ok(cfg);
    }
    // SAFETY: filled by parse.
    let section = unsafe { c_struct::to_section(&cfg) }.unwrap();
    assert_eq!(section, Section::default(), "after an error there are the defaults");
    // SAFETY: filled by parse.
    unsafe { mgos_config_mqtt_free(&raw mut cfg) };
    Err(err)
}

fn free(mut cfg: mgos_config_mqtt) {
    // SAFETY: the tests pass what parse and copy filled.
    unsafe { mgos_config_mqtt_free(&raw mut cfg) };
    assert_eq!(text(cfg.ws_path), None);
    // SAFETY: a second time is allowed.
    unsafe { mgos_config_mqtt_free(&raw mut cfg) };
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_struct_is_that_of_mongoose_os() {
    macro_rules! offsets {
        ($($field:ident)*) => { [$((stringify!($field), offset_of!(mgos_config_mqtt, $field)),)*] };
    }
    let offsets = offsets!(enable server client_id user pass reconnect_timeout_min reconnect_timeout_max
        ssl_cert ssl_key ssl_ca_cert ssl_cipher_suites ssl_psk_identity ssl_psk_key clean_session keep_alive
        will_topic will_message will_retain max_qos recv_mbuf_limit require_time cloud_events
        max_queue_length ws_enable ws_path debug_use_log_level);
    // The layout that a C compiler gives to the table of the schema.
    let mut end = 0;
    let table = FIELDS.each_ref().map(|field| {
        let size = if matches!(field.default, Fallback::Bool(_) | Fallback::Int(_)) { 4 } else { 8 };
        let offset: usize = usize::next_multiple_of(end, size);
        end = offset + size;
        (field.key, offset)
    });
    assert_eq!(offsets, table);
    assert_eq!((end.next_multiple_of(8), size_of::<mgos_config_mqtt>()), (176, 176));
}

#[test]
fn the_slots_follow_the_schema() {
    let mut cfg = c_struct::zero();
    let start = ptr::from_ref(&cfg).addr();
    let mut last = None;
    for (slot, field) in slots(&mut cfg).into_iter().zip(&FIELDS) {
        let (here, fits) = match slot {
            Slot::Int(p) => {
                (ptr::from_ref(p).addr(), matches!(field.default, Fallback::Bool(_) | Fallback::Int(_)))
            }
            Slot::Double(p) => (ptr::from_ref(p).addr(), matches!(field.default, Fallback::Double(_))),
            Slot::Text(p) => (ptr::from_ref(p).addr(), matches!(field.default, Fallback::Text(_))),
        };
        assert!(fits, "{}", field.key);
        // In the order of the fields, so each slot is that of its name.
        assert!(last.is_none_or(|last| last < here - start), "{}", field.key);
        last = Some(here - start);
    }
}

#[test]
fn defaults() {
    let mut cfg = MaybeUninit::uninit();
    // SAFETY: local memory.
    unsafe { mgos_config_mqtt_set_defaults(cfg.as_mut_ptr()) };
    // SAFETY: just written.
    let cfg = unsafe { cfg.assume_init() };
    assert_eq!(text(cfg.ws_path), Some("/mqtt"));
    assert!(mgos_config_is_default_str(cfg.ws_path));
    assert!(!mgos_config_is_default_str(c"/mqtt ".as_ptr()));
    assert!(!mgos_config_is_default_str(ptr::null()));
    assert_eq!((cfg.keep_alive, cfg.max_queue_length, cfg.recv_mbuf_limit), (60, 1024, 4 << 20));
    assert_eq!((cfg.reconnect_timeout_min, cfg.reconnect_timeout_max), (2.0, 60.0));
    // SAFETY: a configuration.
    assert_eq!(unsafe { profile_from_c(&raw const cfg) }, Ok(Profile::default()));
    assert!(!c_struct::is_all_zero(&cfg) && c_struct::is_all_zero(&c_struct::zero()));
    assert!(!c_struct::is_all_zero(&mgos_config_mqtt { debug_use_log_level: 1, ..c_struct::zero() }));
    free(cfg);
}

#[test]
fn a_zeroed_struct_is_used_as_written() {
    // SAFETY: a configuration.
    let profile = unsafe { profile_from_c(&c_struct::zero()) }.unwrap();
    assert!(!profile.enable && !profile.clean_session && !profile.cloud_events);
    assert_eq!((profile.keep_alive, profile.max_qos, profile.max_queue_length), (0, Some(0), 0));
    assert_eq!(profile.ws_path, None);
}

#[test]
fn parse_copy_and_free() {
    let cfg = parsed(r#"{"server": "h:1", "pass": "secret", "enable": true, "ws_path": ""}"#).unwrap();
    assert_eq!((text(cfg.server), text(cfg.pass), text(cfg.ws_path)), (Some("h:1"), Some("secret"), None));
    let mut copy = MaybeUninit::uninit();
    // SAFETY: local memory.
    assert!(unsafe { mgos_config_mqtt_copy(&raw const cfg, copy.as_mut_ptr()) });
    // SAFETY: just written.
    let mut copy = unsafe { copy.assume_init() };
    assert_ne!(cfg.server, copy.server);
    // SAFETY: a configuration onto itself.
    assert!(unsafe { mgos_config_mqtt_copy(&raw const copy, &raw mut copy) });
    free(cfg);
    assert_eq!((text(copy.server), copy.enable), (Some("h:1"), 1));
    free(copy);
    // A default stays itself.
    let cfg = parsed(r#"{"ws_path": "/mqtt"}"#).unwrap();
    assert!(mgos_config_is_default_str(cfg.ws_path));
    free(cfg);
}

#[test]
fn errors_of_a_text() {
    assert_eq!(
        parsed("{\n\"keep_alive\": \"60\"}").err().as_deref(),
        Some("keep_alive: expected a number, found a string (line 2, column 18)")
    );
    let mut err = [1 as c_char; 6];
    let mut cfg = c_struct::zero();
    // SAFETY: local memory.
    assert!(!unsafe {
        mgos_config_mqtt_parse_ex(c"[]".as_ptr(), 2, &raw mut cfg, err.as_mut_ptr(), err.len())
    });
    assert_eq!(text(err.as_ptr()), Some("expec"));
    // SAFETY: NULL with length 0 is an empty text, NULL with a length is an error.
    assert!(!unsafe { mgos_config_mqtt_parse(mg_str { p: ptr::null(), len: 0 }, &raw mut cfg) });
    assert_eq!(call_error(), Code::BadConfig.number());
    // SAFETY: as above.
    assert!(!unsafe { mgos_config_mqtt_parse(mg_str { p: ptr::null(), len: 1 }, &raw mut cfg) });
    assert_eq!(call_error(), Code::NullArgument.number());
}

#[test]
fn null_is_an_error_and_no_crash() {
    let cfg = c_struct::defaults();
    let null = ptr::null_mut();
    // SAFETY: every function says that it takes NULL.
    unsafe {
        mgos_config_mqtt_set_defaults(null);
        assert_eq!(call_error(), Code::NullArgument.number());
        mgos_config_mqtt_free(null);
        assert!(!mgos_config_mqtt_parse(mg("{}"), null));
        assert!(!mgos_config_mqtt_parse_f(c"/nowhere".as_ptr(), null));
        assert!(!mgos_config_mqtt_parse_f(ptr::null(), &mut cfg.clone()));
        assert!(!mgos_config_mqtt_copy(ptr::null(), null));
        assert!(!mgos_config_mqtt_copy(&raw const cfg, null));
        assert!(!mgos_config_mqtt_emit_f(ptr::null(), true, c"/nowhere".as_ptr()));
        assert!(!mgos_config_mqtt_emit_f(&raw const cfg, true, ptr::null()));
        assert!(mgos_config_mqtt_to_json(ptr::null(), true, true).is_null());
        assert_eq!(call_error(), Code::NullArgument.number());
        assert!(!mgos_sys_config_get(mg("mqtt.server"), ptr::null_mut()));
        assert!(!mgos_config_apply(ptr::null(), false));
        assert_eq!(profile_from_c(ptr::null()).map_err(|e| e.code), Err(Code::NullArgument));
    }
}

#[test]
fn json_and_back() {
    let cfg = parsed(r#"{"user": "u\"\n", "pass": "secret", "reconnect_timeout_min": 0.1}"#).unwrap();
    // SAFETY: a configuration.
    let public = take(unsafe { mgos_config_mqtt_to_json(&raw const cfg, true, false) }).unwrap();
    assert!(!public.contains("secret") && public.contains("  \"pass\": \"***\",\n"), "{public}");
    // SAFETY: a configuration.
    let json = take(unsafe { mgos_config_mqtt_to_json(&raw const cfg, false, true) }).unwrap();
    let again = parsed(&json).unwrap();
    // SAFETY: configurations.
    let sections = unsafe { (c_struct::to_section(&cfg), c_struct::to_section(&again)) };
    assert_eq!(sections.0, sections.1);
    free(cfg);
    free(again);
    let mut bad = c_struct::defaults();
    bad.reconnect_timeout_max = f64::NAN;
    // SAFETY: a configuration.
    assert_eq!(take(unsafe { mgos_config_mqtt_to_json(&raw const bad, true, true) }), None);
    assert_eq!(call_error(), Code::BadConfig.number());
}

#[test]
#[cfg_attr(miri, ignore = "renames files")]
fn files() {
    let dir = std::env::temp_dir().join(format!("mgos_config_{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("conf.json");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let cfg = parsed(r#"{"server": "h", "pass": "secret"}"#).unwrap();
    for _ in 0..2 {
        // SAFETY: a configuration and a C string.
        assert!(unsafe { mgos_config_mqtt_emit_f(&raw const cfg, true, name.as_ptr()) });
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
    let mut again = c_struct::zero();
    // SAFETY: a C string and local memory.
    assert!(unsafe { mgos_config_mqtt_parse_f(name.as_ptr(), &raw mut again) });
    assert_eq!((text(again.server), text(again.pass)), (Some("h"), Some("secret")));
    free(cfg);
    free(again);
    let cfg = c_struct::defaults();
    // SAFETY: a configuration and C strings.
    unsafe {
        assert!(mgos_config_mqtt_emit_f(&raw const cfg, false, c"/dev/null".as_ptr()));
        assert!(!mgos_config_mqtt_emit_f(&raw const cfg, false, c"/nowhere/at/all".as_ptr()));
        assert!(!mgos_config_mqtt_emit_f(&raw const cfg, false, c"".as_ptr()));
    }
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    // SAFETY: a C string and local memory.
    assert!(!unsafe { mgos_config_mqtt_parse_f(name.as_ptr(), &raw mut again) });
    assert_eq!(call_error(), Code::TooLarge.number());
    std::fs::remove_dir_all(&dir).unwrap();
    // SAFETY: a C string and local memory.
    assert!(!unsafe { mgos_config_mqtt_parse_f(name.as_ptr(), &raw mut again) });
    assert_eq!(call_error(), Code::IoFailed.number());
}

#[test]
fn strings_that_are_not_utf8() {
    let cfg = mgos_config_mqtt {
        user: c"u".as_ptr(),
        pass: c"\xff\x01".as_ptr(),
        will_topic: c"t".as_ptr(),
        will_message: c"\xfe".as_ptr(),
        ..c_struct::defaults()
    };
    // SAFETY: a configuration.
    let profile = unsafe { profile_from_c(&raw const cfg) }.unwrap();
    assert_eq!(profile.pass.as_deref().map(Vec::as_slice), Some(&b"\xff\x01"[..]));
    assert_eq!(profile.will.map(|will| will.payload), Some(b"\xfe".to_vec()));
    let cfg = mgos_config_mqtt { user: c"u\xff".as_ptr(), ..cfg };
    // SAFETY: a configuration.
    let error = unsafe { profile_from_c(&raw const cfg) }.unwrap_err();
    assert_eq!(
        (error.code, error.to_string()),
        (Code::BadUtf8, "user: not valid UTF-8 from byte 2 on".into())
    );
    // JSON is UTF-8, and a copy is of bytes.
    // SAFETY: a configuration.
    assert_eq!(take(unsafe { mgos_config_mqtt_to_json(&raw const cfg, false, true) }), None);
    assert_eq!(call_error(), Code::BadUtf8.number());
    let mut copy = c_struct::zero();
    // SAFETY: a configuration and local memory.
    assert!(unsafe { mgos_config_mqtt_copy(&raw const cfg, &raw mut copy) });
    free(copy);
}

#[test]
fn empty_strings_are_unset() {
    let cfg = mgos_config_mqtt {
        server: c"".as_ptr(),
        pass: c"".as_ptr(),
        will_topic: c"t".as_ptr(),
        will_message: c"".as_ptr(),
        ..c_struct::defaults()
    };
    // SAFETY: a configuration.
    let profile = unsafe { profile_from_c(&raw const cfg) }.unwrap();
    assert_eq!((profile.server, profile.pass, profile.will), (None, None, None));
}

#[test]
fn setters_and_getters_of_every_field() {
    let _alone = alone();
    let server = Field::Server as c_int;
    for id in SectionId::ALL {
        let section = id as c_int;
        for (field, info) in FIELDS.iter().enumerate() {
            let field = field as c_int;
            match info.default {
                Fallback::Bool(_) | Fallback::Int(_) => {
                    let default = mgos_sys_config_default_int(field);
                    assert_eq!(mgos_sys_config_read_int(section, field), default);
                    mgos_sys_config_write_int(section, field, default + 1 + section);
                    assert_eq!(mgos_sys_config_read_int(section, field), default + 1 + section);
                    assert!(mgos_sys_config_read_string(section, field).is_null());
                }
                Fallback::Double(_) => {
                    let default = mgos_sys_config_default_double(field);
                    assert_eq!(mgos_sys_config_read_double(section, field), default);
                    mgos_sys_config_write_double(section, field, default + 0.5);
                    assert_eq!(mgos_sys_config_read_double(section, field), default + 0.5);
                    assert_eq!(mgos_sys_config_read_int(section, field), 0);
                }
                Fallback::Text(default) => {
                    assert_eq!(
                        text(mgos_sys_config_default_string(field)),
                        default.map(|d| d.to_str().unwrap())
                    );
                    // SAFETY: a C string.
                    unsafe { mgos_sys_config_write_string(section, field, c"value".as_ptr()) };
                    assert_eq!(text(mgos_sys_config_read_string(section, field)), Some("value"));
                    assert_eq!(mgos_sys_config_read_double(section, field), 0.0);
                }
            }
        }
    }
    for (section, field) in [(2, server), (-1, server), (0, -1), (0, 26)] {
        assert!(mgos_sys_config_read_string(section, field).is_null());
        assert_eq!(call_error(), Code::BadArgument.number());
        mgos_sys_config_write_int(section, field, 1);
        assert_eq!(call_error(), Code::BadArgument.number());
    }
    assert!(mgos_sys_config_default_string(26).is_null());
    assert_eq!(mgos_sys_config_default_double(-1), 0.0);
}

#[test]
fn a_string_setter_copies_and_knows_its_own_pointer() {
    let _alone = alone();
    let server = Field::Server as c_int;
    let set = |v: *const c_char| {
        // SAFETY: NULL or a C string.
        unsafe { mgos_sys_config_write_string(MGOS_SYS_CONFIG_MQTT, server, v) };
        mgos_sys_config_read_string(MGOS_SYS_CONFIG_MQTT, server)
    };
    let first = set(c"abc".as_ptr());
    assert_eq!(text(first), Some("abc"));
    assert_eq!(set(first), first, "the same pointer changes nothing");
    // SAFETY: within the string.
    let tail = set(unsafe { first.add(1) });
    assert_eq!(text(tail), Some("bc"), "a part of the old string may be the new one");
    assert!(set(c"".as_ptr()).is_null());
    set(c"x".as_ptr());
    assert!(set(ptr::null()).is_null());
}

#[test]
fn live_references() {
    let _alone = alone();
    let (mqtt, mqtt1) = (mgos_sys_config_get_mqtt(), mgos_sys_config_get_mqtt1());
    assert_eq!(system::is_sys_pointer(mqtt), Some(SectionId::Mqtt));
    assert_eq!(system::is_sys_pointer(mqtt1), Some(SectionId::Mqtt1));
    assert_eq!(system::is_sys_pointer(&c_struct::zero()), None);
    assert_eq!(system::is_sys_pointer(ptr::null()), None);
    assert!(load(r#"{"mqtt": {"keep_alive": 5, "server": "a"}, "mqtt1": {"server": "b"}}"#).is_ok());
    // SAFETY: the test is alone.
    let (a, b) = unsafe { ((*mqtt).server, (*mqtt1).server) };
    assert_eq!((text(a), text(b)), (Some("a"), Some("b")));
    assert_eq!(
        system::snapshot(SectionId::Mqtt).map(|p| (p.keep_alive, p.server)),
        Ok((5, Some("a".into())))
    );
    mgos_sys_config_write_int(MGOS_SYS_CONFIG_MQTT1, Field::KeepAlive as c_int, 70_000);
    let error: ConfigError = system::snapshot(SectionId::Mqtt1).unwrap_err();
    assert_eq!(error.to_string(), "mqtt1.keep_alive: 70000 is not between 0 and 65535");
}

fn load(json: &str) -> Result<(), String> {
    let mut err = [1 as c_char; 200];
    // SAFETY: local memory of the given sizes.
    let done =
        unsafe { mgos_sys_config_load_json(json.as_ptr().cast(), json.len(), err.as_mut_ptr(), err.len()) };
    let err = text(err.as_ptr()).unwrap().to_owned();
    assert_eq!(done, err.is_empty());
    if done { Ok(()) } else { Err(err) }
}

#[test]
fn a_text_is_loaded_whole_or_not_at_all() {
    let _alone = alone();
    assert_eq!(
        load("{\"device\": {\"id\": \"d\"}, \"mqtt\": {\"server\": \"a\", \"keep_alive\": -1}}").unwrap_err(),
        "mqtt.keep_alive: -1 is not between 0 and 65535 (line 1, column 64)"
    );
    assert_eq!(system::device_id(), Ok(None));
    assert_eq!(load("{\"app\": 1}"), Ok(()));
    load(r#"{"device": {"id": "d"}, "debug": {"stdout_topic": "/o", "stderr_topic": "/e"}}"#).unwrap();
    assert_eq!(system::device_id(), Ok(Some("d".into())));
    assert_eq!(text(mgos_sys_config_get_device_id()), Some("d"));
    assert_eq!(text(mgos_sys_config_get_debug_stdout_topic()), Some("/o"));
    assert_eq!(text(mgos_sys_config_get_debug_stderr_topic()), Some("/e"));
    // SAFETY: a C string.
    unsafe { mgos_sys_config_set_device_id(c"\xff".as_ptr()) };
    assert_eq!(system::device_id().unwrap_err().to_string(), "device.id: not valid UTF-8 from byte 1 on");
    assert_eq!(take(mgos_sys_config_to_json(false, true)), None);
}

#[test]
fn apply_refuses_to_save() {
    let _alone = alone();
    let json = c"{\"mqtt\": {\"enable\": true}}";
    let enabled = || mgos_sys_config_read_int(MGOS_SYS_CONFIG_MQTT, Field::Enable as c_int);
    // SAFETY: a C string.
    assert!(!unsafe { mgos_config_apply(json.as_ptr(), true) });
    assert_eq!((call_error(), enabled()), (Code::NotBuilt.number(), 0));
    // SAFETY: a C string.
    assert!(unsafe { mgos_config_apply(json.as_ptr(), false) });
    assert_eq!(enabled(), 1);
}

#[test]
fn the_whole_as_json() {
    let guard = alone();
    load(r#"{"mqtt": {"server": "a", "pass": "p"}, "device": {"id": "d"}}"#).unwrap();
    let json = take(mgos_sys_config_to_json(false, true)).unwrap();
    assert!(!take(mgos_sys_config_to_json(false, false)).unwrap().contains("\"p\""));
    drop(guard);
    let _alone = alone();
    assert_eq!(system::device_id(), Ok(None));
    load(&json).unwrap();
    assert_eq!(take(mgos_sys_config_to_json(false, true)), Some(json));
}

#[test]
fn dotted_names() {
    let _alone = alone();
    let get = |key: &str| {
        let mut v = mg_str { p: key.as_ptr().cast(), len: 9 };
        // SAFETY: local memory.
        let done = unsafe { mgos_sys_config_get(mg(key), &raw mut v) };
        assert_eq!(done, !v.p.is_null());
        let text = take(v.p.cast_mut());
        assert_eq!(v.len, text.as_ref().map_or(0, String::len));
        text
    };
    // SAFETY: Rust strings with their length.
    let set = |key: &str, v: &str| unsafe { mgos_sys_config_set(mg(key), mg(v), true) };
    for (key, v) in [
        ("mqtt.server", "h:1"),
        ("mqtt1.enable", "true"),
        ("mqtt.keep_alive", "7"),
        ("mqtt.reconnect_timeout_min", "0.500000"),
        ("device.id", "d"),
        ("debug.stdout_topic", ""),
    ] {
        assert!(set(key, v), "{key}");
        assert_eq!(get(key).as_deref(), Some(v), "{key}");
    }
    assert!(set("mqtt1", "{\"server\": \"x\"}"));
    assert!(get("mqtt1").unwrap().starts_with("{\"enable\":true,\"server\":\"x\","));
    for (key, v, code) in [
        ("mqtt.nothing", "1", Code::NotFound),
        ("", "1", Code::NotFound),
        ("mqtt.keep_alive", "x", Code::BadConfig),
        ("mqtt.keep_alive", "65536", Code::BadConfig),
        ("mqtt", "{\"sever\": \"x\"}", Code::BadConfig),
        ("mqtt.server", "a\0b", Code::BadConfig),
    ] {
        assert!(!set(key, v), "{key}");
        assert_eq!(call_error(), code.number(), "{key}");
    }
    assert_eq!(get("mqtt.nothing"), None);
}

#[test]
fn an_old_string_can_be_kept() {
    let _alone = alone();
    load(r#"{"device": {"id": "old"}}"#).unwrap();
    let old = mgos_sys_config_get_device_id();
    // SAFETY: Rust strings with their length.
    assert!(unsafe { mgos_sys_config_set(mg("device.id"), mg("new"), false) });
    assert_eq!((text(old), text(mgos_sys_config_get_device_id())), (Some("old"), Some("new")));
    // SAFETY: the configuration gave it up.
    unsafe { libc::free(old.cast_mut().cast()) };
}

#[test]
fn threads() {
    let _alone = alone();
    let rounds = if cfg!(miri) { 5 } else { 500 };
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || {
                for i in 0..rounds {
                    load(&format!(
                        "{{\"mqtt\": {{\"server\": \"h{n}:{}\", \"user\": \"h{n}:{}\"}}}}",
                        i + 1,
                        i + 1
                    ))
                    .unwrap();
                    let seen = system::snapshot(SectionId::Mqtt).unwrap();
                    assert_eq!(seen.server, seen.user, "a text is applied at once");
                }
            });
        }
    });
}
