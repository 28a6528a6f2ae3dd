//! Tokens to selectors. What cssselect refuses is refused here, so that nobody relies on what Scrapy cannot run.

use super::selector::{Attribute, Complex, Compound, Condition, PseudoElement, Selector};
use super::token::{Kind, Token, tokens};
use crate::xpath::error::SelectorError;

/// Most conditions on one element, and most elements in one selector: their translations nest.
const CONDITIONS_MAX: usize = 32;
const COMPOUNDS_MAX: usize = 64;
/// Deepest nesting of functional pseudo-classes.
const NESTING_MAX: usize = 16;

type Parsed<T> = Result<T, SelectorError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Top,
    Not,
    List,
    Has,
}

pub(super) fn parse(css: &str) -> Parsed<Vec<Selector>> {
    let tokens = tokens(css)?;
    let mut parser = Parser { tokens, at: 0, nesting: 0 };
    let mut group = Vec::new();
    loop {
        parser.space();
        group.push(parser.selector()?);
        if !parser.peek().is(",") {
            break;
        }
        parser.at += 1;
    }
    match parser.peek().kind {
        Kind::End => Ok(group),
        _ => Err(parser.unexpected("the end or `,`")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is End, and nothing moves past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> SelectorError {
        let token = self.peek();
        SelectorError::new(token.at, format!("{} cannot stand here", token.shown())).expected(expected)
    }

    fn ident(&mut self) -> Parsed<String> {
        match self.peek().kind {
            Kind::Ident => Ok(self.next().value),
            _ => Err(self.unexpected("a name")),
        }
    }

    fn ident_or_star(&mut self) -> Parsed<Option<String>> {
        if self.peek().is("*") {
            self.at += 1;
            return Ok(None);
        }
        self.ident().map(Some).map_err(|error| error.expected("a name or `*`"))
    }

    /// A combinator and nothing else, or `None` where the selector ends.
    fn combinator(&mut self) -> Option<char> {
        self.space();
        let token = self.peek();
        let found = ['+', '>', '~'].into_iter().find(|c| token.is(c.encode_utf8(&mut [0; 4])));
        if found.is_some() {
            self.at += 1;
            self.space();
        }
        found
    }

    fn selector(&mut self) -> Parsed<Selector> {
        let (first, mut pseudo_element) = self.compound(Inside::Top, true)?;
        let mut complex = Complex { first, rest: Vec::new() };
        loop {
            self.space();
            if self.peek().kind == Kind::End || self.peek().is(",") {
                return Ok(Selector { complex, pseudo_element });
            }
            if let Some(element) = &pseudo_element {
                return Err(self.not_at_the_end(element));
            }
            let combinator = self.combinator().unwrap_or(' ');
            let (next, element) = self.compound(Inside::Top, false)?;
            self.push(&mut complex, combinator, next)?;
            pseudo_element = element;
        }
    }

    fn push(&self, complex: &mut Complex, combinator: char, next: Compound) -> Parsed<()> {
        complex.rest.push((combinator, next));
        if complex.rest.len() < COMPOUNDS_MAX {
            return Ok(());
        }
        Err(SelectorError::new(self.peek().at, format!("more than {COMPOUNDS_MAX} elements in one selector")))
    }

    fn not_at_the_end(&self, element: &PseudoElement) -> SelectorError {
        SelectorError::new(self.peek().at, format!("::{} is not at the end of its selector", element.name))
            .expected("`,` or the end")
    }

    /// A selector inside brackets, up to one of `ends`, which is not taken.
    fn inner(&mut self, inside: Inside, ends: &[&str]) -> Parsed<Complex> {
        let (first, mut pseudo_element) = self.compound(inside, false)?;
        let mut complex = Complex { first, rest: Vec::new() };
        loop {
            self.space();
            if let Some(element) = pseudo_element {
                return Err(SelectorError::new(element.at, format!("::{} cannot stand in brackets", element.name)));
            }
            if ends.iter().any(|end| self.peek().is(end)) {
                return Ok(complex);
            }
            if self.peek().kind == Kind::End || self.peek().is(",") {
                return Err(self.unexpected("`)`"));
            }
            let combinator = self.combinator().unwrap_or(' ');
            let (next, element) = self.compound(inside, false)?;
            self.push(&mut complex, combinator, next)?;
            pseudo_element = element;
        }
    }

    fn compound(&mut self, inside: Inside, at_start: bool) -> Parsed<(Compound, Option<PseudoElement>)> {
        self.space();
        let start = self.at;
        let mut compound = Compound::default();
        if self.peek().kind == Kind::Ident || self.peek().is("*") {
            let first = self.ident_or_star()?;
            if self.peek().is("|") {
                self.at += 1;
                compound.namespace = Some(first.unwrap_or_else(|| "*".to_string()));
                compound.element = self.ident_or_star()?;
            } else {
                compound.element = first;
            }
        } else if self.peek().is("|") {
            self.at += 1;
            compound.element = self.ident_or_star()?;
        }
        let mut pseudo_element = None;
        loop {
            let token = self.peek().clone();
            let ends = matches!(token.kind, Kind::Space | Kind::End);
            if ends || [",", "+", ">", "~", ")"].iter().any(|end| token.is(end)) {
                break;
            }
            if let Some(element) = &pseudo_element {
                return Err(self.not_at_the_end(element));
            }
            if compound.conditions.len() >= CONDITIONS_MAX {
                let message = format!("more than {CONDITIONS_MAX} conditions on one element");
                return Err(SelectorError::new(token.at, message));
            }
            if token.kind == Kind::Hash {
                self.at += 1;
                compound.conditions.push(Condition::Hash(token.value));
            } else if token.is(".") {
                self.at += 1;
                compound.conditions.push(Condition::Class(self.ident()?));
            } else if token.is("[") {
                self.at += 1;
                compound.conditions.push(Condition::Attribute(self.attribute()?));
            } else if token.is(":") {
                self.at += 1;
                if self.peek().is(":") {
                    self.at += 1;
                    pseudo_element = Some(self.pseudo_element()?);
                } else {
                    let at = self.peek().at;
                    match self.pseudo_class(inside, at_start)? {
                        Some(condition) => compound.conditions.push(condition),
                        // CSS 2.1 wrote these with one colon.
                        None => {
                            let name = self.tokens[self.at - 1].value.clone();
                            pseudo_element = Some(PseudoElement { name, arguments: None, at });
                        }
                    }
                }
            } else {
                return Err(self.unexpected("a selector"));
            }
        }
        if self.at == start {
            return Err(self.unexpected("a selector: an element, `.class`, `#id`, `[attribute]` or `:pseudo-class`"));
        }
        Ok((compound, pseudo_element))
    }

    fn pseudo_element(&mut self) -> Parsed<PseudoElement> {
        let at = self.peek().at;
        let name = self.ident()?.to_ascii_lowercase();
        let arguments = match self.peek().is("(") {
            true => {
                self.at += 1;
                Some(self.arguments()?)
            }
            false => None,
        };
        Ok(PseudoElement { name, arguments, at })
    }

    fn pseudo_class(&mut self, inside: Inside, at_start: bool) -> Parsed<Option<Condition>> {
        let at = self.peek().at;
        let name = self.ident()?.to_ascii_lowercase();
        if matches!(name.as_str(), "first-line" | "first-letter" | "before" | "after") {
            return Ok(None);
        }
        if !self.peek().is("(") {
            if name == "scope" && !at_start {
                return Err(SelectorError::new(at, ":scope is not at the start of its selector"));
            }
            return Ok(Some(Condition::Pseudo { name, at }));
        }
        self.at += 1;
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(SelectorError::new(at, format!("brackets are nested more than {NESTING_MAX} deep")));
        }
        self.space();
        let condition = match name.as_str() {
            "not" => {
                if inside == Inside::List || inside == Inside::Not {
                    let outer = if inside == Inside::Not { ":not()" } else { ":is() and :where()" };
                    return Err(SelectorError::new(at, format!(":not() cannot stand inside {outer}")));
                }
                let negated = self.inner(Inside::Not, &[")"])?;
                self.at += 1;
                Condition::Not(negated)
            }
            "has" => Condition::Has(self.relative()?),
            "is" | "matches" | "where" => Condition::Is(self.list()?),
            _ => Condition::Function { name, arguments: self.arguments()?, at },
        };
        self.nesting -= 1;
        Ok(Some(condition))
    }

    /// What `:has()` lists: selectors that may begin with a combinator.
    fn relative(&mut self) -> Parsed<Vec<(char, Complex)>> {
        let mut out = Vec::new();
        loop {
            let combinator = self.combinator().unwrap_or(' ');
            out.push((combinator, self.inner(Inside::Has, &[",", ")"])?));
            if self.next().is(")") {
                return Ok(out);
            }
        }
    }

    /// What `:is()` and `:where()` list: compounds.
    fn list(&mut self) -> Parsed<Vec<Compound>> {
        let mut out = Vec::new();
        loop {
            let (compound, pseudo_element) = self.compound(Inside::List, false)?;
            if let Some(element) = pseudo_element {
                return Err(SelectorError::new(element.at, format!("::{} cannot stand in brackets", element.name)));
            }
            out.push(compound);
            self.space();
            if self.peek().is(")") {
                self.at += 1;
                return Ok(out);
            }
            if !self.peek().is(",") {
                return Err(self.unexpected("`,` or `)`"));
            }
            self.at += 1;
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Token>> {
        let mut out = Vec::new();
        loop {
            self.space();
            let token = self.peek();
            if token.is(")") {
                self.at += 1;
                return Ok(out);
            }
            let fits = matches!(token.kind, Kind::Ident | Kind::Text | Kind::Number) || token.is("+") || token.is("-");
            if !fits {
                return Err(self.unexpected("an argument or `)`"));
            }
            out.push(self.next());
        }
    }

    fn attribute(&mut self) -> Parsed<Attribute> {
        self.space();
        let mut namespace = None;
        let mut operator = None;
        let name = if self.peek().is("|") {
            self.at += 1;
            self.ident()?
        } else {
            let first = self.ident_or_star()?;
            if self.peek().is("|") {
                self.at += 1;
                match (self.peek().is("="), first) {
                    (true, Some(name)) => {
                        self.at += 1;
                        operator = Some("|=".to_string());
                        name
                    }
                    (_, first) => {
                        namespace = Some(first.unwrap_or_else(|| "*".to_string()));
                        self.ident()?
                    }
                }
            } else {
                first.ok_or_else(|| self.unexpected("`|`"))?
            }
        };
        let operator = match operator {
            Some(operator) => operator,
            None => {
                self.space();
                if self.peek().is("]") {
                    self.at += 1;
                    return Ok(Attribute { namespace, name, compared: None, ignore_case: false });
                }
                self.operator()?
            }
        };
        self.space();
        if !matches!(self.peek().kind, Kind::Ident | Kind::Text) {
            return Err(self.unexpected("a name or a string in quotes"));
        }
        let value = self.next().value;
        self.space();
        let mut ignore_case = false;
        if self.peek().kind == Kind::Ident {
            match self.peek().value.to_ascii_lowercase().as_str() {
                "i" => ignore_case = true,
                "s" => {}
                _ => return Err(self.unexpected("`]`, `i` or `s`")),
            }
            self.at += 1;
            self.space();
        }
        if !self.peek().is("]") {
            return Err(self.unexpected("`]`"));
        }
        self.at += 1;
        Ok(Attribute { namespace, name, compared: Some((operator, value)), ignore_case })
    }

    fn operator(&mut self) -> Parsed<String> {
        const EXPECTED: &str = "an operator (`=`, `~=`, `|=`, `^=`, `$=`, `*=`, `!=`) or `]`";
        if self.peek().is("=") {
            self.at += 1;
            return Ok("=".to_string());
        }
        let first = self.peek().clone();
        if !["^", "$", "*", "~", "|", "!"].iter().any(|c| first.is(c)) {
            return Err(self.unexpected(EXPECTED));
        }
        self.at += 1;
        if !self.peek().is("=") {
            return Err(self.unexpected(EXPECTED));
        }
        self.at += 1;
        Ok(format!("{}=", first.value))
    }
}
