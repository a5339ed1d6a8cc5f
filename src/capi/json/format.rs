//! The formatter behind `mgos_mqtt_pubf` and `json_printf`: plain Rust over two traits, so that
//! it can be tested and fuzzed without C.
//!
//! The language, scanned left to right, without any memory of JSON structure:
//!
//! 1. `%` starts a conversion; the table is in the header (`mgos_json.rs`).
//! 2. A letter or `_` starts a word, the longest run of `[A-Za-z0-9_]`; it is written between
//!    double quotes, keys and bare words alike, also `true` and `null`.
//! 3. Every other byte is copied.
//!
//! The conversions that C's `printf` knows (`%d %u %x %c %s %f %e %g` with flags, width, precision
//! and length, and `%.*s`) take a *tail* with them, as in the original, which handed all of it to
//! `printf`: the run of [`TAIL`] characters directly behind the conversion is copied without the
//! quotes of rule 2. `\"%ds\"` gives `"5s"`, and `%dx%d` gives `640x480`.

use crate::error::Code;
use core::ffi::{c_int, c_long};

use super::number::Number;

/// What MQTT can carry in one packet. More is refused before it is made.
pub(crate) const MAX_OUTPUT: usize = 268_435_455;

/// See the module's text.
const TAIL: &[u8] = b"sdfFeEgGlhuIcx.*-0123456789";

/// Where the arguments come from. Each method takes the next one, as the C type in its name.
///
/// A format string cannot be checked against its arguments, so an implementation over C's
/// arguments trusts it; one with a fixed list of arguments may refuse.
pub(crate) trait Args {
    /// `int`, and everything that C promotes to it.
    fn int(&mut self) -> Result<c_int, Code>;
    /// `long`.
    fn long(&mut self) -> Result<c_long, Code>;
    /// `long long`, `int64_t`.
    fn long_long(&mut self) -> Result<i64, Code>;
    /// `size_t`.
    fn size(&mut self) -> Result<usize, Code>;
    /// `double`.
    fn double(&mut self) -> Result<f64, Code>;
    /// `const char *`: the text before its NUL, or before `limit` bytes if no NUL comes earlier.
    /// `None` is a NULL pointer.
    fn text(&mut self, limit: Option<usize>) -> Result<Option<&[u8]>, Code>;
    /// `const wchar_t *`, as UTF-8: the characters before its NUL, or as many as fit whole into `limit` bytes. `None` is
    /// a NULL pointer.
    fn wide_text(&mut self, limit: Option<usize>) -> Result<Option<Vec<u8>>, Code>;
    /// `const void *`: exactly `len` bytes. `None` is a NULL pointer.
    fn bytes(&mut self, len: usize) -> Result<Option<&[u8]>, Code>;
    /// `const void *`, then an `int` with the number of its bytes.
    fn bytes_then_len(&mut self) -> Result<&[u8], Code>;
    /// `int (*)(struct json_out *, va_list *)` and what it takes itself. It prints into `out`, and
    /// the count it claims to have printed is returned.
    fn printer(&mut self, out: &mut dyn Sink) -> Result<usize, Code>;
}

/// Where the text goes. Returns the number of bytes that this text adds to the result of
/// `json_printf`, which is a printer's own affair.
pub(crate) trait Sink {
    /// Takes the next piece; it may be empty.
    fn write(&mut self, text: &[u8]) -> Result<usize, Code>;
}

/// Why nothing may be published, and the part of the format string that is the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatError {
    /// `BadFormat`, or what an argument or the output refused.
    pub(crate) code: Code,
    /// Where the offending text starts in the format string.
    pub(crate) offset: usize,
    /// How long it is.
    pub(crate) len: usize,
}

impl From<Code> for FormatError {
    /// An error that is about no part of the format string.
    fn from(code: Code) -> FormatError {
        FormatError { code, offset: 0, len: 0 }
    }
}

impl FormatError {
    /// The offending text.
    pub(crate) fn text<'f>(&self, fmt: &'f [u8]) -> &'f [u8] {
        fmt.get(self.offset..).map_or(&[], |rest| &rest[..self.len.min(rest.len())])
    }
}

/// Writes `fmt` with its arguments into `out`, and returns what `json_printf` returns: the sum of
/// what the sink and the `%M` functions counted.
pub(crate) fn format(fmt: &[u8], args: &mut dyn Args, out: &mut dyn Sink) -> Result<usize, FormatError> {
    for piece in Pieces::new(fmt) {
        piece?;
    }
    let mut out = Out { sink: out, written: 0, counted: 0 };
    let mut pieces = Pieces::new(fmt);
    let mut start = 0;
    while let Some(piece) = pieces.next() {
        let end = pieces.at;
        write_piece(piece?, args, &mut out).map_err(|code| FormatError {
            code,
            offset: start,
            len: end - start,
        })?;
        start = end;
    }
    Ok(out.counted)
}

