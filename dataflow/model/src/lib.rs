//! ids, messages, items, verdicts and units.
