//! Headers of HTTP that an application adds: lines of `Name: value`.

/// What a WebSocket request says by itself (RFC 6455, section 4.1), and what would change its form.
const OURS: [&str; 6] =
    ["host", "upgrade", "connection", "content-length", "transfer-encoding", "sec-websocket-"];

/// What is wrong with the text: the number of the line, counted from 1, and why. Never what stands there: it may be a token.
pub fn check(text: &str) -> Result<(), (usize, &'static str)> {
    for (number, line) in lines(text) {
        let Some((name, value)) = line.split_once(':') else {
            return Err((number, "has no colon: a header is Name: value"));
        };
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err((
                number,
                "has a name that is no name of a header: letters, digits and hyphens before the colon",
            ));
        }
        let name = name.to_ascii_lowercase();
        if OURS.iter().any(|own| name == *own || own.ends_with('-') && name.starts_with(own)) {
            return Err((number, "sets a header that the library sets itself"));
        }
        if !value.bytes().all(|b| b == b'\t' || b == b' ' || b.is_ascii_graphic()) {
            return Err((number, "has a value with other characters than visible ASCII"));
        }
    }
    Ok(())
}

/// The headers as HTTP writes them, each with its CR LF.
pub fn write(text: &str) -> String {
    lines(text).flat_map(|(_, line)| [line, "\r\n"]).collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_checked_and_written() {
        let text = "Authorization: Bearer a.b=\n\nX-One:two\r\n";
        assert_eq!(check(text), Ok(()));
        assert_eq!(write(text), "Authorization: Bearer a.b=\r\nX-One:two\r\n");
        assert_eq!((check(""), write("")), (Ok(()), String::new()));
        for (text, part) in [
            ("a: b\nno colon", "has no colon"),
            ("a: b\n: x", "has a name"),
            ("a: b\na b: x", "has a name"),
            ("a: b\nHOST: x", "sets a header that"),
            ("a: b\nSec-WebSocket-Key: x", "sets a header that"),
            ("a: b\nc: \u{e4}", "has a value"),
            ("a: b\nc: x\ry: z", "has a value"),
            ("a: b\nc: \0", "has a value"),
        ] {
            let (line, why) = check(text).unwrap_err();
            assert!(line == 2 && why.starts_with(part), "{text:?}: {line} {why}");
        }
    }
}
