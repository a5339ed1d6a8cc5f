//! The conditions of `conds` in a mos.yml: comparisons of `mos.platform` and `build_vars.NAME` with texts, joined by
//! `&&`, `||`, `!` and parentheses.

use std::collections::HashMap;

/// What the names in a condition mean.
pub struct Names<'a> {
    /// `mos.platform`.
    pub platform: &'a str,
    /// `build_vars`.
    pub build_vars: &'a HashMap<String, String>,
}

/// Whether a condition holds; the error says what in it is not understood.
pub fn holds(condition: &str, names: &Names<'_>) -> Result<bool, String> {
    let mut reader = Reader { rest: condition.trim(), names, depth: 0 };
    let result = reader.any()?;
    if reader.rest.is_empty() { Ok(result) } else { Err(format!("'{}' is not expected there", reader.rest)) }
}

struct Reader<'a> {
    rest: &'a str,
    names: &'a Names<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut result = self.all()?;
        while self.take("||") {
            result |= self.all()?;
        }
        Ok(result)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut result = self.one()?;
        while self.take("&&") {
            result &= self.one()?;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("more than 100 terms".into());
        }
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.take("!");
            return Ok(!self.one()?);
        }
        if self.take("(") {
            let result = self.any()?;
            return if self.take(")") { Ok(result) } else { Err("a ')' is missing".into()) };
        }
        let left = self.operand()?;
        if self.take("==") {
            Ok(left == self.operand()?)
        } else if self.take("!=") {
            Ok(left != self.operand()?)
        } else {
            Ok(!matches!(left.as_str(), "" | "0" | "false"))
        }
    }

    fn operand(&mut self) -> Result<String, String> {
        for quote in ['"', '\''] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                let (text, rest) = rest.split_once(quote).ok_or("a text has no end")?;
                self.rest = rest.trim_start();
                return Ok(text.into());
            }
        }
        let end =
            self.rest.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(if self.rest.is_empty() {
                "it ends too early".into()
            } else {
                format!("'{}' is not expected there", self.rest)
            });
        }
        self.rest = rest.trim_start();
        if word == "mos.platform" {
            Ok(self.names.platform.into())
        } else if let Some(name) = word.strip_prefix("build_vars.") {
            Ok(self.names.build_vars.get(name).cloned().unwrap_or_default())
        } else if word.starts_with(|c: char| c.is_ascii_digit()) || word == "true" || word == "false" {
            Ok(word.into())
        } else {
            Err(format!("'{word}' is neither mos.platform nor build_vars.NAME"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let build_vars = HashMap::from([("A".into(), "1".into()), ("B".into(), "0".into())]);
        let names = Names { platform: "ubuntu", build_vars: &build_vars };
        for (condition, expected) in [
            ("mos.platform == \"ubuntu\"", Ok(true)),
            ("mos.platform != 'ubuntu'", Ok(false)),
            ("build_vars.A", Ok(true)),
            ("!build_vars.A", Ok(false)),
            ("build_vars.B || build_vars.NONE", Ok(false)),
            ("build_vars.B == \"0\" && (mos.platform == \"esp32\" || build_vars.A == 1)", Ok(true)),
            ("mos.platform", Ok(true)),
            ("mos.target == \"x\"", Err("'mos.target' is neither mos.platform nor build_vars.NAME")),
            ("(build_vars.A", Err("a ')' is missing")),
            ("build_vars.A ==", Err("it ends too early")),
            ("build_vars.A \"x", Err("'\"x' is not expected there")),
        ] {
            assert_eq!(holds(condition, &names), expected.map_err(String::from), "{condition}");
        }
    }
}
