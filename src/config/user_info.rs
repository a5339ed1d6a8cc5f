//! User name and password in a server address: `mqtt://user:password@host`, percent-encoded (RFC 3986, section 3.2.1).

use super::address_error::AddressError;
use super::profile::Secret;

/// What stands before the `@` of an address, decoded. An empty part is unset, as in the fields `user` and `pass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The user name.
    pub user: Option<String>,
    /// The password: any bytes.
    pub pass: Option<Secret<Vec<u8>>>,
}

/// Takes the credentials out of an address with a scheme: what is left of it, and them. `None` if it has none.
pub fn take(address: &str) -> Result<Option<(String, UserInfo)>, AddressError> {
    let Some((scheme, rest)) = address.split_once("://") else { return Ok(None) };
    if !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((info, host)) = rest[..end].rsplit_once('@') else { return Ok(None) };
    let (user, pass) = match info.split_once(':') {
        Some((user, pass)) => (user, Some(pass)),
        None => (info, None),
    };
    let user = String::from_utf8(decode(user)?).map_err(|_| AddressError::UserUtf8)?;
    let pass = pass.map(decode).transpose()?.map(Secret);
    let info = UserInfo {
        user: Some(user).filter(|user| !user.is_empty()),
        pass: pass.filter(|pass| !pass.is_empty()),
    };
    Ok(Some((format!("{scheme}://{host}{}", &rest[end..]), info)))
}

fn decode(text: &str) -> Result<Vec<u8>, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(AddressError::UserInfoEncoding);
                bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
                rest = behind;
            }
            (b'%' | b'@', _) => return Err(AddressError::UserInfoEncoding),
            _ if !first.is_ascii_graphic() => return Err(AddressError::UserInfoEncoding),
            _ => bytes.push(*first),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(address: &str) -> (String, Option<String>, Option<Vec<u8>>) {
        let (rest, info) = take(address).unwrap().unwrap();
        (rest, info.user, info.pass.map(|pass| pass.to_vec()))
    }

    #[test]
    fn parts_are_decoded_and_leave_the_rest_as_it_is() {
        let user = |text: &str| Some(text.to_owned());
        let pass = |bytes: &[u8]| Some(bytes.to_vec());
        for (address, rest, name, word) in [
            ("mqtt://u:p@h:1", "mqtt://h:1", user("u"), pass(b"p")),
            ("WSS://u@h/mqtt?a@b", "WSS://h/mqtt?a@b", user("u"), None),
            ("mqtts://a%40b:%2F%3a%00%ff@[::1]", "mqtts://[::1]", user("a@b"), pass(b"/:\0\xff")),
            ("mqtt://b%C3%BCro:a:b@h", "mqtt://h", user("büro"), pass(b"a:b")),
            ("mqtt://:token@h", "mqtt://h", None, pass(b"token")),
            ("mqtt://u:@h", "mqtt://h", user("u"), None),
            ("mqtt://@h", "mqtt://h", None, None),
        ] {
            assert_eq!(taken(address), (rest.to_owned(), name, word), "{address}");
        }
        for without in ["h", "u:p@h", "mqtt://h", "ws://h/a@b", "unix:/a@b", "unix:/a://b@c", ""] {
            assert_eq!(take(without), Ok(None), "{without}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for address in ["mqtt://a@b@h", "mqtt://a%4@h", "mqtt://a:%@h", "mqtt://a:%zz@h", "mqtt://ü@h"] {
            assert_eq!(take(address), Err(AddressError::UserInfoEncoding), "{address}");
        }
        assert_eq!(take("mqtt://%ff@h"), Err(AddressError::UserUtf8));
    }
}
