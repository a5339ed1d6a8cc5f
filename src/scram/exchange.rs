//! One exchange: client and server prove to each other that they know a password, and neither learns it from the other.
//!
//! | step                         | what travels |
//! |------------------------------|--------------|
//! | [`Login::hello`]             | to the server: name and nonce |
//! | [`Hello::challenged`]        | from the server: its nonce, a salt, how often to hash |
//! | [`Challenge::answer`]        | to the server: the client's proof. Takes long (PBKDF2): not for a thread that drives a loop |
//! | [`Answer::proof`]            | from the server: its own proof |
//!
//! Without channel binding: its messages begin with "n,,". Names and passwords are printable ASCII, which SASLprep (RFC
//! 4013) leaves as it is; everything else is refused.

use core::num::NonZeroU32;

use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use zeroize::Zeroizing;

use super::method::{FEWEST_ITERATIONS, METHOD};
use crate::base64;
use crate::error::{Code, Trouble};

/// Bytes of randomness in a nonce.
const NONCE: usize = 18;

/// "n,,": without channel binding, and for oneself.
const HEADER: &str = "n,,";

fn bad_login(text: &str) -> Trouble {
    Trouble { code: Code::BadConfig, text: text.into() }
}

fn bad_challenge(what: &str) -> Trouble {
    Trouble {
        code: Code::AuthenticationFailed,
        text: format!("the server's challenge for {METHOD} is not valid: {what}"),
    }
}

/// A user name and its password.
pub struct Login {
    /// As it travels.
    name: String,
    password: Zeroizing<Vec<u8>>,
}

impl Login {
    /// [`Code::BadConfig`] if one of the two is missing or not printable ASCII.
    pub fn new(user: &str, password: &[u8]) -> Result<Login, Trouble> {
        let printable = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if user.is_empty() {
            return Err(bad_login("SCRAM-SHA-256 needs a user name"));
        }
        if password.is_empty() {
            return Err(bad_login("SCRAM-SHA-256 needs a password"));
        }
        if !printable(user.as_bytes()) {
            return Err(bad_login(
                "user: SCRAM-SHA-256 takes names of printable ASCII characters (others would have to be prepared, RFC \
                 4013): use such a name, or authenticate with the password itself, over TLS",
            ));
        }
        if !printable(password) {
            return Err(bad_login(
                "password: SCRAM-SHA-256 takes passwords of printable ASCII characters (others would have to be prepared, \
                 RFC 4013): use such a password, or authenticate with the password itself, over TLS",
            ));
        }
        let name = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Login { name, password: Zeroizing::new(password.to_vec()) })
    }

    /// Begins an exchange, with a nonce that no other has.
    pub fn hello(&self) -> Result<Hello, Trouble> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Trouble {
            code: Code::NoResources,
            text: "the system gave no random bytes for SCRAM-SHA-256".into(),
        })?;
        Ok(self.hello_with(base64::encode(&nonce)))
    }

    fn hello_with(&self, nonce: String) -> Hello {
        Hello { message: format!("{HEADER}n={},r={nonce}", self.name), nonce }
    }
}

/// The client has said who it is.
pub struct Hello {
    message: String,
    nonce: String,
}

