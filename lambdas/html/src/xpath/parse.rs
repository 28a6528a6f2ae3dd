//! Expression text to `ast`. Scannerless, as libxml2 does it: what a name or `*` means follows from whether an operand or
//! an operator may stand there. Names of functions, numbers and types of arguments are checked here, so that nothing
//! about an expression alone can fail later. Bounded: length, nesting and operators have a limit.

use super::ast::{Arithmetic, Comparison, Expr, Path, Start, Type};
use super::error::{SelectorError, nearest};
use super::number;

mod call;
mod steps;

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of brackets, predicates and arguments: the evaluator recurses once a level.
const NESTING_MAX: u32 = 48;
/// Most arithmetic and comparison operators that follow another one: chains of them nest to the left.
const CHAINED_MAX: u32 = 256;
/// Most steps of one path, and most predicates of one step.
const STEPS_MAX: usize = 256;

type Parsed<T> = Result<T, SelectorError>;

/// A value for `$name`, bound when the expression is compiled.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// Parses a whole expression. `namespaces` are prefixes with their URIs, besides those that parsel declares.
pub(crate) fn parse(source: &str, variables: &[(&str, Constant)], namespaces: &[(&str, &str)]) -> Parsed<Expr> {
    if source.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression has {} bytes, at most {EXPRESSION_BYTES_MAX} are read", source.len());
        return Err(SelectorError::new(EXPRESSION_BYTES_MAX, message));
    }
    let mut parser = Parser { source, at: 0, nesting: 0, chained: 0, in_predicate: 0, variables, namespaces };
    let expr = parser.expression()?;
    parser.space();
    match parser.peek() {
        None => Ok(expr),
        Some(c) => Err(parser.unexpected(c)),
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
    nesting: u32,
    chained: u32,
    in_predicate: u32,
    variables: &'s [(&'s str, Constant)],
    namespaces: &'s [(&'s str, &'s str)],
}

