//! The formatted publish, through the exported functions, as C calls them.

use core::ffi::{c_char, c_int};
use core::ptr;

use super::format::FormatError;
use super::publish::mgos_mqtt_conn;
use super::publish::recorder::{Published, error, published};
use crate::capi::types::mgos_json::json_out;
use crate::error::Code;

#[allow(improper_ctypes, reason = "handles are opaque to C")]
unsafe extern "C" {
    fn mgos_mqtt_pubf(topic: *const c_char, qos: c_int, retain: bool, fmt: *const c_char, ...) -> u16;
    fn mgos_mqtt_conn_pubf(
        conn: *mut mgos_mqtt_conn,
        topic: *const c_char,
        qos: c_int,
        retain: bool,
        fmt: *const c_char,
        ...
    ) -> u16;
}

const TOPIC: &core::ffi::CStr = c"home/lamp";

fn sent(conn: usize, payload: &[u8], qos: c_int, retain: bool) -> Vec<Published> {
    vec![Published { conn, topic: "home/lamp".into(), payload: payload.to_vec(), qos, retain }]
}

#[test]
fn the_formatted_bytes_are_published_with_everything_beside_them() {
    // SAFETY: a topic, a format and arguments of its types.
    let id = unsafe {
        let text = c"x".as_ptr();
        mgos_mqtt_pubf(TOPIC.as_ptr(), 1, true, c"{a: %d, b: %Q, c: %g}".as_ptr(), 1, text, 0.5f64)
    };
    assert_eq!((id, published()), (4711, sent(0, br#"{"a": 1, "b": "x", "c": 0.5}"#, 1, true)));
    let conn = ptr::without_provenance_mut(0x1000);
    // SAFETY: as above; the recorder does not look into the connection.
    let id =
        unsafe { mgos_mqtt_conn_pubf(conn, TOPIC.as_ptr(), 2, false, c"%f %lld".as_ptr(), 1.5f64, -1i64) };
    assert_eq!((id, published()), (4711, sent(0x1000, b"1.500000 -1", 2, false)));
    // SAFETY: as above.
    let id = unsafe { mgos_mqtt_pubf(TOPIC.as_ptr(), 0, false, c"%s".as_ptr(), c"".as_ptr()) };
    assert_eq!((id, published()), (4711, sent(0, b"", 0, false)));
    assert_eq!(error(), None);
}

#[test]
fn more_doubles_than_registers() {
    // SAFETY: the arguments have the format's types.
    unsafe {
        mgos_mqtt_pubf(
            TOPIC.as_ptr(),
            0,
            false,
            c"%g,%d,%g,%ld,%g,%g,%g,%g,%g,%g,%g,%d,%g,%s".as_ptr(),
            0.5f64,
            1i32,
            1.5f64,
            2 as core::ffi::c_long,
            2.5f64,
            3.5f64,
            4.5f64,
            5.5f64,
            6.5f64,
            7.5f64,
            8.5f64,
            3i32,
            9.5f64,
            c"z".as_ptr(),
        )
    };
    let expected = b"0.5,1,1.5,2,2.5,3.5,4.5,5.5,6.5,7.5,8.5,3,9.5,z";
    assert_eq!(published(), sent(0, expected, 0, false));
}

#[test]
fn what_cannot_be_formatted_is_not_published() {
    let (topic, null) = (TOPIC.as_ptr(), ptr::null::<c_char>());
    let refused = |id: u16, code: Code, offset: usize, len: usize| {
        assert_eq!((id, published()), (0, vec![]));
        assert_eq!(error(), Some(FormatError { code, offset, len }));
    };
    // SAFETY: each is refused before an argument is read, or has the arguments of its format.
    unsafe {
        refused(mgos_mqtt_pubf(topic, 0, false, c"a%i".as_ptr(), 1i32), Code::BadFormat, 1, 2);
        refused(mgos_mqtt_pubf(topic, 0, false, c"".as_ptr()), Code::BadArgument, 0, 0);
        refused(mgos_mqtt_pubf(topic, 0, false, null), Code::NullArgument, 0, 0);
        refused(mgos_mqtt_pubf(null, 0, false, c"a".as_ptr()), Code::NullArgument, 0, 0);
        refused(
            mgos_mqtt_conn_pubf(ptr::null_mut(), topic, 0, false, c"a".as_ptr()),
            Code::NullArgument,
            0,
            0,
        );
        refused(mgos_mqtt_pubf(topic, 0, false, c"%H".as_ptr(), -1i32, topic), Code::BadArgument, 0, 2);
        refused(mgos_mqtt_pubf(topic, 0, false, c"%268435456d".as_ptr(), 1i32), Code::TooLarge, 0, 11);
    }
}

/// Stops half-way and throws the error away.
unsafe extern "C" fn careless(out: *mut json_out, _list: *mut core::ffi::c_void) -> c_int {
    unsafe extern "C" {
        fn mgos_json_printf(out: *mut json_out, fmt: *const c_char, ...) -> c_int;
    }
    // SAFETY: `out` is the publish's.
    assert_eq!(unsafe { mgos_json_printf(out, c"%d %H".as_ptr(), 1i32, -1i32, ptr::null::<c_char>()) }, -1);
    0
}

#[test]
fn a_failure_inside_of_a_printer_refuses_the_publish_even_if_it_is_ignored() {
    let printer: unsafe extern "C" fn(*mut json_out, *mut core::ffi::c_void) -> c_int = careless;
    // SAFETY: a function for %M.
    let id = unsafe { mgos_mqtt_pubf(TOPIC.as_ptr(), 0, false, c"{a: %M}".as_ptr(), printer) };
    assert_eq!((id, published()), (0, vec![]));
    assert_eq!(error().unwrap().code, Code::BadArgument);
}