/// What a format string consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'f> {
    /// Copied.
    Text(&'f [u8]),
    /// Written between double quotes.
    Word(&'f [u8]),
    /// Filled in; the text behind it is the tail.
    Conversion(Conversion, &'f [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    Percent,
    /// `%Q`
    Quoted,
    /// `%.*Q`
    QuotedLen,
    /// `%B`
    Bool,
    /// `%H`
    Hex,
    /// `%V`
    Base64,
    /// `%M`
    Printer,
    /// `%zu`
    Size,
    /// `%.*s`
    TextLen,
    Signed(Length, Shape),
    Unsigned(Length, Shape),
    UnsignedHex(Length, Shape),
    Char(Shape),
    Text(Shape),
    /// `%lc`
    WideChar(Shape),
    /// `%ls`
    WideText(Shape),
    /// A double; whether in capital letters.
    Real(Style, bool, Shape),
}

/// How a double is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `%f`
    Fixed,
    /// `%e`
    Scientific,
    /// `%g`
    Shortest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Char,
    Short,
    Int,
    Long,
    LongLong,
}

/// The flags `-` and `0`, the width and the precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Cuts a format string into pieces. Ends at the first error.
struct Pieces<'f> {
    fmt: &'f [u8],
    at: usize,
}

impl<'f> Pieces<'f> {
    fn new(fmt: &'f [u8]) -> Pieces<'f> {
        Pieces { fmt, at: 0 }
    }

    /// The longest run of bytes from here on that `belongs` accepts.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'f [u8] {
        let rest = &self.fmt[self.at..];
        let len = rest.iter().position(|&b| !belongs(b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Steps over `byte` if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.fmt.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// A number of digits; none is 0. `None` if C's `int` cannot hold it.
    fn number(&mut self) -> Option<usize> {
        self.run(|b| b.is_ascii_digit())
            .iter()
            .try_fold(0i32, |n, &digit| n.checked_mul(10)?.checked_add(i32::from(digit - b'0')))
            .and_then(|n| usize::try_from(n).ok())
    }

    /// A conversion, from behind its `%`; `None` if it is not supported.
    fn conversion(&mut self) -> Option<Conversion> {
        // The forms that take no flags, no width, and no tail.
        let (found, len) = match &self.fmt[self.at..] {
            [b'%', ..] => (Conversion::Percent, 1),
            [b'Q', ..] => (Conversion::Quoted, 1),
            [b'B', ..] => (Conversion::Bool, 1),
            [b'H', ..] => (Conversion::Hex, 1),
            [b'V', ..] => (Conversion::Base64, 1),
            [b'M', ..] => (Conversion::Printer, 1),
            [b'z', b'u', ..] => (Conversion::Size, 2),
            [b'.', b'*', b'Q', ..] => (Conversion::QuotedLen, 3),
            [b'.', b'*', b's', ..] => (Conversion::TextLen, 3),
            [b'l', b'l', b'd', ..] => (Conversion::Signed(Length::LongLong, Shape::default()), 3),
            [b'l', b'l', b'u', ..] => (Conversion::Unsigned(Length::LongLong, Shape::default()), 3),
            _ => return self.printf_conversion(),
        };
        self.at += len;
        Some(found)
    }

    fn printf_conversion(&mut self) -> Option<Conversion> {
        let flags = self.run(|b| b == b'-' || b == b'0');
        let shape = Shape {
            left: flags.contains(&b'-'),
            zero: flags.contains(&b'0'),
            width: self.number()?,
            precision: if self.eat(b'.') { Some(self.number()?) } else { None },
        };
        let length = match (self.eat(b'h'), self.eat(b'l')) {
            (false, false) => None,
            (true, false) => Some(if self.eat(b'h') { Length::Char } else { Length::Short }),
            (false, true) => Some(if self.eat(b'l') { Length::LongLong } else { Length::Long }),
            (true, true) => return None,
        };
        let letter = *self.fmt.get(self.at)?;
        self.at += 1;
        let int = length.unwrap_or(Length::Int);
        match (letter, length) {
            (b'd', _) => Some(Conversion::Signed(int, shape)),
            (b'u', _) => Some(Conversion::Unsigned(int, shape)),
            (b'x', _) => Some(Conversion::UnsignedHex(int, shape)),
            // A `long double` would be taken from elsewhere. To everything else a length says nothing.
            (b'f' | b'F' | b'e' | b'E' | b'g' | b'G', Some(Length::LongLong)) => None,
            (b'f' | b'F', _) => Some(Conversion::Real(Style::Fixed, letter == b'F', shape)),
            (b'e' | b'E', _) => Some(Conversion::Real(Style::Scientific, letter == b'E', shape)),
            (b'g' | b'G', _) => Some(Conversion::Real(Style::Shortest, letter == b'G', shape)),
            (b's' | b'c', Some(Length::LongLong)) => None,
            (b's', Some(Length::Long)) => Some(Conversion::WideText(shape)),
            (b's', _) => Some(Conversion::Text(shape)),
            (b'c', _) if shape.precision.is_some() => None,
            (b'c', Some(Length::Long)) => Some(Conversion::WideChar(shape)),
            (b'c', _) => Some(Conversion::Char(shape)),
            _ => None,
        }
    }

    /// The conversion at `start` as a reader of C would see it, for the error.
    fn refused(&self, start: usize) -> FormatError {
        let rest = &self.fmt[start + 1..];
        let modifiers = rest.iter().take_while(|b| b"-+ #'0123456789.*hlLqjzt".contains(b)).count();
        FormatError { code: Code::BadFormat, offset: start, len: 1 + (modifiers + 1).min(rest.len()) }
    }
}

impl<'f> Iterator for Pieces<'f> {
    type Item = Result<Piece<'f>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let first = *self.fmt.get(start)?;
        if is_word_start(first) {
            return Some(Ok(Piece::Word(self.run(is_word))));
        }
        if first != b'%' {
            return Some(Ok(Piece::Text(self.run(|b| b != b'%' && !is_word_start(b)))));
        }
        self.at += 1;
        let Some(conversion) = self.conversion() else {
            let error = self.refused(start);
            self.at = self.fmt.len();
            return Some(Err(error));
        };
        let tail = if self.has_tail(start) { self.run(|b| TAIL.contains(&b)) } else { &[] };
        Some(Ok(Piece::Conversion(conversion, tail)))
    }
}

impl Pieces<'_> {
    /// Whether the conversion from `start` to here is one of those with a tail.
    fn has_tail(&self, start: usize) -> bool {
        !matches!(
            &self.fmt[start + 1..self.at],
            b"%" | b"Q" | b"B" | b"H" | b"V" | b"M" | b"zu" | b".*Q" | b"lld" | b"llu"
        )
    }
}

/// Whether the first conversion of `fmt` takes a signed integer.
pub(super) fn is_signed(fmt: &[u8]) -> bool {
    let mut conversions = Pieces::new(fmt).filter_map(|piece| match piece {
        Ok(Piece::Conversion(Conversion::Percent, _)) => None,
        Ok(Piece::Conversion(conversion, _)) => Some(conversion),
        _ => None,
    });
    matches!(conversions.next(), Some(Conversion::Signed(..)))
}

fn is_word_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The sink with the limit of what MQTT can carry before it.
struct Out<'s> {
    sink: &'s mut dyn Sink,
    written: usize,
    counted: usize,
}

