//! the frontier, pure: canonical URLs, dedup, queues, the throttle law, robots.
