//! Queues, artifacts and claims: the traits, their in-process implementations, and the contract suite.
