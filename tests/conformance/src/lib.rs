//! runs the conformance data.
