//! simulation: world, faults, oracle, scenarios.
