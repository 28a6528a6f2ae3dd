//! Hooks: what a spider drops and changes of start requests, links and items, in the order of the file.
//!
//! Decides nothing by itself: the conditions are the spider file's. Invariants: a hook sees what those before it changed; what was dropped
//! meets no further one; a condition that nobody can judge does not hold, and is counted. A spider without hooks pays nothing.

use crate::condition::{Condition, Seen, Variable};
use crate::context::Context;
use std::borrow::Cow;
use std::collections::BTreeMap;
use weir_model::{Carry, Link, LinkBatch, LinkExtra, Value};

/// One `[[hook]]`.
#[derive(Debug)]
pub(crate) struct Hook {
    /// Its name, or its number from 1: counters have it.
    pub name: Box<str>,
    /// `None`: always.
    pub when: Option<Condition>,
    pub drop: bool,
    pub priority: Option<i16>,
    pub carry: Carry,
    /// Fields and their new values.
    pub set: Vec<(usize, Value)>,
}

/// The hooks of a spider, by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub link: Vec<Hook>,
    /// By item type.
    pub item: Vec<Vec<Hook>>,
}

/// The hooks of start requests, and what their conditions ask for.
#[derive(Debug, Default)]
pub(crate) struct StartHooks {
    pub hooks: Vec<Hook>,
    pub args: BTreeMap<String, String>,
    pub spider: String,
}

/// What became of something that passed hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    On,
    Dropped,
}

/// A counter: the hook's name and what happened.
pub(crate) type Count<'n> = &'n mut dyn FnMut(&str, &str, &str);

impl Hook {
    fn applies<'v>(&'v self, value: &dyn Fn(&Variable) -> Seen<'v>, count: Count<'_>) -> bool {
        let Some(when) = &self.when else { return true };
        when.holds(value).unwrap_or_else(|why| {
            count(&self.name, "error", &why);
            false
        })
    }
}

/// Lets an item pass.
pub(crate) fn item(hooks: &[Hook], context: &Context<'_>, values: &mut [Value], count: Count<'_>) -> Passed {
    for hook in hooks {
        // The next hook sees what this one sets.
        let fields: &[Value] = values;
        let value = |variable: &Variable| match variable {
            Variable::Field(at) => fields.get(*at).map_or(Seen::Null, Seen::of),
            other => of_page(other, context),
        };
        let applies = hook.applies(&value, count);
        if !applies {
            continue;
        }
        if hook.drop {
            count(&hook.name, "dropped", context.url);
            return Passed::Dropped;
        }
        for (field, value) in &hook.set {
            if let Some(place) = values.get_mut(*field) {
                place.clone_from(value);
            }
        }
    }
    Passed::On
}

/// Lets a link pass. `parse`: the item type that its page yields.
pub(crate) fn link(
    hooks: &[Hook],
    context: &Context<'_>,
    (url, parse): (&str, &str),
    link: &mut Link,
    count: Count<'_>,
) -> Passed {
    for hook in hooks {
        let priority = link.priority;
        let value = |variable: &Variable| match variable {
            Variable::Url => Seen::Text(Cow::Borrowed(url)),
            Variable::Priority => Seen::Int(i64::from(priority)),
            Variable::Parse => Seen::Text(Cow::Borrowed(parse)),
            other => of_page(other, context),
        };
        if !hook.applies(&value, count) {
            continue;
        }
        if hook.drop {
            count(&hook.name, "dropped", url);
            return Passed::Dropped;
        }
        change(hook, &mut link.priority, &mut link.extra);
    }
    Passed::On
}

impl StartHooks {
    /// Adds a start request to `batch`, or drops it.
    pub fn push(
        &self,
        index: u64,
        url: &str,
        (mut priority, mut extra): (i16, Option<Box<LinkExtra>>),
        batch: &mut LinkBatch,
    ) {
        for hook in &self.hooks {
            let value = |variable: &Variable| match variable {
                Variable::Url => Seen::Text(Cow::Borrowed(url)),
                Variable::Index => Seen::Int(i64::try_from(index).unwrap_or(i64::MAX)),
                Variable::Priority => Seen::Int(i64::from(priority)),
                Variable::Spider => Seen::Text(Cow::Borrowed(&self.spider)),
                Variable::Arg(name) => {
                    self.args.get(name.as_ref()).map_or(Seen::Null, |value| Seen::Text(Cow::Borrowed(value)))
                }
                _ => Seen::Null,
            };
            // Of start requests only how many were dropped is counted: a condition on texts and numbers that are always there.
            if !hook.applies(&value, &mut |_, _, _| ()) {
                continue;
            }
            if hook.drop {
                return;
            }
            change(hook, &mut priority, &mut extra);
        }
        batch.push_extra(url, weir_model::TargetId::START, priority, extra);
    }
}

fn change(hook: &Hook, priority: &mut i16, extra: &mut Option<Box<LinkExtra>>) {
    *priority = hook.priority.unwrap_or(*priority);
    if !hook.carry.is_empty() {
        let carry = extra.get_or_insert_default().carry.get_or_insert_default();
        carry.extend(hook.carry.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// What every page knows.
fn of_page<'a>(variable: &Variable, context: &Context<'a>) -> Seen<'a> {
    match variable {
        Variable::ResponseUrl => Seen::Text(Cow::Borrowed(context.url)),
        Variable::ResponseStatus => Seen::Int(i64::from(context.status)),
        Variable::Spider => Seen::Text(Cow::Borrowed(context.spider)),
        Variable::Carry(name) => {
            context.carry.and_then(|carry| carry.get(name.as_ref())).map_or(Seen::Null, Seen::of_json)
        }
        Variable::Arg(name) => {
            context.args.get(name.as_ref()).map_or(Seen::Null, |value| Seen::Text(Cow::Borrowed(value)))
        }
        _ => Seen::Null,
    }
}
