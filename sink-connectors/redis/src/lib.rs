//! the Redis sink and the geocode cache.
