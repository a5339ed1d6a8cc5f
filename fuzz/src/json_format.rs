//! Format strings, with arguments that fit them: what is refused prints nothing and reads no argument, what is printed
//! is counted, cut and allocated alike, and a text that was escaped is read as what it was.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use mgos_mqtt::capi::mgos_json::{mgos_json_escape, mgos_json_printer_buf};
use mgos_mqtt::capi::types::mgos_json::{json_out, json_out_buf, json_out_u};
use mgos_mqtt::config::schema::Value;
use mgos_mqtt::config::text::parse_document;

use super::input::Input;

/// As C has it on the systems that this runs on.
#[allow(non_camel_case_types, reason = "the name that C has")]
type wchar_t = i32;

unsafe extern "C" {
    fn mgos_json_printf(out: *mut json_out, fmt: *const c_char, ...) -> c_int;
    fn mgos_json_asprintf(fmt: *const c_char, ...) -> *mut c_char;
    fn mgos_json_printf_array(out: *mut json_out, ap: *mut c_void) -> c_int;
    fn free(memory: *mut c_void);
}

/// A format string, what it is filled with, and a text to be escaped.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let fmt = input.bytes();
    if cfg!(all(unix, any(target_arch = "x86_64", target_arch = "aarch64"))) {
        format(fmt, &mut input);
    }
    escape(input.rest());
}

/// What a conversion takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Integer,
    Real,
    Text,
    /// A text of `wchar_t`.
    Wide,
    /// The length, then a text of at least that length.
    Cut,
    /// The length, then the bytes.
    Hex,
    /// The bytes, then their length.
    Base64,
    /// A function: json_printf_array() with its four arguments.
    Function,
}

/// What a format string takes, as the header says it; `None` if it is refused. It is more generous than the header
/// with flags, widths and precisions: the arguments are the same.
fn takes(fmt: &[u8]) -> Option<Vec<Takes>> {
    let mut all = Vec::new();
    let mut rest = fmt;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        rest = &rest[at + 1..];
        let wide = rest.iter().position(|byte| !b"-0123456789.*hlz".contains(byte))?;
        let (options, conversion) = (&rest[..wide], rest[wide]);
        rest = &rest[wide + 1..];
        let star = options.contains(&b'*');
        all.push(match conversion {
            b'%' if wide == 0 => continue,
            b'Q' | b's' if star => Takes::Cut,
            b's' if options.contains(&b'l') => Takes::Wide,
            b'Q' | b's' => Takes::Text,
            b'H' => Takes::Hex,
            b'V' => Takes::Base64,
            b'M' => Takes::Function,
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' => Takes::Real,
            b'B' | b'd' | b'u' | b'x' | b'c' => Takes::Integer,
            _ => return None,
        });
    }
    Some(all)
}

/// Arguments for `...`. In the calling conventions of 64-bit Unix integers and pointers form one sequence and numbers
/// with a point another, while there are at most eight of these: so one call fits every format string.
#[derive(Default)]
struct Arguments {
    words: Vec<u64>,
    reals: Vec<f64>,
    /// What the pointers point to.
    texts: Vec<CString>,
    wide: Vec<Box<[wchar_t]>>,
    arrays: Vec<Box<[i64]>>,
}

const WORDS: usize = 14;
const REALS: usize = 8;

impl Arguments {
    fn of(takes: &[Takes], input: &mut Input<'_>) -> Option<Arguments> {
        let mut all = Arguments::default();
        for &take in takes {
            all.add(take, input);
        }
        let fits = all.words.len() <= WORDS && all.reals.len() <= REALS;
        all.words.resize(WORDS, 0);
        all.reals.resize(REALS, 0.0);
        fits.then_some(all)
    }

    fn text(&mut self, input: &mut Input<'_>) -> (u64, u64) {
        let text: Vec<u8> = input.bytes().iter().copied().filter(|&byte| byte != 0).collect();
        let len = text.len() as u64;
        self.texts.push(CString::new(text).unwrap());
        (self.texts[self.texts.len() - 1].as_ptr() as u64, len)
    }

