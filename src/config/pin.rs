//! Pins: fingerprints of public keys.

/// The SHA-256 of a certificate's subjectPublicKeyInfo (RFC 7469, section 2.4).
pub type Pin = [u8; 32];

/// What a pin begins with, where a file name is possible too.
const PREFIX: &str = "sha256/";

/// Whether the text is a list of pins and not the name of a file.
pub fn is_list(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The pins of a list, separated by commas, semicolons or blanks: each is 44 characters of Base64 or 64
/// hexadecimal digits, with or without `sha256/` before it. The error is the first word that is not a pin.
pub fn parse(list: &str) -> Result<Vec<Pin>, &str> {
    list.split([',', ';', ' ', '\n'])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let bare = word.strip_prefix(PREFIX).unwrap_or(word);
            // curl writes two slashes.
            let bare = if bare.len() == 45 { bare.strip_prefix('/').unwrap_or(bare) } else { bare };
            hexadecimal(bare).or_else(|| base64(bare)).ok_or(word)
        })
        .collect()
}

fn hexadecimal(text: &str) -> Option<Pin> {
    let mut pin = Pin::default();
    if text.len() != 2 * pin.len() {
        return None;
    }
    for (byte, digits) in pin.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |n: usize| char::from(digits[n]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(pin)
}

fn base64(text: &str) -> Option<Pin> {
    let padded = if text.len() == 43 { format!("{text}=") } else { text.to_owned() };
    crate::base64::decode(&padded)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is written: `sha256/` and Base64.
    fn write(pin: &Pin) -> String {
        format!("{PREFIX}{}", crate::base64::encode(pin))
    }

    #[test]
    fn both_ways_of_writing() {
        let pin: Pin = std::array::from_fn(|n| (n * 37) as u8);
        let text = write(&pin);
        assert_eq!(text.len(), 51);
        let hex: String = pin.iter().map(|byte| format!("{byte:02X}")).collect();
        let curl = text.replacen('/', "//", 1);
        let bare = &text[7..];
        let all = format!("{text}, {hex};{curl} {bare}\n{}", bare.trim_end_matches('='));
        assert_eq!(parse(&all), Ok(vec![pin; 5]));
        assert_eq!(write(&[0xff; 32]), "sha256///////////////////////////////////////////8=");
        assert_eq!(parse("sha256///////////////////////////////////////////8="), Ok(vec![[0xff; 32]]));
        assert_eq!(parse(" ,"), Ok(vec![]));
    }

    #[test]
    fn what_is_none() {
        let long = "A".repeat(45);
        for bad in [
            "x",
            "sha256/",
            "sha1/AAAA",
            &long,
            &"A".repeat(42),
            &format!("{}B", "A".repeat(42)),
            &"g".repeat(64),
        ] {
            assert_eq!(parse(bad), Err(bad));
        }
    }
}
