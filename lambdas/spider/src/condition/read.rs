//! From the text of a condition to its tree, or to what is wrong where.

use super::{Condition, Literal, Node, Operator, TextTest, Variable};
use regex::Regex;

/// Longest condition, and deepest nesting: far more than anybody writes.
const BYTES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 64;

const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// What is wrong with a condition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Byte where.
    pub at: usize,
    pub what: String,
    pub expected: String,
}

/// Reads a condition. `known` gives a name's variable; `names` are those that it knows, for messages.
pub(crate) fn read(
    text: &str,
    known: &dyn Fn(&str) -> Option<Variable>,
    names: &dyn Fn() -> String,
) -> Result<Condition, Wrong> {
    let mut reader = Reader { text, at: 0, depth: 0, known, names };
    if text.len() > BYTES_MAX {
        return Err(reader.wrong("the condition is too long", &format!("at most {BYTES_MAX} bytes")));
    }
    let node = reader.or()?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.unexpected("an operator (== != < <= > >= in && ||) or the end"));
    }
    Ok(Condition(node))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    known: &'t dyn Fn(&str) -> Option<Variable>,
    names: &'t dyn Fn() -> String,
}

impl Reader<'_> {
    fn wrong(&self, what: &str, expected: &str) -> Wrong {
        Wrong { at: self.at, what: what.to_owned(), expected: expected.to_owned() }
    }

    fn unexpected(&self, expected: &str) -> Wrong {
        match self.rest().chars().next() {
            Some(c) => self.wrong(&format!("`{c}` is not expected here"), expected),
            None => self.wrong("the condition ends too early", expected),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a sign, when it is next.
    fn take(&mut self, sign: &str) -> bool {
        self.space();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    fn need(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn word(&mut self) -> Option<&str> {
        self.space();
        let rest = self.rest();
        let is_in = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = rest.find(|c| !is_in(c)).unwrap_or(rest.len());
        if length == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let start = self.at;
        self.at += length;
        Some(&self.text[start..self.at])
    }

    fn or(&mut self) -> Result<Node, Wrong> {
        if self.depth >= DEPTH_MAX {
            return Err(self.wrong("the condition is nested too deep", &format!("at most {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let mut node = self.and()?;
        while self.take("||") {
            node = Node::Or(Box::new(node), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn and(&mut self) -> Result<Node, Wrong> {
        let mut node = self.relation()?;
        while self.take("&&") {
            node = Node::And(Box::new(node), Box::new(self.relation()?));
        }
        Ok(node)
    }

    fn relation(&mut self) -> Result<Node, Wrong> {
        let one = self.unary()?;
        for (sign, operator) in OPERATORS {
            if self.take(sign) {
                return Ok(Node::Compare(operator, Box::new(one), Box::new(self.unary()?)));
            }
        }
        let before = self.at;
        if self.word() == Some("in") {
            return Ok(Node::In(Box::new(one), Box::new(self.unary()?)));
        }
        self.at = before;
        Ok(one)
    }

    fn unary(&mut self) -> Result<Node, Wrong> {
        let mut negations = 0;
        while self.take("!") {
            negations += 1;
        }
        let node = self.with_methods()?;
        Ok(if negations % 2 == 1 { Node::Not(Box::new(node)) } else { node })
    }

    /// A value and what is asked of it: `title.contains("x")`, `size(tags)`.
    fn with_methods(&mut self) -> Result<Node, Wrong> {
        let mut node = self.primary()?;
        while self.take(".") {
            let at = self.at;
            let Some(name) = self.word().map(str::to_owned) else { return Err(self.unexpected("a name")) };
            if !self.take("(") {
                node = Node::Member(Box::new(node), name.into());
                continue;
            }
            node = self.method(node, &name, at)?;
            self.need(")")?;
        }
        Ok(node)
    }

    fn method(&mut self, of: Node, name: &str, at: usize) -> Result<Node, Wrong> {
        let test = match name {
            "contains" => TextTest::Contains,
            "startsWith" => TextTest::StartsWith,
            "endsWith" => TextTest::EndsWith,
            "size" => return Ok(Node::Size(Box::new(of))),
            "lowerAscii" => return Ok(Node::Lower(Box::new(of))),
            "matches" => {
                self.space();
                let at = self.at;
                let Node::Literal(Literal::Text(pattern)) = self.primary()? else {
                    return Err(Wrong {
                        at,
                        what: "`matches` takes a text".into(),
                        expected: "a regex in quotes".into(),
                    });
                };
                let regex = Regex::new(&pattern).map_err(|error| {
                    let what = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                    Wrong { at, what: format!("the regex cannot be read: {what}"), expected: "a regex".into() }
                })?;
                return Ok(Node::Matches(Box::new(of), regex));
            }
            _ => {
                return Err(Wrong {
                    at,
                    what: format!("there is no `.{name}()`"),
                    expected: "one of contains, startsWith, endsWith, matches, size, lowerAscii".into(),
                });
            }
        };
        Ok(Node::Text(test, Box::new(of), Box::new(self.or()?)))
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        self.space();
        if self.take("(") {
            let node = self.or()?;
            self.need(")")?;
            return Ok(node);
        }
        if self.take("[") {
            let mut list = Vec::new();
            while !self.take("]") {
                if !list.is_empty() {
                    self.need(",")?;
                }
                list.push(self.or()?);
            }
            return Ok(Node::List(list));
        }
        let rest = self.rest();
        if rest.starts_with(['"', '\'']) {
            return self.text_literal(false);
        }
        if rest.starts_with("r\"") || rest.starts_with("r'") {
            self.at += 1;
            return self.text_literal(true);
        }
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return self.number();
        }
        let at = self.at;
        let Some(word) = self.word().map(str::to_owned) else {
            return Err(self.unexpected("a value, a text in quotes, a number, `(` or `!`"));
        };
        match word.as_str() {
            "true" | "false" => return Ok(Node::Literal(Literal::Bool(word == "true"))),
            "null" => return Ok(Node::Literal(Literal::Null)),
            "has" | "size" if self.take("(") => {
                let node = Box::new(self.or()?);
                self.need(")")?;
                return Ok(if word == "has" { Node::Has(node) } else { Node::Size(node) });
            }
            _ => {}
        }
        self.name(at, word)
    }

    /// A name with dots in it: as much of it as is known, the rest are members.
    fn name(&mut self, at: usize, first: String) -> Result<Node, Wrong> {
        let mut name = first;
        loop {
            if let Some(variable) = (self.known)(&name) {
                return Ok(Node::Variable(variable));
            }
            let next = if self.take(".") { self.word().map(str::to_owned) } else { None };
            let Some(next) = next else {
                let what = format!("there is no value `{name}` here");
                return Err(Wrong { at, what, expected: (self.names)() });
            };
            name = format!("{name}.{next}");
        }
    }

    fn number(&mut self) -> Result<Node, Wrong> {
        let rest = self.rest();
        let is_in = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let text = &rest[..rest.find(|c| !is_in(c)).unwrap_or(rest.len())];
        let literal = match (text.parse(), text.parse::<f64>()) {
            (Ok(number), _) => Literal::Int(number),
            (Err(_), Ok(number)) if number.is_finite() => Literal::Float(number),
            _ => return Err(self.wrong(&format!("`{text}` is no number"), "a number such as 3, -1 or 2.5")),
        };
        self.at += text.len();
        Ok(Node::Literal(literal))
    }

    fn text_literal(&mut self, raw: bool) -> Result<Node, Wrong> {
        let start = self.at;
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map_or('"', |(_, c)| c);
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at = start + at + c.len_utf8();
                    return Ok(Node::Literal(Literal::Text(out.into())));
                }
                '\\' if !raw => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\''))) => out.push(c),
                    _ => {
                        self.at = start + at;
                        return Err(
                            self.wrong("an escape that there is not", r#"\\, \", \', \n or \t; or r"..." as it is"#)
                        );
                    }
                },
                c => out.push(c),
            }
        }
        Err(self.wrong("a text without its end", &format!("`{quote}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Seen;
    use super::*;
    use std::borrow::Cow;

    fn known(name: &str) -> Option<Variable> {
        match name {
            "url" => Some(Variable::Url),
            "price" => Some(Variable::Field(0)),
            "none" => Some(Variable::Field(1)),
            "args.town" => Some(Variable::Arg("town".into())),
            _ => None,
        }
    }

    fn holds(text: &str) -> Result<bool, String> {
        let value = |variable: &Variable| match variable {
            Variable::Url => Seen::Text(Cow::Borrowed("http://site.test/Old/a.html")),
            Variable::Field(0) => Seen::Float(334.5),
            Variable::Arg(_) => Seen::Text(Cow::Borrowed("leeds")),
            _ => Seen::Null,
        };
        let condition = read(text, &known, &|| "url, price".to_owned()).map_err(|wrong| format!("{wrong:?}"))?;
        condition.holds(&value)
    }

    #[test]
    fn conditions_mean_what_cel_says() {
        for (text, meant) in [
            ("price > 300", true),
            ("price >= 334.5 && price <= 334.5", true),
            ("!(price < 300) && url.contains('/Old/')", true),
            ("url.startsWith(\"http:\") || none > 3", true),
            ("none > 3 || price != -1", true),
            ("false && none > 3", false),
            ("none > 3 && false", false),
            ("url.lowerAscii().contains('/old/') == true", true),
            (r"url.matches(r'/a\.html$')", true),
            ("args.town in ['york', 'leeds']", true),
            ("args.town == 'york'", false),
            ("has(none) || !has(price)", false),
            ("none == null && none != 0", true),
            ("size(args.town) == 5 && args.town.size() > 4.5", true),
            ("'it\\'s' == \"it's\" && 'a' < 'b'", true),
        ] {
            assert_eq!(holds(text), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_tell_is_an_error_of_that_evaluation() {
        for (text, why) in [
            ("none < 3", "null and a number have no order"),
            ("price.contains('3')", "a number is no text"),
            ("price", "a number where true or false is needed"),
            ("1 in url", "nothing is `in` a text"),
        ] {
            assert_eq!(holds(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let wrong = |text: &str| {
            let error = read(text, &known, &|| "url, price".to_owned()).expect_err(text);
            (error.at, error.what)
        };
        assert_eq!(wrong("price > "), (8, "the condition ends too early".into()));
        assert_eq!(wrong("prize > 3"), (0, "there is no value `prize` here".into()));
        assert_eq!(wrong("price = 3"), (6, "`=` is not expected here".into()));
        assert_eq!(wrong("url.like('x')"), (4, "there is no `.like()`".into()));
        assert_eq!(wrong("url == 'x"), (7, "a text without its end".into()));
        assert_eq!(wrong("(url == 'x'").0, 11);
        assert_eq!(wrong("url.matches('(')").0, 12);
        assert!(wrong(&"(".repeat(100)).1.contains("too deep"));
        assert!(wrong(&format!("url == '{}'", "x".repeat(5_000))).1.contains("too long"));
    }
}
