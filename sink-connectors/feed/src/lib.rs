//! feed files: JSON Lines, JSON, CSV; atomic.