impl Hello {
    /// What it says (client-first-message).
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Takes the server's answer (server-first-message). A server that wants more than `most` rounds is refused, since it
    /// could keep a thread busy for hours; and one that wants fewer than 4096, since they protect the password.
    ///
    /// [`Code::AuthenticationFailed`] if the answer is not valid.
    pub fn challenged(self, login: &Login, answer: &[u8], most: u32) -> Result<Challenge, Trouble> {
        let answer = str::from_utf8(answer).map_err(|_| bad_challenge("it is not UTF-8"))?;
        let mut parts = answer.split(',');
        let mut part = |name: &str, what: &str| {
            let part = parts.next().unwrap_or_default();
            part.strip_prefix(name).ok_or_else(|| match part.strip_prefix("e=") {
                Some(_) => bad_challenge("the server reports an error instead"),
                None if part.starts_with("m=") => bad_challenge("it demands an extension"),
                None => bad_challenge(what),
            })
        };
        let nonce = part("r=", "it does not begin with a nonce")?;
        let salt = part("s=", "it has no salt behind the nonce")?;
        let rounds = part("i=", "it has no iteration count behind the salt")?;
        let added = nonce.strip_prefix(&self.nonce).filter(|added| !added.is_empty());
        if added.is_none() || !nonce.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
            return Err(bad_challenge("its nonce does not begin with ours and go on"));
        }
        let salt = base64::decode(salt)
            .filter(|salt| !salt.is_empty())
            .ok_or_else(|| bad_challenge("its salt is not Base64"))?;
        let digits = !rounds.is_empty() && rounds.bytes().all(|digit| digit.is_ascii_digit());
        if !digits || rounds.starts_with('0') {
            return Err(bad_challenge("its iteration count is not a positive number"));
        }
        // What does not fit is too many.
        let rounds = rounds.parse::<u32>().unwrap_or(u32::MAX);
        if rounds < FEWEST_ITERATIONS {
            let what = format!(
                "it wants {rounds} iterations, and at least {FEWEST_ITERATIONS} protect a password (RFC 7677)"
            );
            return Err(bad_challenge(&what));
        }
        if rounds > most {
            let what = format!("it wants more than the {most} iterations that scram_max_iterations allows");
            return Err(bad_challenge(&what));
        }
        let Some(rounds) = NonZeroU32::new(rounds) else {
            return Err(bad_challenge("it wants no iterations"));
        };
        let bare = &self.message[HEADER.len()..];
        let without_proof = format!("c={},r={nonce}", base64::encode(HEADER.as_bytes()));
        Ok(Challenge {
            signed: format!("{bare},{answer},{without_proof}"),
            without_proof,
            salt,
            rounds,
            password: login.password.clone(),
        })
    }
}

/// The server's challenge, and what it needs for an answer.
pub struct Challenge {
    /// What both sides sign (AuthMessage).
    signed: String,
    without_proof: String,
    salt: Vec<u8>,
    rounds: NonZeroU32,
    password: Zeroizing<Vec<u8>>,
}

impl Challenge {
    /// Makes the proofs of both sides. Takes as long as the server's iteration count says.
    pub fn answer(self) -> Answer {
        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, self.rounds, &self.salt, &self.password, &mut *salted);
        let mut proof = sign(&*salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &*proof);
        let signature = sign(stored_key.as_ref(), self.signed.as_bytes());
        let server_key = sign(&*salted, b"Server Key");
        let server_signature = sign(&*server_key, self.signed.as_bytes());
        proof.iter_mut().zip(signature.iter()).for_each(|(key, sign)| *key ^= sign);
        let proof = Zeroizing::new(base64::encode(&*proof));
        // Without growing: a vector that grows leaves copies behind.
        let parts = [&self.without_proof, ",p=", &proof];
        let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
        Answer { message, proof: format!("v={}", base64::encode(&*server_signature)).into_bytes() }
    }
}

fn sign(key: &[u8], message: &[u8]) -> Zeroizing<[u8; digest::SHA256_OUTPUT_LEN]> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut copy = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    copy.copy_from_slice(tag.as_ref());
    copy
}

/// What the client sends, and what the server has to send then.
pub struct Answer {
    /// The client's last message (client-final-message), with its proof.
    pub message: Zeroizing<Vec<u8>>,
    /// What the server's last message (server-final-message) begins with if it knows the password. Extensions may follow,
    /// behind a comma.
    pub proof: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const MOST: u32 = 1_000_000;

