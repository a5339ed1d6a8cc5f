use super::*;
use proptest::prelude::*;

/// One argument, with the C type that the format string must ask for.
#[derive(Clone, Debug, PartialEq)]
enum Arg {
    Int(c_int),
    Long(c_long),
    LongLong(i64),
    Size(usize),
    Double(f64),
    /// A pointer to these bytes, with a NUL behind them.
    Bytes(&'static [u8]),
    Null,
    /// Wide characters, with a 0 at their end.
    Wide(Option<&'static [libc::wchar_t]>),
    /// A `%M` function that prints this and claims that count.
    Printer(&'static [u8], Result<usize, Code>),
}
use Arg::*;

/// A list of arguments; asking for another type than the next one has is a failure of the test.
struct Script {
    args: std::vec::IntoIter<Arg>,
}

impl Script {
    fn next(&mut self) -> Arg {
        self.args.next().expect("the formatter asks for an argument that nobody gave")
    }
}

macro_rules! expect {
    ($script:expr, $kind:ident) => {
        match $script.next() {
            $kind(value) => Ok(value),
            other => panic!("the formatter asks for {}, and the call gave {other:?}", stringify!($kind)),
        }
    };
}

impl Args for Script {
    fn int(&mut self) -> Result<c_int, Code> {
        expect!(self, Int)
    }
    fn long(&mut self) -> Result<c_long, Code> {
        expect!(self, Long)
    }
    fn long_long(&mut self) -> Result<i64, Code> {
        expect!(self, LongLong)
    }
    fn size(&mut self) -> Result<usize, Code> {
        expect!(self, Size)
    }
    fn double(&mut self) -> Result<f64, Code> {
        expect!(self, Double)
    }
    fn text(&mut self, limit: Option<usize>) -> Result<Option<&[u8]>, Code> {
        Ok(match self.next() {
            Null => None,
            Bytes(bytes) => {
                let bytes = bytes.split(|&b| b == 0).next().unwrap_or_default();
                Some(&bytes[..bytes.len().min(limit.unwrap_or(usize::MAX))])
            }
            other => panic!("the formatter asks for a text, and the call gave {other:?}"),
        })
    }
    fn wide_text(&mut self, limit: Option<usize>) -> Result<Option<Vec<u8>>, Code> {
        let Wide(text) = self.next() else { panic!("the formatter asks for wide characters") };
        // SAFETY: NULL, or the caller's text, which ends with 0.
        unsafe { crate::capi::json::args::wide_text(text.map_or(core::ptr::null(), <[_]>::as_ptr), limit) }
    }
    fn bytes(&mut self, len: usize) -> Result<Option<&[u8]>, Code> {
        Ok(match self.next() {
            Null => None,
            Bytes(bytes) => Some(&bytes[..len]),
            other => panic!("the formatter asks for bytes, and the call gave {other:?}"),
        })
    }
    fn bytes_then_len(&mut self) -> Result<&[u8], Code> {
        let bytes = self.next();
        let len = length(self.int()?)?;
        match bytes {
            Bytes(bytes) => Ok(&bytes[..len]),
            Null if len == 0 => Ok(&[]),
            Null => Err(Code::NullArgument),
            other => panic!("the formatter asks for bytes, and the call gave {other:?}"),
        }
    }
    fn printer(&mut self, out: &mut dyn Sink) -> Result<usize, Code> {
        match self.next() {
            Printer(text, claim) => {
                out.write(text)?;
                claim
            }
            other => panic!("the formatter asks for a function, and the call gave {other:?}"),
        }
    }
}

/// Keeps what is written; may refuse from some length on.
struct Kept {
    text: Vec<u8>,
    calls: usize,
    room: usize,
}

impl Sink for Kept {
    fn write(&mut self, text: &[u8]) -> Result<usize, Code> {
        self.calls += 1;
        self.text.extend_from_slice(text);
        if self.text.len() > self.room { Err(Code::NoMemory) } else { Ok(text.len()) }
    }
}

fn run(fmt: &[u8], args: &[Arg]) -> (Result<usize, FormatError>, Kept, usize) {
    let mut script = Script { args: Vec::from(args).into_iter() };
    let mut kept = Kept { text: Vec::new(), calls: 0, room: usize::MAX };
    let result = format(fmt, &mut script, &mut kept);
    (result, kept, script.args.len())
}

#[track_caller]
fn gives(fmt: &str, args: &[Arg], expected: &str) {
    let (result, kept, left) = run(fmt.as_bytes(), args);
    assert_eq!(String::from_utf8_lossy(&kept.text), expected, "{fmt}");
    assert_eq!(result, Ok(expected.len()), "{fmt}");
    assert_eq!(left, 0, "{fmt}: arguments left");
}

#[track_caller]
fn refuses(fmt: &str, offset: usize, text: &str) {
    // Not one argument: reading any is a panic in `Script`.
    let (result, kept, _) = run(fmt.as_bytes(), &[]);
    let error = result.expect_err(fmt);
    assert_eq!((error.code, error.offset), (Code::BadFormat, offset), "{fmt}");
    assert_eq!(error.text(fmt.as_bytes()), text.as_bytes(), "{fmt}");
    assert_eq!(kept.calls, 0, "{fmt}: printed before it was refused");
}

#[test]
fn the_lexical_table_of_the_reference() {
    gives("{a: %d, b: %Q}", &[Int(1), Bytes(b"x")], r#"{"a": 1, "b": "x"}"#);
    gives("{a:{b:{c:%d}}}", &[Int(1)], r#"{"a":{"b":{"c":1}}}"#);
    gives("[%d,%d]", &[Int(1), Int(2)], "[1,2]");
    gives("{_a:%d,A9:%d}", &[Int(1), Int(3)], r#"{"_a":1,"A9":3}"#);
    gives("plain", &[], r#""plain""#);
    gives("{a: hello}", &[], r#"{"a": "hello"}"#);
    gives("{a: true, b: null, c: false}", &[], r#"{"a": "true", "b": "null", "c": "false"}"#);
    gives(r#"{"a": %d}"#, &[Int(1)], r#"{""a"": 1}"#);
    gives(r#"{"a b": 5}"#, &[], r#"{""a" "b"": 5}"#);
    gives("{a-b: 5}", &[], r#"{"a"-"b": 5}"#);
    gives("{a.b:%d}", &[Int(1)], r#"{"a"."b":1}"#);
    gives("{topic/a: %d}", &[Int(1)], r#"{"topic"/"a": 1}"#);
    gives("{1a: 5}", &[], r#"{1"a": 5}"#);
    gives("{a: 1.5e3}", &[], r#"{"a": 1.5"e3"}"#);
    gives("{a: 'x'}", &[], r#"{"a": '"x"'}"#);
    gives("{a: -%d}", &[Int(5)], r#"{"a": -5}"#);
    gives(r#"{a: "%s"}"#, &[Bytes(b"q\"q")], r#"{"a": "q"q"}"#);
    gives("%s", &[Bytes(b"")], "");
    gives("\r\n\t[]{}:, \"", &[], "\r\n\t[]{}:, \"");
    gives("ä+b", &[], "ä+\"b\"");
}

#[test]
fn an_empty_format_prints_nothing_and_an_empty_text_prints_empty() {
    assert_eq!(run(b"", &[]).1.calls, 0);
    for (fmt, args) in [
        ("%s", vec![Bytes(b"")]),
        ("%.*s", vec![Int(0), Bytes(b"x")]),
        ("%.0d", vec![Int(0)]),
        ("%c", vec![Int(0)]),
    ] {
        let (result, kept, _) = run(fmt.as_bytes(), &args);
        assert_eq!((result, kept.calls), (Ok(0), 1), "{fmt}");
    }
}

#[test]
fn the_conversion_table_of_the_reference() {
    gives("%Q", &[Bytes(b"x")], r#""x""#);
    gives("%Q", &[Null], "null");
    gives("%.*Q", &[Int(3), Bytes(b"abcdef")], r#""abc""#);
    gives("%.*Q", &[Int(0), Bytes(b"abcdef")], r#""""#);
    gives("%.*Q", &[Int(3), Null], "null");
    gives("%.*Q", &[Int(3), Bytes(b"a\0b")], r#""a\u0000b""#);
    gives("%B %B %B", &[Int(1), Int(0), Int(-7)], "true false true");
    gives("%H", &[Int(3), Bytes(b"abc")], r#""616263""#);
    gives("%H", &[Int(0), Bytes(b"")], r#""""#);
    gives("%H", &[Int(0), Null], r#""""#);
    gives("%H", &[Int(4), Bytes(&[0, 0xff, 0x0f, 0xf0])], r#""00ff0ff0""#);
    gives("%V", &[Bytes(b"hello"), Int(5)], r#""aGVsbG8=""#);
    gives("%V", &[Bytes(b"hell"), Int(4)], r#""aGVsbA==""#);
    gives("%V", &[Bytes(b"hel"), Int(3)], r#""aGVs""#);
    gives("%V", &[Bytes(&[0xfb, 0xff, 0xfe]), Int(3)], r#""+//+""#);
    gives("%V", &[Null, Int(0)], r#""""#);
    gives("[%M]", &[Printer(b"1, 2", Ok(4))], "[1, 2]");
    gives("%lld %llu", &[LongLong(i64::MIN), LongLong(-1)], "-9223372036854775808 18446744073709551615");
    gives("%zu", &[Size(usize::MAX)], &usize::MAX.to_string());
    gives("%d %u %x", &[Int(-5), Int(-5), Int(-1)], "-5 4294967291 ffffffff");
    gives("%c%c", &[Int(i32::from(b'o')), Int(0x100 + i32::from(b'k'))], "ok");
    gives("%hd %hhu %hhd %hu", &[Int(65537), Int(300), Int(200), Int(-1)], "1 44 -56 65535");
    gives("%hhx %hx %lx %llx", &[Int(-1), Int(-1), Long(255), LongLong(-1)], "ff ffff ff ffffffffffffffff");
    gives("%ld %lu", &[Long(-7), Long(7)], "-7 7");
    gives("%lu", &[Long(-1)], &core::ffi::c_ulong::MAX.to_string());
    gives("%f %.2f %lf", &[Double(1.5), Double(3.14259), Double(-0.0)], "1.500000 3.14 -0.000000");
    gives("%g %lg %.3g", &[Double(0.1), Double(1e10), Double(1234.5)], "0.1 1e+10 1.23e+03");
    gives("%f %g", &[Double(f64::INFINITY), Double(f64::NEG_INFINITY)], "inf -inf");
    gives("%f %06g", &[Double(f64::NAN), Double(f64::NAN)], "nan    nan");
    gives("%s", &[Bytes(b"a\"\x01")], "a\"\x01");
    gives("%s", &[Null], "(null)");
    gives("%.*s", &[Int(3), Bytes(b"abcdef")], "abc");
    gives("%.*s", &[Int(30), Bytes(b"abcdef")], "abcdef");
    gives("%.*s", &[Int(-1), Bytes(b"abcdef")], "abcdef");
    gives("%.*s|%.*s", &[Int(5), Null, Int(6), Null], "|(null)");
    gives("%10d|%-5d|%05d|%5.1f", &[Int(42), Int(42), Int(42), Double(2.25)], "        42|42   |00042|  2.2");
    gives("%d%%", &[Int(50)], "50%");
    gives("%%d", &[], "%\"d\"");
}

#[test]
fn flags_width_and_precision_are_as_in_printf() {
    gives("%05d|%-05d|%0-5d|%00005d", &[Int(-42), Int(-42), Int(7), Int(7)], "-0042|-42  |7    |00007");
    gives("%5.3d|%-5.3d|%05.3d", &[Int(7), Int(-7), Int(7)], "  007|-007 |  007");
    gives("%.0d|%.d|%3.0d", &[Int(0), Int(0), Int(0)], "||   ");
    gives("%.0d %08.3f", &[Int(5), Double(-3.14259)], "5 -003.143");
    gives(
        "%8s|%-8s|%.2s|%8.2s",
        &[Bytes(b"abc"), Bytes(b"abc"), Bytes(b"abc"), Bytes(b"abc")],
        "     abc|abc     |ab|      ab",
    );
    gives("%3c|%-3c|", &[Int(120), Int(120)], "  x|x  |");
    gives("%04x%02x", &[Int(255), Int(7)], "00ff07");
    gives("%08lx %5lld %-5ld|", &[Long(48879), LongLong(-1), Long(3)], "0000beef    -1 3    |");
    gives(
        "%010f|%-10.1f|%010g",
        &[Double(1.5), Double(1.5), Double(-0.5)],
        "001.500000|1.5       |-0000000.5",
    );
    gives("%.0f %.10g", &[Double(2.5), Double(0.1)], "2 0.1");
    gives(
        "%08f|%-8g|%08.1f",
        &[Double(f64::INFINITY), Double(f64::NEG_INFINITY), Double(-2.25)],
        "     inf|-inf    |-00002.2",
    );
}

#[test]
fn the_tail_of_a_printf_conversion_belongs_to_it() {
    gives(r#"{t: "%ds"}"#, &[Int(5)], r#"{"t": "5s"}"#);
    gives("%dx%d", &[Int(640), Int(480)], "640x480");
    gives("%dm", &[Int(5)], r#"5"m""#);
    gives("%dsec", &[Int(5)], "5sec");
    gives("%d.%d.%d.%d", &[Int(10), Int(0), Int(0), Int(1)], "10.0.0.1");
    gives("%s-%s*", &[Bytes(b"a"), Bytes(b"b")], "a-b*");
    gives("%5llds", &[LongLong(7)], "    7s");
    // The original knew these itself: no tail.
    gives("%llds %zus", &[LongLong(7), Size(7)], r#"7"s" 7"s""#);
    gives("%Qs %Bs %%s", &[Bytes(b"a"), Int(1)], r#""a""s" true"s" %"s""#);
}

#[test]
fn escapes_are_those_of_json() {
    let all: Vec<u8> = (1..=0x1f).chain([0x7f]).collect();
    let expected = r#""\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f\u007f""#;
    gives("%Q", &[Bytes(all.leak())], expected);
    gives("%Q", &[Bytes(br#"a"b\c/d'"#)], r#""a\"b\\c/d'""#);
    gives("%Q", &[Bytes("äöü€😀\u{80}".as_bytes())], "\"äöü€😀\u{80}\"");
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_one_by_one() {
    gives("%Q", &[Bytes(b"a\xffb")], "\"a\u{fffd}b\"");
    // Truncated: the lead byte promises more than there is.
    gives("%Q", &[Bytes(b"\xf0\x9f\x98")], "\"\u{fffd}\u{fffd}\u{fffd}\"");
    gives("%Q", &[Bytes(b"\xe2\x82")], "\"\u{fffd}\u{fffd}\"");
    gives("%.*Q", &[Int(1), Bytes("ä".as_bytes())], "\"\u{fffd}\"");
    // Overlong, a surrogate, and a lead byte that swallowed the quote in the original.
    gives("%Q", &[Bytes(b"\xc0\x80")], "\"\u{fffd}\u{fffd}\"");
    gives("%Q", &[Bytes(b"\xed\xa0\x80")], "\"\u{fffd}\u{fffd}\u{fffd}\"");
    gives("%Q", &[Bytes(b"\xc3\"")], "\"\u{fffd}\\\"\"");
}

#[test]
fn what_is_not_supported_is_refused_before_anything_happens() {
    for conversion in [
        "%i", "%X", "%o", "%p", "%n", "%zd", "%zx", "%+d", "% d", "%#x", "%'d", "%a", "%.*f", "%*d", "%-.*s",
        "%5.*s", "%10Q", "%.5Q", "%-Q", "%5B", "%lQ", "%llf", "%lls", "%llc", "%Lf", "%jd", "%td", "%5zu",
        "%.3c", "%5%", "%hhhd", "%llld", "%hld", "%lhd", "%I", "%", "%-", "%5", "%5.", "%l", "%ll", "%.*",
        "%z", "%.-5d", "%5-d", "%T", "%k", "%\u{1}",
    ] {
        refuses(conversion, 0, conversion);
        refuses(&std::format!("{{a: %d, b: {conversion}"), 11, conversion);
    }
    refuses("%99999999999d", 0, "%99999999999d");
    refuses("%.99999999999f", 0, "%.99999999999f");
    refuses("100% sure", 3, "% s");
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let code = |fmt: &str, args: &[Arg]| run(fmt.as_bytes(), args).0.map_err(|e| (e.code, e.offset, e.len));
    assert_eq!(code("%H", &[Int(-1), Bytes(b"")]), Err((Code::BadArgument, 0, 2)));
    assert_eq!(code("a%H", &[Int(3), Null]), Err((Code::NullArgument, 1, 2)));
    assert_eq!(code("%V", &[Bytes(b""), Int(-1)]), Err((Code::BadArgument, 0, 2)));
    assert_eq!(code("%V", &[Null, Int(1)]), Err((Code::NullArgument, 0, 2)));
    assert_eq!(code("%.*Q", &[Int(-1), Bytes(b"")]), Err((Code::BadArgument, 0, 4)));
}

#[test]
fn no_more_than_mqtt_can_carry() {
    let large = |fmt: &str, args: &[Arg]| run(fmt.as_bytes(), args).0.map_err(|e| e.code);
    assert_eq!(large("%2147483647d", &[Int(1)]), Err(Code::TooLarge));
    assert_eq!(large("%.2147483647f", &[Double(1.0)]), Err(Code::TooLarge));
    assert_eq!(large("%.2147483647d", &[Int(1)]), Err(Code::TooLarge));
    assert_eq!(large("%M%M", &[Printer(b"", Ok(MAX_OUTPUT)), Printer(b"", Ok(1))]), Err(Code::TooLarge));
    assert_eq!(large("%M", &[Printer(b"", Ok(MAX_OUTPUT))]), Ok(MAX_OUTPUT));
}

#[test]
fn a_printer_that_fails_refuses_everything() {
    let (result, _, left) = run(b"%M%d", &[Printer(b"x", Err(Code::Cancelled)), Int(1)]);
    assert_eq!((result.unwrap_err().code, left), (Code::Cancelled, 1));
}

#[test]
fn a_sink_that_refuses_stops_the_work() {
    let mut script = Script { args: vec![Int(1), Int(2)].into_iter() };
    let mut kept = Kept { text: Vec::new(), calls: 0, room: 0 };
    let error = format(b"%d%d", &mut script, &mut kept).unwrap_err();
    assert_eq!((error.code, error.offset, error.len), (Code::NoMemory, 0, 2));
    assert_eq!((script.args.len(), kept.calls), (1, 1));
}

/// Gives whatever is asked for.
struct Anything(u64);

impl Anything {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 7
    }
    fn data(&mut self) -> &'static [u8] {
        const DATA: &[&[u8]] = &[b"", b"x", b"\xff\"\\\n\x7f", b"0123456789abcdef", "\u{fffd}é".as_bytes()];
        DATA[self.next() as usize % DATA.len()]
    }
}

impl Args for Anything {
    fn int(&mut self) -> Result<c_int, Code> {
        Ok(self.next() as c_int)
    }
    fn long(&mut self) -> Result<c_long, Code> {
        Ok(self.next() as c_long)
    }
    fn long_long(&mut self) -> Result<i64, Code> {
        Ok(self.next() as i64)
    }
    fn size(&mut self) -> Result<usize, Code> {
        Ok(self.next() as usize)
    }
    fn double(&mut self) -> Result<f64, Code> {
        Ok(f64::from_bits(self.next() << 7))
    }
    fn text(&mut self, _: Option<usize>) -> Result<Option<&[u8]>, Code> {
        Ok(Some(self.data()))
    }
    fn wide_text(&mut self, _: Option<usize>) -> Result<Option<Vec<u8>>, Code> {
        Ok(Some(self.data().to_vec()))
    }
    fn bytes(&mut self, _: usize) -> Result<Option<&[u8]>, Code> {
        Ok(Some(self.data()))
    }
    fn bytes_then_len(&mut self) -> Result<&[u8], Code> {
        Ok(self.data())
    }
    fn printer(&mut self, out: &mut dyn Sink) -> Result<usize, Code> {
        out.write(self.data())
    }
}

/// Counts, and keeps nothing: `%99999999d` is allowed.
struct Counted(usize);

impl Sink for Counted {
    fn write(&mut self, text: &[u8]) -> Result<usize, Code> {
        self.0 += text.len();
        Ok(text.len())
    }
}

fn never_panics(fmt: &[u8], seed: u64) {
    let mut sink = Counted(0);
    if let Ok(count) = format(fmt, &mut Anything(seed), &mut sink) {
        assert_eq!(count, sink.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn any_format_is_printed_or_refused(fmt: Vec<u8>, seed: u64) {
        never_panics(&fmt, seed);
    }

    #[test]
    fn anything_like_a_conversion_is_printed_or_refused(
        fmt in "(%[-0+ #]{0,2}[0-9]{0,3}(\\.[*]?[0-9]{0,4})?(h|hh|l|ll|z|j)?[diuxXcsfgeQBHVM%a-z]|[a-z_:{} ]){0,8}",
        seed: u64,
    ) {
        never_panics(fmt.as_bytes(), seed);
    }

    #[test]
    fn a_quoted_text_is_a_json_string(text: Vec<u8>) {
        let mut sink = Kept { text: Vec::new(), calls: 0, room: usize::MAX };
        let count = escape(&text, &mut sink).unwrap();
        prop_assert_eq!(count, sink.text.len());
        let text = String::from_utf8(sink.text).expect("UTF-8");
        let control = |c: char| c < ' ' || c == '\x7f';
        prop_assert!(!text.contains(control));
        // Every quote is escaped: an odd number of backslashes stands before it.
        for (at, _) in text.match_indices('"') {
            let before = text[..at].bytes().rev().take_while(|&b| b == b'\\').count();
            prop_assert!(before % 2 == 1);
        }
    }
}

// field: F-74
#[test]
fn doubles_with_an_exponent_in_capital_letters_and_with_a_length() {
    gives("%e %.2e %.0e", &[Double(1.5), Double(31415.9), Double(2.5)], "1.500000e+00 3.14e+04 2e+00");
    gives("%E %G %F", &[Double(1e-300), Double(1e-300), Double(f64::INFINITY)], "1.000000E-300 1E-300 INF");
    gives("{a:%e,b:%d}", &[Double(1.5), Int(7)], r#"{"a":1.500000e+00,"b":7}"#);
    gives(
        "%hf %he %hhg %lE",
        &[Double(1.5), Double(1.5), Double(1.5), Double(1.5)],
        "1.500000 1.500000e+00 1.5 1.500000E+00",
    );
    gives("%hs%hc", &[Bytes(b"a"), Int(98)], "ab");
    gives(r#"{t: "%es"}"#, &[Double(0.0)], r#"{"t": "0.000000e+00s"}"#);
}

/// Wide characters, and how they are formatted.
fn wide(text: &str) -> &'static [libc::wchar_t] {
    text.chars().map(|c| c as libc::wchar_t).chain([0]).collect::<Vec<_>>().leak()
}

// field: F-74
#[test]
fn wide_characters_are_utf_8() {
    let text = || Wide(Some(wide("aä€😀")));
    gives("%ls", &[text()], "aä€😀");
    // Bytes count, and no character is cut.
    gives("%.2ls|%.3ls|%.9ls|%.10ls", &[text(), text(), text(), text()], "a|aä|aä€|aä€😀");
    gives("%12ls|%-12ls|%8.3ls|", &[text(), text(), text()], "  aä€😀|aä€😀  |     aä|");
    gives("%ls|%.5ls|%.6ls", &[Wide(None), Wide(None), Wide(None)], "(null)||(null)");
    gives("%lc%lc%5lc|%-5lc|", &[Int(97), Int(0x20ac), Int(0xe4), Int(0xe4)], "a€   ä|ä   |");
    gives("%ls%lc", &[Wide(Some(&[0xd800, 0x11_0000, 0])), Int(-1)], "\u{fffd}\u{fffd}\u{fffd}");
    // Nothing behind the limit is read, not even a NUL.
    gives("%.2ls", &[Wide(Some(&[97, 98]))], "ab");
}

/// What C's `snprintf` makes of it, in a UTF-8 locale of this thread.
fn c_prints(print: impl Fn(*mut core::ffi::c_char, usize) -> c_int) -> Vec<u8> {
    let mut text = vec![0u8; 4000];
    // SAFETY: a locale by its name; this thread alone uses it.
    let (locale, old) = unsafe {
        let locale = libc::newlocale(libc::LC_ALL_MASK, c"C.UTF-8".as_ptr(), core::ptr::null_mut());
        assert!(!locale.is_null());
        (locale, libc::uselocale(locale))
    };
    let len = print(text.as_mut_ptr().cast(), text.len());
    // SAFETY: as it was before.
    unsafe {
        libc::uselocale(old);
        libc::freelocale(locale);
    }
    text.truncate(usize::try_from(len).unwrap());
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    // field: F-74
    #[test]
    fn doubles_are_byte_for_byte_as_c_prints_them(
        fmt in "%[-0]{0,2}[0-9]{0,2}(\\.[0-9]{0,2})?(|h|l)[eEfFgG]",
        bits: u64,
    ) {
        let value = f64::from_bits(bits);
        let c_fmt = std::ffi::CString::new(fmt.replace('h', "")).unwrap();
        // SAFETY: the buffer has the size given, and the format takes a double.
        let c = c_prints(|buf, len| unsafe { libc::snprintf(buf, len, c_fmt.as_ptr(), value) });
        let (result, ours, _) = run(fmt.as_bytes(), &[Double(value)]);
        prop_assert_eq!(result, Ok(c.len()));
        prop_assert_eq!(String::from_utf8(ours.text), String::from_utf8(c));
    }

    // field: F-74
    #[test]
    fn wide_characters_are_byte_for_byte_as_c_prints_them(
        fmt in "%-?[0-9]{0,2}(\\.[0-9]{0,2})?ls",
        text in "[^\\x00]{0,12}",
        one: char,
    ) {
        let text = wide(&text);
        let c_fmt = std::ffi::CString::new(fmt.as_str()).unwrap();
        // SAFETY: the buffer has the size given, and the format takes a wide text.
        let c = c_prints(|buf, len| unsafe { libc::snprintf(buf, len, c_fmt.as_ptr(), text.as_ptr()) });
        let (_, ours, _) = run(fmt.as_bytes(), &[Wide(Some(text))]);
        prop_assert_eq!(String::from_utf8(ours.text), String::from_utf8(c));
        prop_assume!(one != '\0');
        // SAFETY: as above, with a wide character.
        let c = c_prints(|buf, len| unsafe { libc::snprintf(buf, len, c"%5lc".as_ptr(), one as libc::wchar_t) });
        let (_, ours, _) = run(b"%5lc", &[Int(one as c_int)]);
        prop_assert_eq!(String::from_utf8(ours.text), String::from_utf8(c));
    }
}
