//! Numbers, byte for byte as C's `printf` writes them in the "C" locale. Nothing here asks the
//! process's locale, allocates, or loses a digit: Rust prints doubles exactly.

use core::fmt::{self, Write};

/// The longest text is `%f` of a denormal: 309 digits before the point, 1074 behind it.
const LONGEST: usize = 1400;
/// An integer without the zeros of its precision: 2^64 has 20 digits.
const LONGEST_INTEGER: usize = 20;
/// A double has no digit that is not zero beyond this one.
const MAX_FRACTION: usize = 1074;
/// A double has at most 767 significant digits.
const MAX_SIGNIFICANT: usize = 800;
/// `e-324`.
const LONGEST_EXPONENT: usize = 5;

/// The text of one number, in the parts that padding needs to tell apart.
pub(super) struct Number<const N: usize> {
    pub(super) negative: bool,
    /// Zeros between the sign and the body: the precision of an integer asked for them.
    pub(super) leading_zeros: usize,
    /// Zeros behind the body: the precision of a double asked for more than it has.
    pub(super) trailing_zeros: usize,
    /// The `0` flag applies (not to an integer with a precision, not to `inf`).
    pub(super) zero_pad: bool,
    body: Buffer<N>,
    /// Behind all zeros: the exponent of `%e`.
    exponent: Buffer<LONGEST_EXPONENT>,
}

impl<const N: usize> Number<N> {
    fn new(negative: bool) -> Number<N> {
        let (body, exponent) = (Buffer::new(), Buffer::new());
        Number { negative, leading_zeros: 0, trailing_zeros: 0, zero_pad: true, body, exponent }
    }

    /// The text without sign, padding and extra zeros.
    pub(super) fn body(&self) -> &[u8] {
        self.body.bytes()
    }

    /// What comes after the extra zeros.
    pub(super) fn exponent(&self) -> &[u8] {
        self.exponent.bytes()
    }

    /// In capital letters, for `%E`, `%F` and `%G`.
    pub(super) fn upper(mut self) -> Number<N> {
        self.body.bytes.make_ascii_uppercase();
        self.exponent.bytes.make_ascii_uppercase();
        self
    }
}

impl Number<LONGEST_INTEGER> {
    /// `%d`, `%u`: `None` is "no precision given".
    pub(super) fn decimal(
        negative: bool,
        magnitude: u64,
        precision: Option<usize>,
    ) -> Number<LONGEST_INTEGER> {
        Number::integer(negative, format_args!("{magnitude}"), magnitude, precision)
    }

    /// `%x`.
    pub(super) fn hex(magnitude: u64, precision: Option<usize>) -> Number<LONGEST_INTEGER> {
        Number::integer(false, format_args!("{magnitude:x}"), magnitude, precision)
    }

    fn integer(
        negative: bool,
        text: fmt::Arguments<'_>,
        magnitude: u64,
        precision: Option<usize>,
    ) -> Number<LONGEST_INTEGER> {
        let mut n = Number::new(negative);
        // C: a zero with precision 0 has no digits at all.
        if !(magnitude == 0 && precision == Some(0)) {
            n.body.put(text);
        }
        if let Some(precision) = precision {
            n.leading_zeros = precision.saturating_sub(n.body.bytes().len());
            n.zero_pad = false;
        }
        n
    }
}

impl Number<LONGEST> {
    /// `%f`.
    pub(super) fn fixed(value: f64, precision: Option<usize>) -> Number<LONGEST> {
        let mut n = Number::new(value.is_sign_negative());
        if n.put_not_finite(value) {
            return n;
        }
        let wanted = precision.unwrap_or(6);
        let exact = wanted.min(MAX_FRACTION);
        n.body.put(format_args!("{:.*}", exact, value.abs()));
        n.trailing_zeros = wanted - exact;
        n
    }

    /// `%e`.
    pub(super) fn scientific(value: f64, precision: Option<usize>) -> Number<LONGEST> {
        let mut n = Number::new(value.is_sign_negative());
        if n.put_not_finite(value) {
            return n;
        }
        let wanted = precision.unwrap_or(6);
        let exact = wanted.min(MAX_SIGNIFICANT - 1);
        let mut text = Buffer::<LONGEST>::new();
        text.put(format_args!("{:.*e}", exact, value.abs()));
        let (digits, exponent) = scientific_parts(&text);
        let (first, rest) = digits.bytes().split_at(1);
        n.body.push(first);
        if wanted > 0 {
            n.body.push(b".");
            n.body.push(rest);
        }
        n.trailing_zeros = wanted - exact;
        n.exponent.put(Exponent(exponent));
        n
    }