impl Out<'_> {
    fn write(&mut self, text: &[u8]) -> Result<(), Code> {
        self.written = self.written.saturating_add(text.len());
        if self.written > MAX_OUTPUT {
            return Err(Code::TooLarge);
        }
        let counted = self.sink.write(text)?;
        self.count(counted)
    }

    fn count(&mut self, more: usize) -> Result<(), Code> {
        self.counted = self.counted.saturating_add(more);
        if self.counted > MAX_OUTPUT { Err(Code::TooLarge) } else { Ok(()) }
    }

    fn fill(&mut self, byte: u8, mut count: usize) -> Result<(), Code> {
        // Refused before a printer is called a million times in vain.
        if self.written.saturating_add(count) > MAX_OUTPUT {
            return Err(Code::TooLarge);
        }
        let block = [byte; 64];
        while count > 0 {
            let now = count.min(block.len());
            self.write(&block[..now])?;
            count -= now;
        }
        Ok(())
    }

    fn quoted(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Code>) -> Result<(), Code> {
        self.write(b"\"")?;
        body(self)?;
        self.write(b"\"")
    }

    fn padded(&mut self, text: &[u8], shape: Shape) -> Result<(), Code> {
        let padding = shape.width.saturating_sub(text.len());
        if shape.left {
            self.write(text)?;
            self.fill(b' ', padding)
        } else {
            self.fill(b' ', padding)?;
            self.write(text)
        }
    }

    fn number<const N: usize>(&mut self, n: &Number<N>, shape: Shape) -> Result<(), Code> {
        let sign: &[u8] = if n.negative { b"-" } else { b"" };
        let zeros = n.leading_zeros.saturating_add(n.trailing_zeros);
        let len = (sign.len() + n.body().len() + n.exponent().len()).saturating_add(zeros);
        let padding = shape.width.saturating_sub(len);
        let (before, zero, after) = match shape {
            Shape { left: true, .. } => (0, 0, padding),
            Shape { zero: true, .. } if n.zero_pad => (0, padding, 0),
            _ => (padding, 0, 0),
        };
        self.fill(b' ', before)?;
        if n.negative {
            self.write(sign)?;
        }
        self.fill(b'0', zero)?;
        self.fill(b'0', n.leading_zeros)?;
        self.write(n.body())?;
        self.fill(b'0', n.trailing_zeros)?;
        if !n.exponent().is_empty() {
            self.write(n.exponent())?;
        }
        self.fill(b' ', after)
    }
}

