//! Location paths: steps, axes, node tests and predicates.

use super::{Parsed, Parser, STEPS_MAX, is_name_start};
use crate::xpath::ast::{Axis, Comparison, Expr, Path, Start, Step, Test};
use crate::xpath::error::{SelectorError, nearest};
use crate::xpath::functions::Function;

impl<'s> Parser<'s> {
    pub(super) fn predicates(&mut self) -> Parsed<Vec<Expr>> {
        let mut predicates = Vec::new();
        while self.take("[") {
            self.in_predicate += 1;
            predicates.push(self.nested(Self::expression)?);
            self.in_predicate -= 1;
            self.demand("]")?;
            if predicates.len() > STEPS_MAX {
                return Err(SelectorError::new(self.at, format!("more than {STEPS_MAX} predicates at one step")));
            }
        }
        Ok(predicates)
    }

    pub(super) fn location_path(&mut self) -> Parsed<Expr> {
        let mut steps = Vec::new();
        let start = if self.rest().starts_with('/') {
            let descend = self.rest().starts_with("//");
            let at_step = {
                let next = self.rest()[1..].trim_start_matches([' ', '\t', '\r', '\n']).chars().next();
                next.is_some_and(|c| is_name_start(c) || matches!(c, '.' | '@' | '*'))
            };
            if descend || at_step {
                self.more_steps(&mut steps)?;
            } else {
                self.at += 1;
            }
            Start::Root
        } else {
            self.step(&mut steps)?;
            self.more_steps(&mut steps)?;
            Start::Context
        };
        Ok(Expr::Path(Path { start, steps }))
    }

    /// `/step` and `//step`, as many as there are.
    pub(super) fn more_steps(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            if self.take("//") {
                steps.push(Step::descendant_or_self());
            } else if !self.take("/") {
                return Ok(());
            }
            self.step(steps)?;
            if steps.len() > STEPS_MAX {
                return Err(SelectorError::new(self.at, format!("more than {STEPS_MAX} steps in one path")));
            }
        }
    }

    fn step(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        self.space();
        if self.take("..") {
            steps.push(Step { axis: Axis::Parent, test: Test::Node, predicates: Vec::new() });
            return Ok(());
        }
        if self.take(".") {
            steps.push(Step { axis: Axis::Itself, test: Test::Node, predicates: Vec::new() });
            return Ok(());
        }
        let axis = self.axis()?;
        let (test, condition) = self.node_test()?;
        let mut predicates = self.predicates()?;
        predicates.splice(0..0, condition);
        steps.push(Step { axis, test, predicates });
        Ok(())
    }

    fn axis(&mut self) -> Parsed<Axis> {
        if self.take("@") {
            return Ok(Axis::Attribute);
        }
        let start = self.at;
        if let Some(name) = self.name() {
            if self.take("::") {
                return Axis::named(name).ok_or_else(|| {
                    let error = SelectorError::new(start, format!("there is no axis {name}::"));
                    match nearest(name, Axis::NAMES.iter().map(|(known, _)| *known)) {
                        Some(near) => error.hint(format!("did you mean {near}::?")),
                        None => error.expected("an axis such as child:: or ancestor::"),
                    }
                });
            }
            self.at = start;
        }
        Ok(Axis::Child)
    }

    /// A node test, and the condition that is part of it: of a prefixed name its namespace, of a processing instruction
    /// its target.
    fn node_test(&mut self) -> Parsed<(Test, Option<Expr>)> {
        if self.take("*") {
            return Ok((Test::Any, None));
        }
        self.space();
        let start = self.at;
        let Some(name) = self.name() else {
            return Err(match self.peek() {
                Some(c) => self.unexpected(c),
                None => SelectorError::new(start, "the expression ends too early"),
            }
            .expected("a step: a name, `*`, `@name`, text(), `.`"));
        };
        if self.rest().starts_with(':') && !self.rest().starts_with("::") {
            self.at += 1;
            let uri = self.uri(name, start)?;
            let mut conditions = vec![call_equals(Function::NamespaceUri, uri)];
            if self.rest().starts_with('*') {
                self.at += 1;
            } else if let Some(local) = self.name() {
                conditions.push(call_equals(Function::LocalName, local));
            } else {
                return Err(SelectorError::new(self.at, format!("nothing follows {name}:")).expected("a name or `*`"));
            }
            return Ok((Test::Any, Some(Expr::And(conditions))));
        }
        if !self.take("(") {
            return Ok((Test::Name(name.to_string()), None));
        }
        let mut condition = None;
        let test = match name {
            "text" => Test::Text,
            "comment" => Test::Comment,
            "node" => Test::Node,
            "processing-instruction" => {
                self.space();
                if !self.rest().starts_with(')') {
                    condition = Some(call_equals(Function::Name, self.literal()?));
                }
                Test::Pi
            }
            _ => {
                return Err(SelectorError::new(start, format!("{name}() cannot be a step of a path"))
                    .hint(format!("XPath 1.0 calls functions around a path: {name}(path)")));
            }
        };
        self.demand(")")?;
        Ok((test, condition))
    }

    /// The namespace that a prefix stands for.
    pub(super) fn uri(&self, prefix: &str, offset: usize) -> Parsed<&'s str> {
        let given = self.namespaces.iter().find(|(known, _)| *known == prefix).map(|(_, uri)| *uri);
        let uri = given.or(match prefix {
            "xml" => Some(crate::xml::XML_URI),
            "re" => Some("http://exslt.org/regular-expressions"),
            "set" => Some("http://exslt.org/sets"),
            _ => None,
        });
        uri.ok_or_else(|| {
            SelectorError::new(offset, format!("the namespace prefix {prefix}: is not declared"))
                .expected("re: or set:")
                .hint(format!("an HTML tree has no namespaces: compare the name, *[name()=\"{prefix}:...\"]"))
        })
    }
}

/// `function() = "text"`
fn call_equals(function: Function, text: &str) -> Expr {
    let call = Expr::Call(function, Vec::new(), 0);
    Expr::Compare(Comparison::Equal, Box::new(call), Box::new(Expr::Text(text.to_string())))
}
