//! bounded, guarded HTTP: one request, limits, decompression, charset, address guard.