impl<'s> Parser<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Skips white space, then `text` if it stands there.
    fn take(&mut self, text: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn demand(&mut self, text: &str) -> Parsed<()> {
        if self.take(text) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(c) => self.unexpected(c),
            None => SelectorError::new(self.at, "the expression ends too early"),
        }
        .expected(format!("`{text}`")))
    }

    fn unexpected(&self, c: char) -> SelectorError {
        let error = SelectorError::new(self.at, format!("unexpected `{c}`"));
        let rest = self.rest();
        let before = &self.source[..self.at];
        if rest.starts_with("==") || (c == '=' && before.ends_with('=')) {
            error.hint("equality is a single `=`")
        } else if c == '&' {
            error.hint("write `and`")
        } else if c == '|' && before.ends_with('|') {
            error.hint("write `or`, or a single `|` for the union of two node sets")
        } else if c == '[' && before.ends_with('.') {
            error.hint("`.` takes no predicate: write self::node()[...]")
        } else if c == '#' {
            error.hint("`#id` is CSS; in XPath write [@id=\"...\"]")
        } else {
            error
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            let message = format!("brackets are nested more than {NESTING_MAX} deep");
            return Err(SelectorError::new(self.at, message));
        }
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    /// Counts an operator whose left side is one itself.
    fn count_operator(&mut self, left: &Expr) -> Parsed<()> {
        if !matches!(left, Expr::Compare(..) | Expr::Arithmetic(..)) {
            return Ok(());
        }
        self.chained += 1;
        if self.chained > CHAINED_MAX {
            let message = format!("more than {CHAINED_MAX} arithmetic and comparison operators in chains");
            return Err(SelectorError::new(self.at, message));
        }
        Ok(())
    }

    fn expression(&mut self) -> Parsed<Expr> {
        let mut any = vec![self.conjunction()?];
        while self.take("or") {
            any.push(self.conjunction()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expr::Or(any) })
    }

    fn conjunction(&mut self) -> Parsed<Expr> {
        let mut all = vec![self.equality()?];
        while self.take("and") {
            all.push(self.equality()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn equality(&mut self) -> Parsed<Expr> {
        let mut left = self.relation()?;
        loop {
            let comparison = if self.take("!=") {
                Comparison::NotEqual
            } else if self.take("=") {
                Comparison::Equal
            } else {
                return Ok(left);
            };
            self.count_operator(&left)?;
            left = Expr::Compare(comparison, Box::new(left), Box::new(self.relation()?));
        }
    }

    fn relation(&mut self) -> Parsed<Expr> {
        let mut left = self.sum()?;
        loop {
            let comparison = if self.take("<=") {
                Comparison::LessOrEqual
            } else if self.take("<") {
                Comparison::Less
            } else if self.take(">=") {
                Comparison::GreaterOrEqual
            } else if self.take(">") {
                Comparison::Greater
            } else {
                return Ok(left);
            };
            self.count_operator(&left)?;
            left = Expr::Compare(comparison, Box::new(left), Box::new(self.sum()?));
        }
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut left = self.product()?;
        loop {
            let operation = if self.take("+") {
                Arithmetic::Add
            } else if self.take("-") {
                Arithmetic::Subtract
            } else {
                return Ok(left);
            };
            self.count_operator(&left)?;
            left = Expr::Arithmetic(operation, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let operation = if self.take("*") {
                Arithmetic::Multiply
            } else if self.take("div") {
                Arithmetic::Divide
            } else if self.take("mod") {
                Arithmetic::Modulo
            } else {
                return Ok(left);
            };
            self.count_operator(&left)?;
            left = Expr::Arithmetic(operation, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let mut signs = 0;
        while self.take("-") {
            signs += 1;
        }
        let operand = self.union()?;
        // Two signs leave the number: the operand is still converted to one.
        Ok(match signs {
            0 => operand,
            n if n % 2 == 1 => Expr::Negate(Box::new(operand)),
            _ => Expr::Negate(Box::new(Expr::Negate(Box::new(operand)))),
        })
    }

    fn union(&mut self) -> Parsed<Expr> {
        self.space();
        let mut start = self.at;
        let mut parts = vec![self.path()?];
        loop {
            let here = std::mem::replace(&mut start, self.at);
            if !self.take("|") {
                if parts.len() > 1 && parts.last().map(Expr::kind) != Some(Type::Nodes) {
                    return Err(not_nodes(here, "the right side of `|`"));
                }
                return Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Union(parts) });
            }
            if parts.last().map(Expr::kind) != Some(Type::Nodes) {
                return Err(not_nodes(here, "a side of `|`"));
            }
            self.space();
            start = self.at;
            parts.push(self.path()?);
        }
    }

    /// A location path, or a primary expression with what may follow it.
    fn path(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        if !self.at_primary() {
            return self.location_path();
        }
        let base = self.primary()?;
        let predicates = self.predicates()?;
        let mut steps = Vec::new();
        self.space();
        if self.rest().starts_with('/') {
            self.more_steps(&mut steps)?;
        }
        if predicates.is_empty() && steps.is_empty() {
            return Ok(base);
        }
        if base.kind() != Type::Nodes {
            return Err(not_nodes(start, "what a predicate or a step follows"));
        }
        if let (Expr::Path(mut path), true) = (base.clone(), predicates.is_empty()) {
            path.steps.append(&mut steps);
            return Ok(Expr::Path(path));
        }
        Ok(Expr::Path(Path { start: Start::Filter(Box::new(base), predicates), steps }))
    }

    /// Whether a literal, number, variable, bracket or function call begins here.
    fn at_primary(&self) -> bool {
        let rest = self.rest();
        let mut chars = rest.chars();
        match chars.next() {
            Some('(' | '"' | '\'' | '$' | '0'..='9') => true,
            Some('.') => chars.next().is_some_and(|c| c.is_ascii_digit()),
            Some(c) if is_name_start(c) => {
                let mut length = name_length(rest);
                let mut name = &rest[..length];
                if let Some(local) = rest[length..].strip_prefix(':') {
                    match name_length(local) {
                        0 => return false,
                        more => length += 1 + more,
                    }
                    name = "";
                }
                !matches!(name, "comment" | "text" | "node" | "processing-instruction")
                    && rest[length..].trim_start_matches([' ', '\t', '\r', '\n']).starts_with('(')
            }
            _ => false,
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.nested(Self::expression)?;
                self.demand(")")?;
                Ok(inner)
            }
            Some('"' | '\'') => Ok(Expr::Text(self.literal()?.to_string())),
            Some('$') => self.variable(),
            Some('.' | '0'..='9') => {
                let (value, length) = number::literal(self.rest());
                self.at += length;
                Ok(Expr::Number(value))
            }
            _ => self.call(),
        }
    }

    fn literal(&mut self) -> Parsed<&'s str> {
        self.space();
        let start = self.at;
        let Some(quote @ ('"' | '\'')) = self.peek() else {
            return Err(SelectorError::new(start, "no string here").expected("a string in quotes"));
        };
        match self.source[start + 1..].find(quote) {
            Some(length) => {
                self.at = start + 1 + length + 1;
                Ok(&self.source[start + 1..start + 1 + length])
            }
            None => Err(SelectorError::new(start, "the string is not closed").expected(format!("a closing `{quote}`"))),
        }
    }

    fn variable(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        self.space();
        let name = self.name().ok_or_else(|| SelectorError::new(start, "`$` without a name"))?;
        match self.variables.iter().find(|(known, _)| *known == name) {
            Some((_, Constant::Text(text))) => Ok(Expr::Text(text.clone())),
            Some((_, Constant::Number(value))) => Ok(Expr::Number(*value)),
            Some((_, Constant::Boolean(value))) => Ok(Expr::Boolean(*value)),
            None => {
                let error = SelectorError::new(start, format!("no value is given for ${name}"));
                Err(match nearest(name, self.variables.iter().map(|(known, _)| *known)) {
                    Some(known) => error.hint(format!("did you mean ${known}?")),
                    None => error,
                })
            }
        }
    }

    fn name(&mut self) -> Option<&'s str> {
        let length = name_length(self.rest());
        let name = &self.rest()[..length];
        self.at += length;
        (length > 0).then_some(name)
    }
}

fn not_nodes(offset: usize, what: &str) -> SelectorError {
    SelectorError::new(offset, format!("{what} is no node set")).expected("a path or a function that gives nodes")
}

fn is_name_start(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}' | '\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}' | '\u{2040}')
}

/// Bytes of the name (without colon) that begins `text`; 0 when none does.
fn name_length(text: &str) -> usize {
    if !text.starts_with(is_name_start) {
        return 0;
    }
    text.find(|c| !is_name_char(c)).unwrap_or(text.len())
}
