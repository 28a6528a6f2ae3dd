//! the sink trait, batching, retry classes, and the contract suite.
