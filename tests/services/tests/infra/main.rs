//! What must hold for the templates and the price table in `infra/`, whatever else changes in them.

mod invariants;
mod prices;
mod template;
