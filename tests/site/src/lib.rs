//! the practice site: a deterministic property portal.