    fn hello() -> (Login, Hello) {
        let login = Login::new("user", b"pencil").ok().unwrap();
        let hello = login.hello_with(NONCE.into());
        (login, hello)
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let (login, hello) = hello();
        assert_eq!(hello.message(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge =
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = hello.challenged(&login, challenge, MOST).ok().unwrap().answer();
        let message = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(str::from_utf8(&answer.message), Ok(message));
        assert_eq!(answer.proof, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// Checked with another implementation: a name that has to be escaped, more than 4096 rounds, an extension.
    #[test]
    fn names_are_escaped_and_extensions_are_signed() {
        let login = Login::new("a=b,c", b"p a,=s").ok().unwrap();
        let hello = login.hello_with("abc".into());
        assert_eq!(hello.message(), b"n,,n=a=3Db=2Cc,r=abc");
        let answer =
            hello.challenged(&login, b"r=abcdef,s=c2FsdA==,i=5000,x=more", MOST).ok().unwrap().answer();
        let message = "c=biws,r=abcdef,p=BuRceLHdVoEYEBxQBQuoy946B4GDZtmD5PiJhkMp5Uw=";
        assert_eq!(str::from_utf8(&answer.message), Ok(message));
        assert_eq!(str::from_utf8(&answer.proof), Ok("v=eojMJhzGfhhDFB31NFIPE1Gh33BtpG6yPb7vxDSfob8="));
    }

    #[test]
    fn every_exchange_has_its_own_nonce() {
        let login = Login::new("u", b"p").ok().unwrap();
        let [one, two] = [(); 2].map(|()| login.hello().ok().unwrap());
        assert_ne!(one.message(), two.message());
        assert_eq!(one.message().len(), "n,,n=u,r=".len() + 24);
    }

    #[test]
    fn a_hostile_server() {
        let text = |challenge: &[u8]| {
            let (login, hello) = hello();
            let trouble = hello.challenged(&login, challenge, MOST).err().expect("no trouble");
            assert_eq!(trouble.code, Code::AuthenticationFailed);
            trouble.text.split_once(": ").unwrap().1.to_owned()
        };
        let with =
            |nonce: &str, salt: &str, rounds: &str| text(format!("r={nonce},s={salt},i={rounds}").as_bytes());
        let nonce = &format!("{NONCE}x");
        for (challenge, what) in [
            (&b""[..], "it does not begin with a nonce"),
            (b"r", "it does not begin with a nonce"),
            (b",,,", "it does not begin with a nonce"),
            (b"\xff\xfe", "it is not UTF-8"),
            (b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=c2E=,i=4096", "it demands an extension"),
            (b"e=unknown-user", "the server reports an error instead"),
            (b"r=rOprNGfwEbeRWgbNEkqOx", "it has no salt behind the nonce"),
            (b"r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=c2E=", "it has no salt behind the nonce"),
            (b"r=rOprNGfwEbeRWgbNEkqOx,s=c2E=", "it has no iteration count behind the salt"),
        ] {
            assert_eq!(text(challenge), what);
        }
        let other = "its nonce does not begin with ours and go on";
        for bad in [
            "",
            "r",
            "rOprNGfwEbeRWgbNEkq",
            NONCE,
            "ROprNGfwEbeRWgbNEkqOx",
            "rOprNGfwEbeRWgbNEkqO x",
            "rOprNGfwEbeRWgbNEkqO\u{e9}",
        ] {
            assert_eq!(with(bad, "c2E=", "4096"), other, "{bad:?}");
        }
        for bad in ["", "=", "c2E", "c2F=", "****", "c2E=="] {
            assert_eq!(with(nonce, bad, "4096"), "its salt is not Base64", "{bad:?}");
        }
        for bad in ["", "0", "04096", "-4096", "+4096", "4096 ", "4e3", "x"] {
            assert_eq!(with(nonce, "c2E=", bad), "its iteration count is not a positive number", "{bad:?}");
        }
        for bad in ["1", "4095"] {
            let what = format!("it wants {bad} iterations, and at least 4096 protect a password (RFC 7677)");
            assert_eq!(with(nonce, "c2E=", bad), what);
        }
        for bad in ["1000001", "4294967295", "4294967296", "99999999999999999999999999"] {
            let what = "it wants more than the 1000000 iterations that scram_max_iterations allows";
            assert_eq!(with(nonce, "c2E=", bad), what);
        }
    }

    #[test]
    fn logins_that_cannot_be_used() {
        let trouble = |user: &str, password: &[u8]| {
            Login::new(user, password).err().map(|trouble| {
                assert_eq!(trouble.code, Code::BadConfig);
                trouble.text
            })
        };
        assert_eq!(trouble("", b"p").unwrap(), "SCRAM-SHA-256 needs a user name");
        assert_eq!(trouble("u", b"").unwrap(), "SCRAM-SHA-256 needs a password");
        for user in ["\u{e9}", "a\tb", "a\u{7f}", "\u{2168}"] {
            assert!(
                trouble(user, b"p")
                    .unwrap()
                    .starts_with("user: SCRAM-SHA-256 takes names of printable ASCII")
            );
        }
        for password in ["\u{e9}".as_bytes(), b"a\0", b"\xff", b"\x1f"] {
            let text = trouble("u", password).unwrap();
            assert!(text.starts_with("password: SCRAM-SHA-256 takes passwords of printable ASCII"));
        }
        assert_eq!(trouble(" ~", b" ~"), None);
    }
}
