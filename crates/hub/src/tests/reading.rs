//! Caches as others leave them.
