//! the spider file: compiled, then bytes in, items and links out.