    fn add(&mut self, take: Takes, input: &mut Input<'_>) {
        let number = i64::from_ne_bytes([(); 8].map(|()| input.byte()));
        match take {
            Takes::Integer => self.words.push(number as u64),
            Takes::Real => self.reals.push(f64::from_bits(number as u64)),
            Takes::Text => {
                let text = self.text(input).0;
                self.words.push(if number == 0 { 0 } else { text });
            }
            Takes::Wide => {
                // Characters of every length in UTF-8, and numbers that are none.
                let spread = |&byte: &u8| wchar_t::from(byte).wrapping_mul(0x1234);
                let characters = input.bytes().iter().map(spread).filter(|&character| character != 0);
                self.wide.push(characters.chain([0]).collect());
                let text = self.wide[self.wide.len() - 1].as_ptr() as u64;
                self.words.push(if number == 0 { 0 } else { text });
            }
            Takes::Cut | Takes::Hex => {
                let (text, len) = self.text(input);
                // Sometimes one that is refused.
                let len = if number & 0xff == 0xff { u64::MAX } else { number as u64 % (len + 1) };
                self.words.extend([len, text]);
            }
            Takes::Base64 => {
                let (text, len) = self.text(input);
                self.words.extend([text, len]);
            }
            Takes::Function => {
                let elements: Box<[i64]> = vec![number; usize::from(input.below(4))].into();
                let formats = [c"%d", c"%lld", c"%x", c"%g", c"%B", c"%hhd", c"x%ux", c"%d %d", c"%H"];
                let size = input.one_of(&[1, 2, 4, 8]);
                self.words.push(mgos_json_printf_array as *const () as u64);
                self.words.extend([elements.as_ptr() as u64, size_of_val(&*elements) as u64, size]);
                self.words.push(input.one_of(&formats).as_ptr() as u64);
                self.arrays.push(elements);
            }
        }
    }
}

macro_rules! with_arguments {
    ($function:ident($($named:expr),*), $arguments:expr) => {{
        let (w, r) = (&$arguments.words, &$arguments.reals);
        // SAFETY: the arguments are what the format string takes, and live; see `Arguments`.
        unsafe {
            $function($($named,)* w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12],
                w[13], r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
        }
    }};
}

/// A number of more digits makes a text of megabytes, which only takes time.
fn is_wide(fmt: &[u8]) -> bool {
    fmt.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > 3)
}

fn format(fmt: &[u8], input: &mut Input<'_>) {
    let fmt = &fmt[..fmt.iter().position(|&byte| byte == 0).unwrap_or(fmt.len())];
    if is_wide(fmt) {
        return;
    }
    let text = CString::new(fmt).unwrap();
    let takes = takes(fmt);
    let Some(arguments) = Arguments::of(takes.as_deref().unwrap_or_default(), input) else { return };
    let mut whole = Buffer::new(1 << 16);
    let n = with_arguments!(mgos_json_printf(&mut whole.out(), text.as_ptr()), arguments);
    // SAFETY: from the library, or NULL.
    let allocated = with_arguments!(mgos_json_asprintf(text.as_ptr()), arguments);
    assert!(n >= 0 || allocated.is_null());
    assert!(takes.is_some() || n == -1, "a format that the header refuses");
    let Ok(n) = usize::try_from(n) else { return };
    if n < whole.bytes.len() {
        let printed = &whole.bytes[..n];
        assert_eq!(whole.bytes[n], 0);
        assert_eq!(allocated.is_null(), fmt.is_empty());
        if !allocated.is_null() {
            // SAFETY: as many bytes as were counted, and a NUL.
            let text = unsafe { std::slice::from_raw_parts(allocated.cast::<u8>(), n + 1) };
            assert_eq!(text, &whole.bytes[..=n]);
        }
        let room = usize::from(input.byte());
        let mut cut = Buffer::new(room);
        let again = with_arguments!(mgos_json_printf(&mut cut.out(), text.as_ptr()), arguments);
        assert_eq!(again, n as c_int);
        if let Some((&last, front)) = cut.bytes.split_last() {
            let fitting = n.min(front.len());
            assert_eq!((&front[..fitting], last == 0 || n < front.len()), (&printed[..fitting], true));
        }
    }
    // SAFETY: from the library's malloc().
    unsafe { free(allocated.cast()) };
}

struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    fn new(size: usize) -> Buffer {
        Buffer { bytes: vec![0xaa; size] }
    }

    fn out(&mut self) -> json_out {
        let buf = json_out_buf { buf: self.bytes.as_mut_ptr().cast(), size: self.bytes.len(), len: 0 };
        json_out { printer: Some(mgos_json_printer_buf), u: json_out_u { buf } }
    }
}

fn escape(text: &[u8]) {
    let mut buffer = Buffer::new(text.len() * 6 + 1);
    // SAFETY: the buffer and the text live.
    let n = unsafe { mgos_json_escape(&mut buffer.out(), text.as_ptr().cast(), text.len()) };
    assert!(n >= text.len() as c_int);
    // SAFETY: the printer ends it with a NUL.
    let escaped = unsafe { CStr::from_ptr(buffer.bytes.as_ptr().cast()) };
    assert_eq!(escaped.count_bytes(), n as usize);
    let escaped = escaped.to_str().expect("UTF-8");
    let read = parse_document(format!("{{\"device\": {{\"id\": \"{escaped}\"}}}}").as_bytes());
    match str::from_utf8(text) {
        Ok(text) if !text.contains('\0') => {
            let [change] = &read.expect("JSON")[..] else { panic!("one value") };
            assert!(change.value == Value::text(text), "{escaped}");
        }
        _ => {}
    }
}