    /// `%g`.
    pub(super) fn shortest(value: f64, precision: Option<usize>) -> Number<LONGEST> {
        let mut n = Number::new(value.is_sign_negative());
        if n.put_not_finite(value) {
            return n;
        }
        let wanted = precision.unwrap_or(6).max(1);
        let mut text = Buffer::<LONGEST>::new();
        text.put(format_args!("{:.*e}", wanted.min(MAX_SIGNIFICANT) - 1, value.abs()));
        let (digits, exponent) = scientific_parts(&text);
        // `%g` writes no trailing zeros, so what is beyond MAX_SIGNIFICANT never shows.
        let digits = digits.trimmed();
        let digits = if digits.is_empty() { b"0" } else { digits };
        match usize::try_from(exponent) {
            Ok(point) if point < wanted => n.body.put_with_point(digits, point + 1),
            Err(_) if exponent >= -4 => {
                n.body.push(b"0.");
                n.body.push_zeros(exponent.unsigned_abs() as usize - 1);
                n.body.push(digits);
            }
            _ => {
                n.body.put_with_point(digits, 1);
                n.body.put(Exponent(exponent));
            }
        }
        n
    }

    fn put_not_finite(&mut self, value: f64) -> bool {
        if value.is_finite() {
            return false;
        }
        self.zero_pad = false;
        self.body.push(if value.is_nan() { b"nan" } else { b"inf" });
        true
    }
}

/// As C writes it: with a sign, and at least two digits.
struct Exponent(i32);

impl fmt::Display for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}{:02}", if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs())
    }
}

/// `d.ddde-XX` as its digits without the point, and the exponent.
fn scientific_parts<const N: usize>(text: &Buffer<N>) -> (Buffer<N>, i32) {
    let mut digits = Buffer::new();
    let mut exponent = 0i32;
    let mut in_exponent = false;
    let mut negative = false;
    for &byte in text.bytes() {
        match byte {
            b'e' => in_exponent = true,
            b'-' => negative = true,
            b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
            b'0'..=b'9' => digits.push(&[byte]),
            _ => {}
        }
    }
    (digits, if negative { -exponent } else { exponent })
}

