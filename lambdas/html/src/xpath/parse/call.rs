//! Function calls: names, numbers and types of arguments.

use super::{Parsed, Parser, not_nodes};
use crate::xpath::ast::{Expr, Type};
use crate::xpath::error::{SelectorError, nearest};
use crate::xpath::functions::{Arguments, Function, advice};

impl Parser<'_> {
    pub(super) fn call(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let mut name = self.name().unwrap_or_default().to_string();
        if self.rest().starts_with(':') {
            self.at += 1;
            let prefix = std::mem::take(&mut name);
            self.uri(&prefix, start)?;
            name = format!("{prefix}:{}", self.name().unwrap_or_default());
        }
        let Some(function) = Function::named(&name) else {
            let error = SelectorError::new(start, format!("there is no function {name}()"));
            return Err(match (advice(&name), nearest(&name, Function::ALL.iter().map(|f| f.name()))) {
                (Some(advice), _) => error.hint(advice),
                (None, Some(near)) => error.hint(format!("did you mean {near}()?")),
                (None, None) => error,
            });
        };
        self.demand("(")?;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                self.space();
                let at = self.at;
                let argument = self.nested(Self::expression)?;
                match (function.arguments(), argument.kind()) {
                    (Arguments::Any, _) | (Arguments::Nodes, Type::Nodes) | (Arguments::Texts, Type::Text) => {}
                    (Arguments::Nodes, _) => return Err(not_nodes(at, &format!("the argument of {name}()"))),
                    (Arguments::Texts, _) => {
                        return Err(SelectorError::new(at, format!("the arguments of {name}() are strings"))
                            .expected("a string in quotes"));
                    }
                }
                arguments.push(argument);
                if self.take(")") {
                    break;
                }
                self.demand(",").map_err(|error| error.expected("`,` or `)`"))?;
            }
        }
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            let message = format!("{name}() got {} arguments", arguments.len());
            let wanted = if least == most {
                least.to_string()
            } else if most == usize::MAX {
                format!("at least {least}")
            } else {
                format!("{least} to {most}")
            };
            return Err(SelectorError::new(start, message).expected(wanted));
        }
        if matches!(function, Function::Position | Function::Last) && self.in_predicate == 0 {
            return Err(SelectorError::new(start, format!("{name}() has no meaning outside a predicate"))
                .hint(format!("write it in brackets behind a step: p[{name}() ...]")));
        }
        Ok(Expr::Call(function, arguments, start))
    }
}
