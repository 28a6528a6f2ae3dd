//! Items of a page: one, or one a scope.

use super::{Scratch, Work};
use crate::compiled::ItemRule;
use crate::error::Unreadable;
use crate::hook::{self, Passed};
use crate::identity::identify;
use weir_model::Item;

impl<'p> Work<'p, '_> {
    /// Adds the items that `rule` makes of the page.
    pub(super) fn items(
        &mut self,
        rule: &'p ItemRule,
        index: usize,
        out: &mut Vec<Item>,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        let name = rule.schema.name.as_str();
        let schema = u16::try_from(index).unwrap_or(u16::MAX);
        let places = self.places(rule.scope.as_ref())?;
        let page = self.page();
        'places: for at in 0..places.len() {
            if out.len() >= self.limits.items_max {
                self.notes.count([name, "too_many_items", ""], self.context.url);
                break;
            }
            let place = places.get(at, page);
            let mut values = Vec::with_capacity(rule.fields.len());
            for field in &rule.fields {
                let value = self.field(name, field, place, "")?;
                if field.required && value.is_null() {
                    self.notes.count([name, "required", &field.name], self.context.url);
                    continue 'places;
                }
                values.push(value);
            }
            if let Some(hooks) = self.docs.spider.hooks.item.get(index).filter(|hooks| !hooks.is_empty()) {
                let (context, notes) = (&self.context, &mut self.notes);
                let passed = hook::item(hooks, context, &mut values, &mut |name, what, example| {
                    notes.count(["hook", name, what], example);
                });
                if passed == Passed::Dropped {
                    continue;
                }
            }
            match identify(rule, &values, &mut scratch.key) {
                Ok((id, hash)) => out.push(Item {
                    job: self.context.job,
                    schema,
                    id,
                    hash,
                    version: self.context.started_at_us,
                    values,
                }),
                Err(field) => self.notes.count([name, "empty_key", &field.name], self.context.url),
            }
        }
        if rule.has_geocode && !out.is_empty() {
            self.notes.count(["geocode", "not_configured", ""], name);
        }
        Ok(())
    }
}