/// A text on the stack. What does not fit is left out; the sizes are chosen so that all fits.
struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Buffer<N> {
    fn new() -> Buffer<N> {
        Buffer { bytes: [0; N], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, text: &[u8]) {
        let fits = text.len().min(N - self.len);
        debug_assert_eq!(fits, text.len());
        self.bytes[self.len..self.len + fits].copy_from_slice(&text[..fits]);
        self.len += fits;
    }

    fn push_zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    fn put(&mut self, text: impl fmt::Display) {
        // Cannot fail: `write_str` below never does.
        let _ = write!(self, "{text}");
    }

    /// `digits` with `before` of them in front of the point; no point if none are left behind it.
    fn put_with_point(&mut self, digits: &[u8], before: usize) {
        let (whole, fraction) = digits.split_at(before.min(digits.len()));
        self.push(whole);
        self.push_zeros(before - whole.len());
        if !fraction.is_empty() {
            self.push(b".");
            self.push(fraction);
        }
    }

    /// Without the zeros at the end.
    fn trimmed(&self) -> &[u8] {
        let end = self.bytes().iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
        &self.bytes[..end]
    }
}

impl<const N: usize> Write for Buffer<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::{CStr, c_char};
    use proptest::prelude::*;

    /// What C's `printf` makes of one double. Tests never set a locale, so it is "C".
    fn c_printf(fmt: &CStr, precision: i32, value: f64) -> Vec<u8> {
        let mut text = vec![0u8; 2000];
        // SAFETY: the buffer has the size given, and each format takes an int and a double.
        let len = unsafe {
            libc::snprintf(text.as_mut_ptr().cast::<c_char>(), text.len(), fmt.as_ptr(), precision, value)
        };
        text.truncate(usize::try_from(len).unwrap());
        text
    }

    fn flat<const N: usize>(n: &Number<N>) -> Vec<u8> {
        let mut text = if n.negative { b"-".to_vec() } else { vec![] };
        text.resize(text.len() + n.leading_zeros, b'0');
        text.extend_from_slice(n.body());
        text.resize(text.len() + n.trailing_zeros, b'0');
        text.extend_from_slice(n.exponent());
        text
    }

    fn assert_as_c(value: f64, precision: usize) {
        let p = precision as i32;
        let check = |ours: Vec<u8>, c: Vec<u8>, what: &str| {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            assert_eq!(text(&ours), text(&c), "%.{precision}{what} of {value:e} ({:#x})", value.to_bits());
        };
        check(flat(&Number::fixed(value, Some(precision))), c_printf(c"%.*f", p, value), "f");
        check(flat(&Number::shortest(value, Some(precision))), c_printf(c"%.*g", p, value), "g");
        check(flat(&Number::scientific(value, Some(precision))), c_printf(c"%.*e", p, value), "e");
        check(flat(&Number::fixed(value, Some(precision)).upper()), c_printf(c"%.*F", p, value), "F");
        check(flat(&Number::shortest(value, Some(precision)).upper()), c_printf(c"%.*G", p, value), "G");
        check(flat(&Number::scientific(value, Some(precision)).upper()), c_printf(c"%.*E", p, value), "E");
    }

    #[test]
    fn doubles_at_the_edges_are_as_c_prints_them() {
        let smallest = f64::from_bits(1);
        let edges = [
            0.0,
            1.0,
            0.1,
            0.5,
            1.5,
            2.5,
            0.25,
            0.125,
            0.375,
            1e-4,
            9.9999e-5,
            9.99999e-5,
            9.999995e-5,
            99999.5,
            999999.5,
            999999.4,
            1e5,
            1e6,
            1e15,
            1e16,
            1e17,
            1e22,
            1e23,
            1e300,
            123456789.0,
            3.14259265358979,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            smallest,
            5e-324,
            2.225073858507201e-308,
            f64::INFINITY,
            f64::NAN,
            0.5e-3,
            2f64.powi(-1074),
            2f64.powi(-1022),
            2f64.powi(1023),
            1.0 - f64::EPSILON / 2.0,
            9007199254740993.0,
        ];
        for value in edges {
            for precision in (0..=25).chain([40, 100, 340, 767, 800, 1074, 1075, 1200, 1500]) {
                assert_as_c(value, precision);
                assert_as_c(-value, precision);
            }
        }
    }

    #[test]
    fn ties_round_as_c_rounds_them() {
        // k/2^n has an exact tie at n-1 decimals: every such value with a few digits.
        for n in 1..=6 {
            for k in 0..2000u32 {
                let value = f64::from(k) / f64::from(1u32 << n);
                for precision in 0..=n {
                    assert_as_c(value, precision);
                    assert_as_c(-value, precision);
                }
            }
        }
        for k in (5..100_000).step_by(10) {
            for precision in 1..=6 {
                assert_as_c(f64::from(k), precision);
            }
        }
    }

    #[test]
    fn default_precisions_are_six() {
        assert_eq!(flat(&Number::fixed(1.5, None)), b"1.500000");
        assert_eq!(flat(&Number::shortest(1234567.0, None)), b"1.23457e+06");
        assert_eq!(flat(&Number::shortest(0.1, None)), b"0.1");
    }

    #[test]
    fn a_precision_beyond_all_digits_costs_nothing() {
        let n = Number::fixed(0.1, Some(100_000_000));
        assert_eq!(n.body().len() + n.trailing_zeros, 100_000_002);
        let n = Number::shortest(0.1, Some(100_000_000));
        assert_eq!(n.body(), c_printf(c"%.*g", 800, 0.1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_bits_are_as_c_prints_them(bits: u64, precision in 0usize..40) {
            assert_as_c(f64::from_bits(bits), precision);
        }

        #[test]
        fn everyday_numbers_are_as_c_prints_them(k in -10_000_000i64..10_000_000, scale in 0i32..9, precision in 0usize..12) {
            assert_as_c(k as f64 / 10f64.powi(scale), precision);
        }

        #[test]
        fn denormals_are_as_c_prints_them(bits in 0u64..1 << 52, precision in 0usize..1100) {
            assert_as_c(f64::from_bits(bits), precision);
        }

        #[test]
        fn integers_are_as_c_prints_them(value: i32, precision in 0usize..30) {
            let mut text = [0u8; 64];
            let p = precision as i32;
            // SAFETY: the buffer has the size given, and the format takes two ints.
            let len = unsafe { libc::snprintf(text.as_mut_ptr().cast(), 64, c"%.*d".as_ptr(), p, value) };
            let n = Number::decimal(value < 0, u64::from(value.unsigned_abs()), Some(precision));
            prop_assert_eq!(&flat(&n)[..], &text[..len as usize]);
        }
    }
}
