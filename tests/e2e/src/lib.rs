//! whole crawls on loopback.