fn write_piece(piece: Piece<'_>, args: &mut dyn Args, out: &mut Out<'_>) -> Result<(), Code> {
    match piece {
        Piece::Text(text) => out.write(text),
        Piece::Word(word) => out.quoted(|out| out.write(word)),
        Piece::Conversion(conversion, tail) => {
            convert(conversion, args, out)?;
            if tail.is_empty() { Ok(()) } else { out.write(tail) }
        }
    }
}

fn convert(conversion: Conversion, args: &mut dyn Args, out: &mut Out<'_>) -> Result<(), Code> {
    match conversion {
        Conversion::Percent => out.write(b"%"),
        Conversion::Bool => out.write(if args.int()? != 0 { b"true" } else { b"false" }),
        Conversion::Quoted => quote(args.text(None)?, out),
        Conversion::QuotedLen => {
            let len = length(args.int()?)?;
            quote(args.bytes(len)?, out)
        }
        Conversion::Hex => {
            let len = length(args.int()?)?;
            let data = match args.bytes(len)? {
                Some(data) => data,
                None if len == 0 => &[],
                None => return Err(Code::NullArgument),
            };
            out.quoted(|out| write_hex(data, out))
        }
        Conversion::Base64 => {
            let data = args.bytes_then_len()?;
            out.quoted(|out| write_base64(data, out))
        }
        Conversion::Printer => {
            let counted = args.printer(out.sink)?;
            out.count(counted)
        }
        Conversion::Size => out.number(&Number::decimal(false, args.size()? as u64, None), Shape::default()),
        Conversion::TextLen => {
            // C: a negative precision is no precision.
            let limit = usize::try_from(args.int()?).ok();
            text(args.text(limit)?, Shape { precision: limit, ..Shape::default() }, out)
        }
        Conversion::Text(shape) => text(args.text(shape.precision)?, shape, out),
        Conversion::Char(shape) => match args.int()? as u8 {
            0 => nul(shape, out),
            byte => out.padded(&[byte], shape),
        },
        Conversion::WideChar(shape) => match args.int()? as u32 {
            0 => nul(shape, out),
            wide => out.padded(character(wide).encode_utf8(&mut [0; 4]).as_bytes(), shape),
        },
        Conversion::WideText(shape) => text(args.wide_text(shape.precision)?.as_deref(), shape, out),
        Conversion::Signed(length, shape) => {
            let value = match length {
                Length::Char => i64::from(args.int()? as i8),
                Length::Short => i64::from(args.int()? as i16),
                Length::Int => i64::from(args.int()?),
                #[allow(clippy::useless_conversion, reason = "long has 32 or 64 bits")]
                Length::Long => i64::from(args.long()?),
                Length::LongLong => args.long_long()?,
            };
            out.number(&Number::decimal(value < 0, value.unsigned_abs(), shape.precision), shape)
        }
        Conversion::Unsigned(length, shape) => {
            let value = unsigned(length, args)?;
            out.number(&Number::decimal(false, value, shape.precision), shape)
        }
        Conversion::UnsignedHex(length, shape) => {
            let value = unsigned(length, args)?;
            out.number(&Number::hex(value, shape.precision), shape)
        }
        Conversion::Real(style, upper, shape) => {
            let (value, precision) = (args.double()?, shape.precision);
            let number = match style {
                Style::Fixed => Number::fixed(value, precision),
                Style::Scientific => Number::scientific(value, precision),
                Style::Shortest => Number::shortest(value, precision),
            };
            out.number(&if upper { number.upper() } else { number }, shape)
        }
    }
}

/// A character that is NUL: the original copied up to the first NUL of what `printf` had made.
fn nul(shape: Shape, out: &mut Out<'_>) -> Result<(), Code> {
    let before = if shape.left { 0 } else { shape.width.saturating_sub(1) };
    out.fill(b' ', before)?;
    out.write(b"")
}

/// A wide character; U+FFFD for what is none.
pub(super) fn character(wide: u32) -> char {
    char::from_u32(wide).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A length given as C's `int`.
pub(super) fn length(len: c_int) -> Result<usize, Code> {
    usize::try_from(len).map_err(|_| Code::BadArgument)
}

fn unsigned(length: Length, args: &mut dyn Args) -> Result<u64, Code> {
    Ok(match length {
        Length::Char => u64::from(args.int()? as u8),
        Length::Short => u64::from(args.int()? as u16),
        Length::Int => u64::from(args.int()? as u32),
        #[allow(clippy::useless_conversion, reason = "long has 32 or 64 bits")]
        Length::Long => u64::from(args.long()? as core::ffi::c_ulong),
        Length::LongLong => args.long_long()? as u64,
    })
}

/// `%s` and `%.*s`.
fn text(text: Option<&[u8]>, shape: Shape, out: &mut Out<'_>) -> Result<(), Code> {
    // What glibc does with NULL: never a part of "(null)".
    const NULL: &[u8] = b"(null)";
    let text = match text {
        Some(text) => text,
        None if shape.precision.is_some_and(|limit| limit < NULL.len()) => &[],
        None => NULL,
    };
    out.padded(text, shape)
}

/// `%Q` and `%.*Q`.
fn quote(text: Option<&[u8]>, out: &mut Out<'_>) -> Result<(), Code> {
    match text {
        Some(text) => out.quoted(|out| escape_into(text, &mut |piece| out.write(piece))),
        None => out.write(b"null"),
    }
}

/// `mgos_json_escape`: the inside of a JSON string. Returns what the sink counted.
pub(crate) fn escape(text: &[u8], sink: &mut dyn Sink) -> Result<usize, Code> {
    let mut out = Out { sink, written: 0, counted: 0 };
    if text.is_empty() {
        // A printer that ends its text with a NUL has to hear of it.
        out.write(text)?;
    }
    escape_into(text, &mut |piece| out.write(piece))?;
    Ok(out.counted)
}

fn escape_into(text: &[u8], put: &mut dyn FnMut(&[u8]) -> Result<(), Code>) -> Result<(), Code> {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|&b| needs_escape(b)) {
            let (plain, special) = rest.split_at(at);
            if !plain.is_empty() {
                put(plain)?;
            }
            put_escape(special[0], put)?;
            rest = &special[1..];
        }
        if !rest.is_empty() {
            put(rest)?;
        }
        // One replacement for each byte that is no part of a character.
        for _ in chunk.invalid() {
            put("\u{fffd}".as_bytes())?;
        }
    }
    Ok(())
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f || byte == b'"' || byte == b'\\'
}

fn put_escape(byte: u8, put: &mut dyn FnMut(&[u8]) -> Result<(), Code>) -> Result<(), Code> {
    match byte {
        b'"' => put(b"\\\""),
        b'\\' => put(b"\\\\"),
        0x08 => put(b"\\b"),
        0x0c => put(b"\\f"),
        b'\n' => put(b"\\n"),
        b'\r' => put(b"\\r"),
        b'\t' => put(b"\\t"),
        _ => {
            let [high, low] = hex_digits(byte);
            put(&[b'\\', b'u', b'0', b'0', high, low])
        }
    }
}

fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn write_hex(data: &[u8], out: &mut Out<'_>) -> Result<(), Code> {
    for part in data.chunks(32) {
        let mut text = [0u8; 64];
        for (pair, &byte) in text.chunks_exact_mut(2).zip(part) {
            pair.copy_from_slice(&hex_digits(byte));
        }
        out.write(&text[..part.len() * 2])?;
    }
    Ok(())
}

fn write_base64(data: &[u8], out: &mut Out<'_>) -> Result<(), Code> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for part in data.chunks(48) {
        let mut text = [0u8; 64];
        for (quad, three) in text.chunks_exact_mut(4).zip(part.chunks(3)) {
            let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for (i, digit) in quad.iter_mut().enumerate() {
                let used = i <= three.len();
                *digit = if used { DIGITS[(bits >> (18 - 6 * i) & 63) as usize] } else { b'=' };
            }
        }
        out.write(&text[..part.len().div_ceil(3) * 4])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
